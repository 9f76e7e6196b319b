# SPDX-License-Identifier: GPL-2.0-only
"""A directory that `harness repro` made does alone what the run recorded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.conftest import REPO, Harness, argv

RUN_S = 120.0
BROKEN = REPO / "tests/data/planted/panic.patch"


def taken_along(run: str, test: str, tmp_path: Path, *more: str) -> Path:
    """The directory, somewhere else than where it was made."""
    made = tmp_path / "made"
    subprocess.run(
        argv("repro", run, test, "-o", str(made), *more), check=True, timeout=RUN_S, env=os.environ
    )
    place = tmp_path / "some where"
    shutil.copytree(made, place)
    shutil.rmtree(made)
    return place


def alone(place: Path, *more: Path) -> subprocess.CompletedProcess[str]:
    """Run it with QEMU and the system's own programs, those in `more`, and no home."""
    qemu = shutil.which("qemu-system-x86_64")
    assert qemu is not None
    places = [str(Path(qemu).parent), "/usr/bin", "/bin", *map(str, more)]
    return subprocess.run(
        [str(place / "run.sh")],
        cwd="/",
        env={"PATH": ":".join(places), "HOME": "/nonexistent"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=RUN_S,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("test", ["two-queues-fifo", "test_two_queues.test_fifo_gets_data"])
def test_a_failure_and_its_mending(harness: Harness, tmp_path: Path, test: str) -> None:
    options = ["--series", "aio-poll", "--base", "--max-reruns", "0", "--test", test]
    code, run = harness("run", *options, "--accel", "tcg")
    assert code == 0
    result = run["results"][0]
    assert (result["base_outcome"], result["outcome"]) == ("xfail", "pass")
    base = alone(taken_along(run["run_dir"], test, tmp_path, "--kernel", "base"))
    assert base.returncode == 1, base.stderr
    assert "EINVAL" in base.stdout and "recorded: xfail: " in base.stderr
    shutil.rmtree(tmp_path / "some where")
    place = taken_along(run["run_dir"], test, tmp_path)
    tip = alone(place)
    assert tip.returncode == 0, tip.stderr
    assert tip.stdout == result["output"]
    assert "Linux version" in (place / "console.log").read_text(errors="replace")


def test_a_crash(harness: Harness, tmp_path: Path) -> None:
    options = ["--series", f"aio-poll,{BROKEN}", "--suite", "aio-poll", "--append", "oops=panic"]
    code, run = harness("run", *options, "--accel", "tcg", "--test", "signalfd-free")
    assert (code, run["results"][0]["outcome"]) == (1, "crash")
    done = alone(taken_along(run["run_dir"], "signalfd-free", tmp_path))
    assert done.returncode == 125
    assert "the guest died; the kernel reported: Kernel panic" in done.stderr


def test_a_disk_and_the_seed(harness: Harness, tmp_path: Path) -> None:
    options = ["--series", "aio-poll", "--suite", "fsx", "--test", "on-scratch"]
    code, run = harness("run", *options, "--accel", "tcg", "--test", "ext4", "--test", "tmpfs")
    assert code == 0
    place = taken_along(run["run_dir"], "fsx/ext4", tmp_path)
    done = alone(place)
    assert done.returncode == 0, done.stderr
    assert (place / "seed").read_text().removeprefix("FSX_SEED=").strip() in done.stdout


def test_a_program_of_the_host(harness: Harness, tmp_path: Path) -> None:
    program = tmp_path / "tell"
    program.write_text('#!/bin/sh\necho "$1 $WORD"; exit 7\n')
    program.chmod(0o755)
    options = ["--series", "aio-poll", "--command", f"{program} 'a b'", "--env", "WORD=c"]
    code, run = harness("run", *options, "--accel", "tcg")
    assert (code, run["results"][0]["output"]) == (1, "a b c\n")
    place = taken_along(run["run_dir"], "tell", tmp_path)
    program.unlink()
    done = alone(place, Path(sys.executable).parent)
    assert (done.returncode, done.stdout) == (7, "a b c\n"), done.stderr
