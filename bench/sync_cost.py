#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the series cost those who do not use them: synchronous rings of pipes, sockets; file reads.

    bench/sync_cost.py [--series S] [--tree T] [--seconds N]

The peer is the unpatched kernel of the same tree and configuration. QEMU counts instructions
(`-icount shift=0`: each is a nanosecond of the guest's time), so that neither other programs on
the host nor its clock matter. Prints a row per measurement, base against series, and the ratio
(the promise: below 1.03).

- pipetest's hops per guest second are instructions per hop. Rings of two hops and one token in
  blocking reads and writes, and those and rings of eight and four under epoll. (Eight threads that
  block take turns as the scheduler likes: that differs by a third from boot to boot.)
- read-cost's CPU time per read, of 4 and 64 KiB of a file on ext4, in the page cache and not.
"""

import argparse
import os
import re
import subprocess
import sys

RINGS = [
    f"./pipetest --mode {mode} --file {file} --hops {hops} --tokens {tokens} --seconds "
    for mode, hops, tokens in (("sync", 2, 1), ("epoll", 2, 1), ("epoll", 8, 4))
    for file in ("pipe", "unix", "tcp")
]
FILES = [
    'mkfs.ext4 -q -F -E nodiscard "$SCRATCH_DEV"',
    "mkdir /tmp/disk",
    'mount "$SCRATCH_DEV" /tmp/disk',
    "./read-cost /tmp/disk/file",
]
RATE = re.compile(r"^\s*# metric (\S+)\.rate ([\d.]+) ", re.MULTILINE)
CPU = re.compile(r"^\s*# metric (\S+)\.cpu ([\d.]+) ", re.MULTILINE)


def in_guest(suite: str, lines: list[str], arguments: argparse.Namespace, series: str) -> str:
    """What the shell commands write, run among the programs of `suite`."""
    script = " && ".join([f"cd /run/harness/tests/{suite}", *lines])
    argv = [sys.executable, "-m", "harness", "boot", "--tree", arguments.tree, "--suite", suite]
    argv += ["--series", series] if series else []
    argv += ["--accel", "tcg", "--qemu=-icount shift=0", "--", "sh", "-c", script]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return done.stdout


def instructions(arguments: argparse.Namespace, series: str) -> dict[str, float]:
    """Per hop by the name of the ring, as sync.pipe.2x1, and per read, as cold.4k."""
    rings = [f"{ring}{arguments.seconds}" for ring in RINGS]
    hops = RATE.findall(in_guest("aio-pipe", rings, arguments, series))
    reads = CPU.findall(in_guest("fsx", FILES, arguments, series))
    return {name: 1e9 / float(rate) for name, rate in hops} | {
        name: float(cost) for name, cost in reads
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="aio-poll,aio-nonblock,aio-retry-read")
    parser.add_argument("--tree", default="6.12")
    parser.add_argument("--seconds", type=float, default=0.05, help="of the guest's, per ring")
    arguments = parser.parse_args()
    before = instructions(arguments, "")
    after = instructions(arguments, arguments.series)
    if not before or before.keys() != after.keys():
        raise SystemExit(f"measurements differ: {sorted(before)}, {sorted(after)}")
    print(f"{'what':<16} {'base':>8} {'series':>8}  ratio   (instructions per hop or read)")
    for name, count in before.items():
        print(f"{name:<16} {count:>8.0f} {after[name]:>8.0f}  {after[name] / count:.4f}")
    print(f"worst: {max(after[name] / before[name] for name in before):.4f}")


if __name__ == "__main__":
    main()
