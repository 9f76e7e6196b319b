#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A run with nothing changed against `vng --exec true` on the same image, interleaved.

    bench/warm_run.py [--rounds N] [--series S]

Prints the medians in seconds and their ratio (the promise: at most 1.3). Both use TCG and 9p, the
faster of virtme-ng's two ways on a machine without KVM and virtiofsd; `--default-fs` lets vng
choose by itself. C tests only: Python is another benchmark. On a host without udev vng is faster
than elsewhere (its init has less to do) and reports 255.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import proc

C_TESTS = ("--test", "*/[!t]*", "--test", "*/two-*")  # those in Python are named test_*


def timed(argv: list[str], good: tuple[int, ...] = (0,)) -> tuple[float, int]:
    """Wall time in seconds of a command that must end with one of the `good` statuses; which."""
    started = time.monotonic()
    status = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=600,
        env=proc.environment(),  # vng starts virtme-run by name
    ).returncode
    if status not in good:
        raise SystemExit(f"{argv[0]} ended with {status}")
    return time.monotonic() - started, status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--series", default="aio-poll")
    parser.add_argument("--default-fs", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        harness = [sys.executable, "-m", "harness", "run", "--series", arguments.series]
        harness += ["--output", runs, "--accel", "tcg", *C_TESTS]
        first = subprocess.run([*harness, "--json"], stdout=subprocess.PIPE, check=True)
        run_dir = Path(json.loads(first.stdout)["run_dir"])
        events = [json.loads(line) for line in (run_dir / "journal.jsonl").open()]
        planned = next(event["tests"] for event in events if event["event"] == "plan")
        in_c = [name for name in planned if not name.partition("/")[2].startswith("test_")]
        harness += [word for name in in_c for word in ("--test", name)]
        directory = next(event["dir"] for event in events if event["event"] == "kernel")
        vng = shutil.which("vng") or str(Path(sys.executable).with_name("vng"))
        peer = [vng, "--run", f"{directory}/vmlinux", "--user", "root", "--disable-kvm"]
        peer += ["--memory", "512M", "--cpus", "1", "--exec", "true"]
        peer += [] if arguments.default_fs else ["--force-9p"]
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            # Without udev in the guest vng runs the command and reports 255.
            took, status = timed(peer, good=(0, 255))
            theirs.append(took)
            ours.append(timed(harness)[0])
    for name, times in (("harness run", ours), ("vng --exec true", theirs)):
        middle = statistics.median(times)
        print(f"{name:<16} median {middle:6.2f} s, {min(times):.2f} to {max(times):.2f}")
    if status:
        print(
            f"vng ended with {status}: there is no udev in its guest, so it did less than it should"
        )
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio         {ratio:.2f} on {os.cpu_count()} processors, {arguments.rounds} rounds")


if __name__ == "__main__":
    main()
