#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The Python tests of a suite against one start of pytest, in the same guest, under TCG.

    bench/python_suite.py [--rounds N] [--series S] [--suite A]

A round is one guest. It runs `python -m pytest --co -q` on a file with one test, the whole suite
as the harness does, and the suite by pytest itself, whose durations (set-up, call and teardown)
are the tests' own time. Who comes first, and so finds the guest's caches cold, alternates.
Prints medians in seconds and the ratio of the suite to a start plus the own time (the promise: at
most 1.2), cold against cold and warm against warm.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import project
from harness.guest import BootPlan, agent, vng
from harness.guest.session import Session
from harness.model import Command, GuestSpec, Kernel, Mount, Test
from harness.suites.guest_tests import GuestTests

PEER_DIR = "/run/harness/bench"
LIMIT_S = 600.0
DURATION = re.compile(r"^([\d.]+)s (?:setup|call|teardown)", re.MULTILINE)


def cached_kernel(series: str, runs: str) -> Kernel:
    """The kernel that `harness run` takes for the series."""
    argv = [sys.executable, "-m", "harness", "run", "--series", series, "--accel", "tcg", "--json"]
    done = subprocess.run([*argv, "--output", runs], stdout=subprocess.PIPE, check=True)
    journal = Path(json.loads(done.stdout)["run_dir"], "journal.jsonl")
    events = [json.loads(line) for line in journal.open()]
    directory = Path(next(event["dir"] for event in events if event["event"] == "kernel"))
    return Kernel(
        key=directory.name, release="", tree="", dir=directory, cached=True, boots="vmlinux"
    )


def pytest_in(guest: Session, directory: str, *words: str) -> tuple[float, str]:
    """How long plain pytest takes in `directory`, and what it says."""
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words)
    # Plugins that happen to be installed would only slow it down.
    env = (("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"),)
    ended = guest.run(Command(argv=argv, cwd=directory, env=env, timeout_s=LIMIT_S))
    if ended.status != 0:
        raise SystemExit(f"pytest ended with {ended.status}:\n{ended.output.decode()}")
    return ended.duration_s, ended.output.decode()


def whole_suite(guest: Session, tests: list[Test]) -> float:
    """How long the suite takes as the pipeline runs it, the server's start included."""
    started = time.monotonic()
    for test in tests:
        command = Command(
            argv=test.argv,
            cwd=test.cwd,
            timeout_s=LIMIT_S,
            label=test.name,
            server=test.server,
        )
        ended = guest.run(command)
        if ended.status != 0:
            raise SystemExit(f"{test.name} ended with {ended.status}:\n{ended.output.decode()}")
    return time.monotonic() - started


def show(name: str, times: list[float]) -> float:
    """Print one line of figures; gives the median."""
    middle = statistics.median(times)
    print(f"{name:<28} median {middle:6.2f} s, {min(times):.2f} to {max(times):.2f}")
    return middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--series", default="aio-poll")
    parser.add_argument("--suite", default="aio-poll")
    arguments = parser.parse_args()
    suite = GuestTests(project.root(), arguments.suite)
    own: list[float] = []
    starts: dict[bool, list[float]] = {True: [], False: []}
    suites: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as scratch:
        peer = Path(scratch, "peer")
        peer.mkdir()
        (peer / "test_one.py").write_text("def test_nothing():\n    pass\n")
        kernel = cached_kernel(arguments.series, scratch)
        prepared = suite.prepare(Path(scratch, "programs.log"))
        tests = [test for test in prepared.tests if test.server]
        built = agent.build()
        plan = BootPlan(
            spec=GuestSpec(),
            mounts=(*prepared.mounts, Mount(guest=PEER_DIR, host=peer)),
            agent=built.program,
            calibration_us=built.calibration_us,
            accel="tcg",
        )
        for number in range(arguments.rounds):
            boot = Path(scratch, f"boot-{number}")
            boot.mkdir()
            peer_is_cold = number % 2 == 0
            with vng.boot(kernel, plan, boot) as guest:
                for peers_turn in (peer_is_cold, not peer_is_cold):
                    if peers_turn:
                        took = pytest_in(guest, PEER_DIR, "--co", "-q")[0]
                        starts[peer_is_cold].append(took)
                    else:
                        suites[not peer_is_cold].append(whole_suite(guest, tests))
                said = pytest_in(guest, tests[0].cwd, "-q", "-vv", "--durations=0")[1]
                own.append(sum(map(float, DURATION.findall(said))))
    own_s = show(f"{len(tests)} tests' own time", own)
    for cold in (True, False):
        word = "cold" if cold else "warm"
        start_s = show(f"pytest --co -q, {word}", starts[cold])
        suite_s = show(f"Python tests, {word}", suites[cold])
        print(f"ratio, {word}                  {suite_s / (start_s + own_s):.2f}")
    print(f"on {os.cpu_count()} processors, {arguments.rounds} rounds")


if __name__ == "__main__":
    main()
