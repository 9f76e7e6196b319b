# SPDX-License-Identifier: GPL-2.0-only
"""Programs of the host as tests."""

from pathlib import Path

import pytest

from harness import suites
from harness.errors import UsageError
from harness.suites.command import Commands

LOG = Path("/nonexistent/log")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "repro").touch(0o755)
    (tmp_path / "notes.txt").touch(0o644)
    return tmp_path


def test_a_program_of_this_directory_keeps_its_words(here: Path) -> None:
    test = Commands(["./repro -n 'a b'"], here).prepare(LOG).tests[0]
    assert (test.name, test.argv) == ("command/repro", (f"{here}/repro", "-n", "a b"))
    assert test.cwd == str(here)


def test_a_bare_word_is_for_the_guests_path(here: Path) -> None:
    assert Commands(["uname -r"], here).prepare(LOG).tests[0].argv == ("uname", "-r")


def test_equal_programs_get_names_of_their_own(here: Path) -> None:
    tests = Commands(["./repro 1", "./repro 2"], here).prepare(LOG).tests
    assert [test.name for test in tests] == ["command/repro", "command/repro-2"]


def test_a_directory_that_the_guest_hides_is_shown_once(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "GUEST_MOUNTS", (str(here.parent),))
    inner = here / "inner"
    inner.mkdir()
    (inner / "other").touch(0o755)
    mounts = Commands(["inner/other", "./repro"], here).prepare(LOG).mounts
    assert [(mount.guest, mount.host) for mount in mounts] == [(str(here), here)]
    assert Commands(["uname"], Path("/usr")).prepare(LOG).mounts == ()
    assert Commands(["uname"], here.parent).prepare(LOG).mounts == ()  # as /proc itself


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("./none", "there is no file"),
        ("./notes.txt", "is not executable"),
        ("", "is empty"),
        ("a 'b", "No closing quotation"),
    ],
)
def test_what_cannot_run_is_refused(here: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Commands([line], here)
