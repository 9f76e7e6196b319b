# SPDX-License-Identifier: GPL-2.0-only
"""Where the tasks of a matrix run: here (local.py), or on other machines (dask.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.model import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Processors and memory (MiB) for tasks, on how many machines, and processors of guests for
    each of these at most."""

    cpus: int
    memory_mib: int
    machines: int = 1
    crowd: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A task to run with `argv`, which may say more than the task's own, on `cpus` processors;
    what it says on standard error goes to `log`."""

    task: Task
    argv: tuple[str, ...]
    cpus: int
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task that ran: its exit status, how long it took, and the JSON document that it wrote,
    empty where it wrote none; `error` where it is the executor that says why. `worker` and `lost`
    as in Ended."""

    task: str
    exit: int
    duration_s: float
    document: Mapping[str, Any]
    error: str = ""
    worker: str = ""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running task is: how many tests have ended of how many (0: not known), the one
    that runs now, empty for none, what the others came to so far, and where it all runs, empty for
    here."""

    ended: int
    planned: int
    test: str
    counts: Mapping[str, int]
    worker: str = ""


class Executor(Protocol):
    """Runs tasks, as many at once as its caller starts: that is the schedule's to know. As a
    context manager none of them outlives the block."""

    @property
    def capacity(self) -> Capacity:
        """What there is for tasks, now."""
        ...

    @property
    def resumes(self) -> bool:
        """A task that was interrupted can be gone on with: what it had recorded is here."""
        ...

    def has(self, kernel: str) -> bool:
        """The tasks can have the kernel of that key without building it."""
        ...

    def start(self, order: Order) -> None:
        """Begin with a task."""
        ...

    def wait(self, timeout_s: float) -> list[Finished]:
        """The tasks that have ended since; none where none did within the time."""
        ...

    def progress(self) -> Mapping[str, Progress]:
        """How far running tasks are, by their names, as far as that is known. It is found out when
        this is called, and costs nothing before."""
        ...

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *_: object) -> None: ...
