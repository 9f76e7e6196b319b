# SPDX-License-Identifier: GPL-2.0-only
"""Tests that boot a real kernel: 6.12 with the configuration of the shipped aio-poll suite.

They use the user's cache, so that a second run builds nothing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
RUN_S = 3000.0  # a cold cache builds two kernels

SHIPPED = ("run", "--base", "--isolation", "test")
"""How shipped series are run: what waits on the base does so in guests side by side."""

WAITING = ("aio-nonblock",)

PLANTED = (
    *("--tree", "6.12", "--kconfig", "fault", "--kconfig", "debuginfo"),
    *("--series", f"{REPO}/tests/data/deadlock,{REPO}/tests/data/unchecked"),
)
"""One kernel for hangs that are dumped and for calls that fail, as a build costs minutes."""

Harness = Callable[..., "tuple[int, Any]"]


@pytest.fixture(scope="session", autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests break on purpose is no history of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _kernels(_own_history: None) -> None:
    """Build what the tests boot before any of them is timed."""
    command = ["boot", "--series", "aio-poll", "--", "true"]
    assert subprocess.run(argv(*command), timeout=RUN_S, check=False).returncode == 0


@pytest.fixture(scope="session", autouse=True)
def early(
    request: pytest.FixtureRequest, _kernels: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """The runs of series whose base waits for a minute and more, by the series' names: they do it
    beside all other tests."""
    wanted = {
        name for item in request.session.items for name in WAITING if f"[{name}]" in item.name
    }
    found = {}
    for name in sorted(wanted):
        output = tmp_path_factory.mktemp("early")
        command = argv(*SHIPPED, "--series", name, "--json", "--output", str(output))
        with (output / "log").open("wb") as log:
            found[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    yield found
    for process in found.values():
        process.terminate()
        process.wait(60)


def argv(*words: str) -> list[str]:
    """The command line of the harness under test."""
    return [sys.executable, "-m", "harness", *words]


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Run a harness command with --json; gives its exit status and its document."""

    def run(*words: str, env: dict[str, str] | None = None) -> tuple[int, Any]:
        command = argv(*words, "--json", "--output", str(tmp_path / "runs"))
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=RUN_S, check=False, env=env)
        return done.returncode, json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose only suite is tests/vm/nasty, on the kernel of the shipped suite."""
    root = tmp_path_factory.mktemp("project")
    area = add_suite(root, "nasty")
    for file in (REPO / "tests/vm/nasty").iterdir():
        (area / file.name).symlink_to(file)
    return root


def environment(root: Path) -> dict[str, str]:
    """The environment that makes `root` the project."""
    return {**os.environ, "HARNESS_PROJECT": str(root)}


def processes_below(marker: str) -> list[str]:
    """Command lines of living processes that name `marker`, our own apart."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if marker in command:
            found.append(command[:200])
    return found


def add_suite(root: Path, name: str) -> Path:
    """The directory of a new suite in the project `root`, on the kernel of the shipped suite."""
    area = root / "guest-tests" / name
    area.mkdir(parents=True)
    (area / "config").symlink_to(REPO / "guest-tests/aio-poll/config")
    for shared in ("kconfigs", "guest-tests/lib"):
        if not (root / shared).exists():
            (root / shared).symlink_to(REPO / shared)
    (root / "patches").mkdir(exist_ok=True)
    return area
