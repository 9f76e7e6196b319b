# SPDX-License-Identifier: GPL-2.0-only
import sys
from pathlib import Path

import pytest

from harness import proc
from harness.errors import BuildError, UsageError
from harness.suites import python_tests
from harness.suites.guest_tests import GuestTests

REPO = Path(__file__).parents[2]
TESTS = """
import pytest
import shared


class TestThings:
    def test_inside(self):
        pass

@pytest.mark.parametrize("size", [1, "x/y"])
def test_size(size):
    pass
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one suite of one pytest file and no compiler."""
    lib = tmp_path / "guest-tests/lib"
    lib.mkdir(parents=True)
    (lib / "lib.mk").write_bytes((REPO / "guest-tests/lib/lib.mk").read_bytes())
    (lib / "shared.py").write_text("")
    area = tmp_path / "guest-tests/area"
    area.mkdir()
    (area / "Makefile").write_text("TEST_PYTEST := test_*.py\ninclude ../lib/lib.mk\n")
    (area / "test_a.py").write_text(TESTS)
    (area / "settings").write_text("timeout=20\ntest_a.test_size[1].timeout=5\n")
    return tmp_path


def test_the_tests_of_a_file_are_planned(root: Path, tmp_path: Path) -> None:
    tests = GuestTests(root, "area").prepare(tmp_path / "log").tests
    assert [(test.name, test.argv[0], test.timeout_s) for test in tests] == [
        ("area/test_a.TestThings.test_inside", "test_a.py::TestThings::test_inside", 20),
        ("area/test_a.test_size[1]", "test_a.py::test_size[1]", 5),
        ("area/test_a.test_size[x/y]", "test_a.py::test_size[x/y]", 20),
    ]
    assert len({test.server for test in tests}) == 1
    assert tests[0].server[0] == sys.executable
    assert Path(tests[0].cwd, "shared.py").exists()


def test_a_second_time_starts_no_process(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = GuestTests(root, "area").prepare(tmp_path / "log")
    monkeypatch.setattr(proc, "spawn", None)
    assert GuestTests(root, "area").prepare(tmp_path / "log") == first


def test_another_pytest_collects_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = GuestTests(root, "area").prepare(root / "log")
    identity = python_tests.identity()
    monkeypatch.setattr(python_tests, "identity", lambda: [*identity[:2], "99.0"])
    assert GuestTests(root, "area").prepare(root / "log").tests[0].cwd != first.tests[0].cwd


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("import no_such_module\n", "cannot be collected", "No module named 'no_such_module'"),
        ("def test_a(:\n", "cannot be collected", "SyntaxError"),
        ("x = 1\n", "holds no test", ""),
    ],
)
def test_a_file_that_pytest_refuses(root: Path, text: str, said: str, line: str) -> None:
    (root / "guest-tests/area/test_a.py").write_text(text)
    with pytest.raises(BuildError, match=f"test_a.py: pytest says it {said}") as caught:
        GuestTests(root, "area").prepare(root / "log")
    assert line in " ".join(caught.value.lines)


def test_settings_of_a_python_test_that_is_not_there(root: Path) -> None:
    (root / "guest-tests/area/settings").write_text("test_a.test_gone.timeout=3\n")
    with pytest.raises(UsageError, match=r"there is no test test_a\.test_gone"):
        GuestTests(root, "area").prepare(root / "log")


def test_what_the_guest_hides_is_mounted_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/tmp/project/.venv")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    places = {mount.guest: str(mount.host) for mount in python_tests.mounts(Path("/tmp/project"))}
    assert places["/tmp/project"] == "/tmp/project"
    assert "/tmp/project/.venv" not in places  # it is inside
    assert "/usr" not in places
