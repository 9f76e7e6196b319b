#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a Dask cluster costs for each cell, with cells that take no time, against Dask alone.

    python -m bench.cluster [--cells N ...] [--workers N] [--threads N]

Each size has a scheduler, workers and a client of its own, all on this machine. The client runs a
matrix as `harness matrix --scheduler` does: the schedule, a journal that is synced for each begin
and end, a packet and an answer for each cell, which its worker tells the scheduler of before it
begins. The peer is the same number of tasks that do nothing, given to Dask all at once. Prints
for each cell the wall clock, the processor's time of the scheduler and of the client, its ratio to
the first size (flat is 1) and to the peer, and the largest memory of both.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import distributed

from bench.matrix import plan
from harness.executors.dask import DaskExecutor
from harness.executors.packet import Answer, Packet
from harness.executors.remote import Place, run
from harness.matrix import record, summary
from harness.matrix.record import MatrixRecord
from harness.matrix.run import MatrixRun
from harness.model import Kind

REPO = Path(__file__).parents[1]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def stub(packet: Packet, place: Place) -> Answer:
    """A cell that passes at once."""
    document = {"results": [{"outcome": "pass"}], "cached": True}
    return Answer(exit=0, duration_s=1.0, document=document, worker=place.worker)


def nothing(number: int) -> int:
    """A task of the peer's."""
    return number


@contextlib.contextmanager
def cluster(place: Path, workers: int, threads: int) -> Iterator[tuple[str, int]]:
    """The address of a scheduler, and its process."""
    told = place / "scheduler.json"
    dask = str(Path(sys.executable).with_name("dask"))
    env = {**os.environ, "PYTHONPATH": str(REPO), "XDG_CACHE_HOME": str(place / "cache")}
    words = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told)]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((place / "log").open("wb"))

        def start(*argv: str) -> "subprocess.Popen[bytes]":
            popen = subprocess.Popen(
                [dask, *argv, "--no-dashboard"], env=env, stdout=log, stderr=log
            )
            stack.callback(popen.wait, 60)
            stack.callback(popen.kill)
            return popen

        scheduler = start("scheduler", *words)
        while not told.exists() or not told.read_text():
            time.sleep(0.1)
        address = json.loads(told.read_text())["address"]
        for number in range(workers):
            local = ["--local-directory", str(place / f"w{number}"), "--no-nanny"]
            start("worker", address, "--nthreads", str(threads), *local)
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, scheduler.pid


def used_s(pid: int) -> float:
    """Processor's time of a process (proc_pid_stat(5))."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * _TICK_S


def peak_mib(pid: int) -> float:
    """The largest memory of a process (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def matrix(address: str, cells: int) -> None:
    """As many cells, whose kernels are there."""
    tasks = [task for task in plan(cells) if task.kind is Kind.TEST]
    executor = DaskExecutor(address, root=REPO, work=partial(run, work=stub))
    with executor, MatrixRecord.new(tasks, {}) as made:
        MatrixRun(made, executor, (), record.load(made.path)).run()
    assert summary.totals(record.load(made.path)).cells == cells


def alone(address: str, cells: int) -> None:
    """The peer."""
    with distributed.Client(address, set_as_default=False) as client:
        futures = client.map(nothing, range(cells), pure=False)
        assert sum(client.gather(futures)) == cells * (cells - 1) // 2


def once(what: str, cells: int, workers: int, threads: int) -> dict[str, float]:
    """Measure one size here, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as scratch:
        os.environ["XDG_STATE_HOME"] = f"{scratch}/state"
        with cluster(Path(scratch), workers, threads) as (address, pid):
            mine, its, began = time.process_time(), used_s(pid), time.monotonic()
            {"matrix": matrix, "alone": alone}[what](address, cells)
            return {
                "wall_s": time.monotonic() - began,
                "scheduler_s": used_s(pid) - its,
                "client_s": time.process_time() - mine,
                "scheduler_mib": peak_mib(pid),
                "client_mib": peak_mib(os.getpid()),
            }


def measure(what: str, cells: int, asked: argparse.Namespace) -> dict[str, float]:
    """once(), in a new process."""
    argv = [sys.executable, "-m", "bench.cluster", "--once", what, "--cells", str(cells)]
    argv += ["--workers", str(asked.workers), "--threads", str(asked.threads)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, cwd=REPO)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 5000, 20000, 50000])
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        print(json.dumps(once(asked.once, asked.cells[0], asked.workers, asked.threads)))
        return
    print(
        "| cells | wall, ms each | scheduler, ms each | client, ms each | to the first size | "
        "to Dask alone | scheduler, MiB | client, MiB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    first = 0.0
    for cells in asked.cells:
        told, peer = measure("matrix", cells, asked), measure("alone", cells, asked)
        each = {key: 1000 * told[key] / cells for key in ("wall_s", "scheduler_s", "client_s")}
        first = first or each["wall_s"]
        print(
            f"| {cells:,} | {each['wall_s']:.2f} | {each['scheduler_s']:.2f} "
            f"| {each['client_s']:.2f} | {each['wall_s'] / first:.2f} "
            f"| {told['wall_s'] / peer['wall_s']:.2f} "
            f"| {told['scheduler_mib']:.0f} (alone {peer['scheduler_mib']:.0f}) "
            f"| {told['client_mib']:.0f} (alone {peer['client_mib']:.0f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
