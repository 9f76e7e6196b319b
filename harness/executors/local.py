# SPDX-License-Identifier: GPL-2.0-only
"""Tasks as processes of this machine, each a `harness` of its own."""

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness import cache, host, proc
from harness.errors import ExitCode
from harness.executors import Capacity, Finished, Order, Progress
from harness.executors.progress import Cells
from harness.model import Kind

_NICE = 10
_END_S = 60.0  # of a process whose output has ended
_FREE_SHARE = 0.8  # of the memory that is free


class Local:
    """See executors.Executor. `cpus` are all that this process may use where it is None."""

    def __init__(self, cpus: int | None = None) -> None:
        self._capacity = Capacity(
            cpus=cpus or host.processors(), memory_mib=int(host.free_mib() * _FREE_SHARE)
        )
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._running: dict[str, tuple[proc.Process, threading.Thread]] = {}
        self._cells = Cells()

    @property
    def capacity(self) -> Capacity:
        """See executors.Executor; the memory that was free at the beginning."""
        return self._capacity

    @property
    def resumes(self) -> bool:
        """See executors.Executor."""
        return True

    def has(self, kernel: str) -> bool:
        """See executors.Executor."""
        return cache.hold(cache.root() / "kernels" / kernel / "kernel.json")

    def start(self, order: Order) -> None:
        """See executors.Executor. HostError where no process can be started."""
        began = time.monotonic()
        if order.task.kind is Kind.TEST:
            self._cells.begin(order.task.name, order.argv)
        with order.log.open("wb") as log:
            process = proc.spawn(
                command(order.argv, build=order.task.kind is Kind.BUILD),
                # Its record is looked for among all others, should this process be killed.
                env={"HARNESS_JOBS": str(order.cpus), "HARNESS_OUTPUT": str(cache.runs())},
                stderr=log.fileno(),
            )
        name = order.task.name
        thread = threading.Thread(target=self._follow, args=(name, process, began), daemon=True)
        self._running[name] = process, thread
        thread.start()

    def wait(self, timeout_s: float) -> list[Finished]:
        """See executors.Executor."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._finished.get(timeout=timeout_s))
            while True:
                found.append(self._finished.get_nowait())
        for one in found:
            self._running.pop(one.task, None)
            self._cells.end(one.task)
        return found

    def progress(self) -> Mapping[str, Progress]:
        """See executors.Executor."""
        return self._cells.progress()

    def _follow(self, name: str, process: proc.Process, began: float) -> None:
        """Read what a process writes to its end, and how it ended."""
        with process:
            said = process.stdout.read()
            status = process.wait(_END_S)
        self._finished.put(
            Finished(
                task=name,
                exit=ExitCode.BUG if status is None else status,
                duration_s=round(time.monotonic() - began, 3),
                document=document_of(said),
            )
        )

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        """All that still runs is killed: a run that was killed can be gone on with."""
        for process, _thread in self._running.values():
            process.kill()
        for _process, thread in self._running.values():
            thread.join(_END_S)
        self._running.clear()


def command(argv: Sequence[str], *, build: bool) -> list[str]:
    """The command line of a task's process. Compilers take what guests leave: a test has its times
    to keep, a build has none."""
    first = ["nice", "-n", str(_NICE)] if build else []
    return [*first, sys.executable, "-m", "harness", *argv, "--json"]


def document_of(said: bytes) -> Mapping[str, Any]:
    """The JSON document that a command wrote; empty for none."""
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
