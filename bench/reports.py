#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every format of `harness report` on a run of many results, against its plain JSON document.

    python -m bench.reports [--rounds N] [--tests N]

Prints, for each format, the median seconds of making it, the size, and the ratio to the peer: what
`harness show --json` prints, the least that has all results. Formats and peer take turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

from harness.record import document
from harness.report import FORMATS, Options, make
from tests import runs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tests", type=int, default=10_000, help="each on two kernels")
    asked = parser.parse_args()
    run = runs.many(asked.tests)
    makers: dict[str, Callable[[], bytes]] = {
        "json": lambda: json.dumps(document(run.run, 1), indent=1).encode()
    }
    for name in FORMATS:
        makers[name] = lambda name=name: make(name, [run], Options())  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    sizes = {}
    for _ in range(asked.rounds):
        for name, maker in makers.items():
            began = time.monotonic()
            sizes[name] = len(maker())
            seconds[name].append(time.monotonic() - began)
    peer = statistics.median(seconds["json"])
    print(f"{2 * asked.tests} results; ratios to their JSON document")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:<9} {middle:6.2f} s  x{middle / peer:<5.2f}  {sizes[name] / 1e6:5.1f} MB")


if __name__ == "__main__":
    main()
