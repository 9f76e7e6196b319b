# SPDX-License-Identifier: GPL-2.0-only
"""Guests that hang with --dump: drgn names who holds what the others wait for.

tests/data/deadlock has a series that hangs a guest each time, and the programs that have it do so.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import PLANTED, REPO, RUN_S, add_suite, argv, environment

DEADLOCK = REPO / "tests/data/deadlock"

KINDS = ["snapshot", "vng"]
"""Of guests; those that are booted only where it is asked for: each hangs for some seconds."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them side by side, each in a guest of its own."""
    return hung(tmp_path_factory.mktemp("dump"), "snapshot")


def hung(parent: Path, kind: str) -> dict[str, Any]:
    area = add_suite(parent / "project", "deadlock")
    for file in (DEADLOCK / "suite").iterdir():
        (area / file.name).symlink_to(file)
    words = ["run", *PLANTED, "--suite", "deadlock", "--dump"]
    words += ["--timeout", "2", "--isolation", "test", "--jobs", "4", "--guest", kind]
    command = argv(*words, "--json", "--output", str(parent / "runs"))
    env = environment(parent / "project")
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=RUN_S, check=False, env=env)
    told = json.loads(done.stdout)
    outcomes = {one["test"]: one["outcome"] for one in told["results"]}
    assert outcomes.pop("deadlock/nothing") == "pass"
    assert done.returncode == 1 and set(outcomes.values()) == {"timeout"}, told
    assert set(outcomes) == {f"deadlock/{name}" for name in ("mutexes", "spinlock", "object")}
    return dict(told)


def of(run: dict[str, Any], test: str) -> tuple[dict[str, Any], Path]:
    """The result of a test that hangs, and the directory of its guest."""
    result = next(one for one in run["results"] if one["test"] == f"deadlock/{test}")
    return result, Path(run["run_dir"]) / f"boots/{result['boot']:03}"


@pytest.mark.parametrize("kind", KINDS)
def test_two_that_wait_for_each_other_are_named(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    if kind == "vng" and not os.environ.get("HARNESS_ALL_PLANTED"):
        pytest.skip("booted guests are left out: set HARNESS_ALL_PLANTED=1 to run all")
    run = request.getfixturevalue("run") if kind == "snapshot" else hung(tmp_path, kind)
    result, boot = of(run, "mutexes")
    assert "deadlock_one_way" in result["detail"] or "deadlock_other_way" in result["detail"]
    told, seen = (boot / "crash.txt").read_text(), result["autopsy"]
    at = next(n for n, line in enumerate(seen) if line.startswith("deadlock: deadlock-1 ("))
    assert "waits for mutex deadlock_second, held by deadlock-2 (" in seen[at]
    assert seen[at + 1].startswith("and deadlock-2 (")
    assert "waits for mutex deadlock_first, held by deadlock-1 (" in seen[at + 1]
    assert seen[at] in told and seen[at + 1] in told
    assert "deadlock_one_way() fs/aio.c:" in told and "deadlock_other_way() fs/aio.c:" in told
    at = next(n for n, line in enumerate(seen) if line.startswith("AIO context "))
    assert "of mutexes (" in seen[at] and "1 of 8 requests active" in seen[at]
    assert "aio_poll_cancel on pipe:[" in seen[at + 1] and "data 0x1234" in seen[at + 1]
    assert (boot / "core").stat().st_size < 64 << 20, "pages of zeros are left out"
    assert "not read" not in told
    whole = (boot / "autopsy.txt").read_text()
    for shown in ("sysrq: Show Blocked State", "sysrq: Show Memory", "RIP=", "task:deadlock-2"):
        assert shown in whole


def test_the_writer_is_named_and_what_a_semaphore_lacks(run: dict[str, Any]) -> None:
    _, boot = of(run, "object")
    told = (boot / "crash.txt").read_text()
    reader = next(line for line in told.splitlines() if line.startswith("deadlock-5 "))
    assert "waits for rw_semaphore 0x" in reader and "held by deadlock-4 (" in reader
    assert " in kmalloc-" in reader, "where a lock without a symbol is"
    assert "a semaphore does not say who is to give it" in told


def test_a_processor_that_takes_no_interrupts_is_seen(run: dict[str, Any]) -> None:
    result, _ = of(run, "spinlock")
    assert result["detail"].endswith(": a processor does not leave deadlock_spins")
    (spins,) = [line for line in result["autopsy"] if " spins" in line]
    assert spins.startswith("CPU 0: deadlock-3 (") and "for deadlock_spinlock" in spins
    assert "in deadlock_spins() fs/aio.c:" in spins
    assert any(line.startswith("at an NMI: ") for line in result["autopsy"])
