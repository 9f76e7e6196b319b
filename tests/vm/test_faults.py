# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the host in the middle of a plan: what was running runs again, all else is kept."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness import journal
from tests.vm.conftest import RUN_S, add_suite, argv, environment

COUNT = 30
VICTIMS = ("t09.sh", "t19.sh")  # under which QEMU is killed; they give it time


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a suite of thirty tests that take a moment each."""
    root = tmp_path_factory.mktemp("many")
    area = add_suite(root, "many")
    names = [f"t{number:02}.sh" for number in range(COUNT)]
    for name in names:
        (area / name).write_text(f"#!/bin/sh\nsleep {2 if name in VICTIMS else 0.1}\n")
        (area / name).chmod(0o755)
    (area / "Makefile").write_text(f"TEST_PROGS := {' '.join(names)}\ninclude ../lib/lib.mk\n")
    (area / "settings").write_text("isolation=suite\nguest=any\n")
    return root


def qemu_of(boot: Path) -> list[int]:
    """The processes that are QEMU and have started in the directory of a guest."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            here = (entry / "cwd").resolve(strict=True)
        except OSError:
            continue
        if words[0].endswith(b"qemu-system-x86_64") and here == boot:
            found.append(int(entry.name))
    return found


def events(parent: Path, kind: str) -> list[dict[str, Any]]:
    """What the journal of the one run there says of a kind, as far as it is written."""
    every = (line for path in parent.glob("*/journal.jsonl") for line in journal.read(path.parent))
    return [line for line in every if line["event"] == kind]


def kill(popen: "subprocess.Popen[bytes]", parent: Path, test: str) -> None:
    """Kill the QEMU of a test that its guest has begun, as the host's OOM killer would."""
    deadline = time.monotonic() + RUN_S
    while not (boots := [path for path in parent.glob("*/boots/*") if has_begun(path, test)]):
        assert time.monotonic() < deadline and popen.poll() is None
        time.sleep(0.02)
    (pid,) = qemu_of(boots[0].resolve())
    os.kill(pid, signal.SIGKILL)


def has_begun(boot: Path, test: str) -> bool:
    """The agent has said so. A guest that is lost before that costs the test nothing."""
    try:
        console = (boot / "console.log").read_bytes()
    except FileNotFoundError:
        return False
    return any(
        line.endswith(test.encode()) and b": start " in line for line in console.split(b"\r\n")
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_qemu_costs_a_guest_and_no_test(tmp_path: Path, many: Path, jobs: str) -> None:
    words = ("--suite", "many", "--jobs", jobs, "--isolation", "test" if jobs == "2" else "suite")
    command = argv("run", *words, "--output", str(tmp_path))
    with subprocess.Popen(command, env=environment(many)) as popen:
        for name in VICTIMS:
            kill(popen, tmp_path, f"many/{name}")
        assert popen.wait(RUN_S) == 0
    results = events(tmp_path, "result")
    assert sorted(one["test"] for one in results) == [f"many/t{n:02}.sh" for n in range(COUNT)]
    assert {one["outcome"] for one in results} == {"pass"}
    lost = events(tmp_path, "lost")
    assert [one["what"] for one in lost] == ["QEMU died"] * 2
    again = {one["test"] for one in results if one["retried"]}
    assert again == {f"many/{name}" for name in VICTIMS} == {one["test"] for one in lost}
