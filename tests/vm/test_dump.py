# SPDX-License-Identifier: GPL-2.0-only
"""Guests that hang with --dump: drgn names who holds what the others wait for.

tests/data/deadlock has a series that hangs a guest each time, and the programs that have it do so.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import REPO, Harness, add_suite, environment

pytest.importorskip("drgn")

DEADLOCK = REPO / "tests/data/deadlock"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose only suite is that of the series."""
    area = add_suite(tmp_path / "project", "deadlock")
    for file in (DEADLOCK / "suite").iterdir():
        (area / file.name).symlink_to(file)
    return tmp_path / "project"


def hung(harness: Harness, project: Path, test: str, *words: str) -> tuple[Any, Path]:
    """The result of a test that hangs, and the directory of its guest."""
    options = ["--series", str(DEADLOCK), "--tree", "6.12", "--suite", "deadlock", "--dump"]
    options += ["--timeout", "4"]
    code, run = harness("run", *options, "--test", test, *words, env=environment(project))
    (result,) = run["results"]
    assert code == 1 and result["outcome"] in ("timeout", "crash"), json.dumps(
        run["results"], indent=1
    )
    return result, Path(run["run_dir"]) / f"boots/{result['boot']:03}"


@pytest.mark.parametrize("guest", ["snapshot", "vng"])
def test_two_that_wait_for_each_other_are_named(
    harness: Harness, project: Path, guest: str
) -> None:
    result, boot = hung(harness, project, "mutexes", "--guest", guest)
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


def test_the_writer_is_named_and_what_a_semaphore_lacks(harness: Harness, project: Path) -> None:
    _, boot = hung(harness, project, "object")
    told = (boot / "crash.txt").read_text()
    reader = next(line for line in told.splitlines() if line.startswith("deadlock-5 "))
    assert "waits for rw_semaphore 0x" in reader and "held by deadlock-4 (" in reader
    assert " in kmalloc-" in reader, "where a lock without a symbol is"
    assert "a semaphore does not say who is to give it" in told


def test_a_processor_that_takes_no_interrupts_is_dumped(harness: Harness, project: Path) -> None:
    result, _ = hung(harness, project, "spinlock")
    (spins,) = [line for line in result["autopsy"] if " spins" in line]
    assert spins.startswith("CPU 0: deadlock-3 (") and "for deadlock_spinlock" in spins
    assert "in deadlock_spins() fs/aio.c:" in spins
