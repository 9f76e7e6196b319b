#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a series costs those who do not use it: synchronous rings of pipes and sockets.

    bench/sync_cost.py [--series S] [--tree T] [--seconds N]

The peer is the unpatched kernel of the same tree and configuration. QEMU counts instructions
(`-icount shift=0`: each is a nanosecond of the guest's time), so that neither other programs on
the host nor its clock matter; pipetest's hops per guest second are instructions per hop then. Rings
of two hops and one token in blocking reads and writes, and those and rings of eight and four under
epoll. (Eight threads that block take turns as the scheduler likes: that differs by a third from
boot to boot.) Prints a row per ring, base against series, and the ratio (the promise: below 1.03).
"""

import argparse
import os
import re
import subprocess
import sys

RINGS = [
    (mode, file, hops, tokens)
    for mode, hops, tokens in (("sync", 2, 1), ("epoll", 2, 1), ("epoll", 8, 4))
    for file in ("pipe", "unix", "tcp")
]
METRIC = re.compile(r"^\s*# metric (\S+)\.rate ([\d.]+) ", re.MULTILINE)


def instructions_per_hop(tree: str, series: str, seconds: float) -> dict[str, float]:
    """By the name of the ring, as sync.pipe.2x1."""
    lines = [
        f"./pipetest --mode {mode} --file {file} --hops {hops} --tokens {tokens}"
        f" --seconds {seconds}"
        for mode, file, hops, tokens in RINGS
    ]
    script = " && ".join(["cd /run/harness/tests/aio-pipe", *lines])
    argv = [sys.executable, "-m", "harness", "boot", "--tree", tree, "--suite", "aio-pipe"]
    argv += ["--series", series] if series else []
    argv += ["--accel", "tcg", "--qemu=-icount shift=0", "--", "sh", "-c", script]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return {name: 1e9 / float(rate) for name, rate in METRIC.findall(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="aio-poll,aio-nonblock")
    parser.add_argument("--tree", default="6.12")
    parser.add_argument("--seconds", type=float, default=0.05, help="of the guest's, per ring")
    arguments = parser.parse_args()
    before = instructions_per_hop(arguments.tree, "", arguments.seconds)
    after = instructions_per_hop(arguments.tree, arguments.series, arguments.seconds)
    if not before or before.keys() != after.keys():
        raise SystemExit(f"rings differ: {sorted(before)}, {sorted(after)}")
    print(f"{'ring':<16} {'base':>8} {'series':>8}  ratio   (instructions per hop)")
    for name, count in before.items():
        print(f"{name:<16} {count:>8.0f} {after[name]:>8.0f}  {after[name] / count:.4f}")
    print(f"worst: {max(after[name] / before[name] for name in before):.4f}")


if __name__ == "__main__":
    main()
