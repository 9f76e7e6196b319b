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
    test = Commands(["./repro -n 'a b'"], here, None).prepare(LOG).tests[0]
    assert (test.name, test.argv) == ("command/repro", (f"{here}/repro", "-n", "a b"))
    assert (test.cwd, test.scaled) == (str(here), True)


def test_a_bare_word_is_for_the_guests_path(here: Path) -> None:
    assert Commands(["uname -r"], here, None).prepare(LOG).tests[0].argv == ("uname", "-r")


def test_equal_programs_get_names_of_their_own(here: Path) -> None:
    tests = Commands(["./repro 1", "./repro 2"], here, None).prepare(LOG).tests
    assert [test.name for test in tests] == ["command/repro", "command/repro-2"]


def test_what_a_person_says_is_the_timeout(here: Path) -> None:
    test = Commands(["./repro"], here, 5.0).prepare(LOG).tests[0]
    assert (test.timeout_s, test.scaled) == (5.0, False)


def test_a_directory_that_the_guest_hides_is_shown_once(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "_HIDDEN", (str(here),))
    inner = here / "inner"
    inner.mkdir()
    (inner / "other").touch(0o755)
    mounts = Commands(["inner/other", "./repro"], here, None).prepare(LOG).mounts
    assert [(mount.guest, mount.host) for mount in mounts] == [(str(here), here)]
    assert Commands(["uname"], Path("/usr"), None).prepare(LOG).mounts == ()


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
        Commands([line], here, None)
