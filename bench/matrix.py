#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the scheduler of a matrix costs for each cell, with tasks that take no time.

    python -m bench.matrix [--cells N ...]

Each size runs in a process of its own, with a state directory of its own: a kernel for every four
cells, a journal that is synced for each begin and end, as in earnest. Prints the processor's time
for each cell, its ratio to the first size (flat is 1), and the process's largest memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from harness.executors import Capacity, Finished, Order, Progress
from harness.matrix import record, summary
from harness.matrix.record import MatrixRecord
from harness.matrix.run import MatrixRun
from harness.model import Kind, Task

_CELLS_A_KERNEL = 4


class Stub:
    """Eight processors whose tasks end as soon as they are asked for."""

    capacity = Capacity(cpus=8, memory_mib=1 << 20)
    resumes = True

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def start(self, order: Order) -> None:
        """See executors.Executor."""
        self._orders.append(order)

    def wait(self, timeout_s: float) -> list[Finished]:
        """See executors.Executor."""
        order = self._orders.pop()
        return [Finished(task=order.task.name, exit=0, duration_s=1.0, document={})]

    def has(self, kernel: str) -> bool:
        """See executors.Executor."""
        return False

    def progress(self) -> dict[str, Progress]:
        """See executors.Executor."""
        return {}

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def plan(cells: int) -> list[Task]:
    """As many cells, and their kernels."""
    kernels = [
        Task(name=f"kernel {n}", kind=Kind.BUILD, argv=("build", str(n)), group=f"g{n % 9}")
        for n in range(-(-cells // _CELLS_A_KERNEL))
    ]
    return kernels + [
        Task(
            name=f"6.12/s{n}/base/one",
            kind=Kind.TEST,
            argv=("run", "--tree", "6.12", "--series", f"s{n}"),
            cpus=1 + n % 2,
            needs=(kernels[n // _CELLS_A_KERNEL].name,),
            priority=n % 3,
            expected_s=float(n % 97),
        )
        for n in range(cells)
    ]


def once(cells: int) -> dict[str, float]:
    """Run a matrix of this size here."""
    tasks = plan(cells)
    before, began = time.process_time(), time.monotonic()
    with MatrixRecord.new(tasks, {}) as made:
        told = record.load(made.path)
        MatrixRun(made, Stub(), (), told).run()
    used, wall = time.process_time() - before, time.monotonic() - began
    assert summary.totals(record.load(made.path)).cells == cells
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cells": cells, "cpu_s": used, "wall_s": wall, "mib": peak}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[200, 2000, 8000])
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        print(json.dumps(once(asked.once)))
        return
    first = 0.0
    for cells in asked.cells:
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as state:
            argv = [sys.executable, "-m", "bench.matrix", "--once", str(cells)]
            environment = {**os.environ, "XDG_STATE_HOME": state}
            done = subprocess.run(argv, env=environment, capture_output=True, check=True)
        told = json.loads(done.stdout)
        each = told["cpu_s"] / cells
        first = first or each
        print(
            f"{cells:>6} cells: {1000 * each:6.2f} ms of processor each, x{each / first:4.2f}; "
            f"{told['wall_s']:6.1f} s; {told['mib']:5.0f} MiB"
        )


if __name__ == "__main__":
    main()
