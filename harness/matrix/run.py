# SPDX-License-Identifier: GPL-2.0-only
"""A matrix being run: tasks begin as there is room, what becomes of them is written down."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness import cache
from harness.errors import ExitCode, UsageError
from harness.executors import Executor, Finished, Order, Progress
from harness.matrix import outcome
from harness.matrix.record import MatrixRecord, Told
from harness.matrix.schedule import Grant, Schedule
from harness.model import Ended, Kind, Task

_LOOK_S = 0.5  # how often somebody is shown that time passes


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a matrix is: how many kernels and cells wait, which tasks run and for how many seconds
    by now, how many of how many cells have ended, and the seconds that it has run and is going
    to. `progress` finds out how far those that run are; it is for the thread of the matrix."""

    builds_waiting: int
    cells_waiting: int
    running: Sequence[tuple[Grant, float]]
    cells_ended: int
    cells: int
    elapsed_s: float
    left_s: float
    progress: Callable[[], Mapping[str, Progress]]


class Watch(Protocol):
    """Who looks on while a matrix runs."""

    def begun(self, task: Task, cpus: int) -> None:
        """A task begins."""
        ...

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        """A task has ended."""
        ...

    def look(self, state: State) -> None:
        """Time passes."""
        ...


class MatrixRun:
    """The tasks of a matrix, of which those in `told` have ended before. What is known is in
    `state()` at any time."""

    def __init__(
        self, record: MatrixRecord, executor: Executor, watches: Sequence[Watch], told: Told
    ) -> None:
        self._record = record
        self._executor = executor
        self._watches = watches
        self._tasks = {task.name: task for task in told.tasks}
        self._ended = dict(told.ended)
        self._begun = dict(told.begun)
        self._began = time.monotonic()
        self._since: dict[str, float] = {}
        self._started: dict[str, str] = {}
        self._interrupted = False
        self._cells = sum(task.kind is Kind.TEST for task in told.tasks)
        self._cells_ended = sum(map(self._is_cell, self._ended))
        self._adopted = list(self._adopt())
        self._capacity = executor.capacity
        self._schedule = Schedule(told.tasks, self._capacity, self._ended)

    def run(self, deadline_s: float | None = None) -> ExitCode:
        """Run them to their end, or begin none that would not end `deadline_s` seconds from now.
        Returns the worst exit status of the cells."""
        for ended in self._adopted:
            self._tell(ended)
        while True:
            self._look_at_room()
            while (grant := self._schedule.begin(self._left_s(deadline_s))) is not None:
                self._begin(grant)
            if not self._schedule.running and self._has_room():
                break
            for finished in self._executor.wait(_LOOK_S):
                self._end(finished)
            state = self.state()
            for watch in self._watches:
                watch.look(state)
        if self._schedule.left_out:
            self._record.leave_out(self._schedule.left_out)
        code = self.exit_code()
        self._record.finish(code)
        return code

    def _look_at_room(self) -> None:
        if (capacity := self._executor.capacity) != self._capacity:
            self._capacity = capacity
            self._schedule.resize(capacity)

    def _has_room(self) -> bool:
        """There are machines, or nothing that waits for some."""
        return self._capacity.cpus > 0 or not any(self._schedule.waiting.values())

    def exit_code(self) -> ExitCode:
        """The worst of the cells', as docs/design.md has it: the highest. One that somebody
        interrupted has not ended: the matrix can be gone on with."""
        if self._interrupted:
            return ExitCode.INTERRUPTED
        codes = [one.exit for name, one in self._ended.items() if self._is_cell(name)]
        return ExitCode(max(codes, default=ExitCode.NOTHING_RAN))

    def state(self) -> State:
        """Where it is now."""
        now = time.monotonic()
        running = [
            (grant, now - self._since[name]) for name, grant in self._schedule.running.items()
        ]
        return State(
            builds_waiting=self._schedule.waiting[Kind.BUILD],
            cells_waiting=self._schedule.waiting[Kind.TEST],
            running=running,
            cells_ended=self._cells_ended,
            cells=self._cells,
            elapsed_s=now - self._began,
            left_s=self._estimate_s(running),
            progress=self._executor.progress,
        )

    def _estimate_s(self, running: Iterable[tuple[Grant, float]]) -> float:
        """Until the end, as if the rest could be cut into equal parts for all processors."""
        work = self._schedule.waiting_work_s
        lasts = 0.0
        for grant, since_s in running:
            left_s = max(0.0, grant.task.expected_s - since_s)
            work += left_s * grant.share
            lasts = max(lasts, left_s)
        return max(lasts, work / max(1, self._capacity.cpus))

    def _left_s(self, deadline_s: float | None) -> float | None:
        return None if deadline_s is None else deadline_s - (time.monotonic() - self._began)

    def _is_cell(self, name: str) -> bool:
        return name in self._tasks and self._tasks[name].kind is Kind.TEST

    def _adopt(self) -> Iterator[Ended]:
        """Take what had ended when a matrix was killed, unseen by it."""
        for name, since in list(self._begun.items()):
            if not self._is_cell(name):
                continue
            if (ended := outcome.found(self._tasks[name], since)) is not None:
                self._keep(ended)
                del self._begun[name]
                yield ended

    def _begin(self, grant: Grant) -> None:
        task = grant.task
        argv = task.argv
        if task.kind is Kind.TEST and task.name in self._begun and self._executor.resumes:
            argv = (*argv, "--resume")
        self._record.begin(task, grant.cpus)
        self._since[task.name] = time.monotonic()
        self._started[task.name] = datetime.now(UTC).isoformat()
        self._executor.start(
            Order(task=task, argv=argv, cpus=grant.cpus, log=self._record.log(task))
        )
        for watch in self._watches:
            watch.begun(task, grant.cpus)

    def _end(self, finished: Finished) -> None:
        task = self._tasks[finished.task]
        if task.kind is Kind.BUILD and "image" in finished.document:
            cache.hold(Path(finished.document["image"]).parent)  # for the cells that wait for it
        resumed = task.name in self._begun and self._executor.resumes
        ended = outcome.of(task, finished, since=self._started[task.name], resumed=resumed)
        if ended.exit == ExitCode.INTERRUPTED:
            self._interrupted = True
        else:
            self._keep(ended)
        self._schedule.ended(task.name)
        self._tell(ended)

    def _tell(self, ended: Ended) -> None:
        state = self.state()
        for watch in self._watches:
            watch.ended(self._tasks[ended.task], ended, state)

    def _keep(self, ended: Ended) -> None:
        self._record.end(ended)
        self._ended[ended.task] = ended
        self._cells_ended += self._is_cell(ended.task)


def resumable(told: Told) -> Told:
    """A matrix of the past to go on with; UsageError where there is nothing left of it."""
    cells = [task for task in told.tasks if task.kind is Kind.TEST]
    if all(task.name in told.ended for task in cells):
        raise UsageError(
            f"{told.directory.name} came to its end",
            hint=f"harness matrix --show {told.directory.name[-4:]}",
        )
    return told
