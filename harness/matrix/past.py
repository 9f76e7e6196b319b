# SPDX-License-Identifier: GPL-2.0-only
"""How long tasks took in earlier matrices, and so how long others are going to take."""

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.errors import ExitCode
from harness.matrix import record
from harness.model import Ended, Kind, Task

_MATRICES = 20
_SAMPLES = 5  # of one command line: kernels, tests and machines change
_UNKNOWN_S = {Kind.BUILD: 120.0, Kind.TEST: 60.0}
_TO_ITS_END = (ExitCode.OK, ExitCode.FAILED)


class Past:
    """Durations by command line, and by what is alike."""

    def __init__(self, matrices: Iterable[Path]) -> None:
        self._exact: dict[tuple[str, ...], list[Ended]] = defaultdict(list)
        self._alike: dict[tuple[str, ...], list[Ended]] = defaultdict(list)
        for directory in matrices:
            with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
                self._read(directory)

    def _read(self, directory: Path) -> None:
        told = record.load(directory)
        for task in told.tasks:
            ended = told.ended.get(task.name)
            if ended is None or ended.exit not in _TO_ITS_END or not _whole(task, ended):
                continue
            if len(self._exact[task.argv]) < _SAMPLES:
                self._exact[task.argv].append(ended)
            for key in _alike(task):
                self._alike[key].append(ended)

    def expect(self, task: Task) -> Task:
        """The task with how long it is going to take, and what load it is: the median of its own
        past, or of that of the tasks that are most like it."""
        own = self._exact.get(task.argv, [])
        like = (self._alike.get(key) for key in _alike(task))
        found = own or next((past for past in like if past), [])
        times = [one.duration_s for one in found] or [_UNKNOWN_S[task.kind]]
        loads = [one.cpu_s / one.duration_s for one in own if one.cpu_s and one.duration_s]
        return replace(
            task,
            expected_s=round(statistics.median(times), 1),
            load=round(statistics.median(loads), 2) if loads else 0.0,
            known=bool(own),
        )


def newest() -> Past:
    """That of this user's last matrices, the newest first."""
    return Past(record.recent()[:_MATRICES])


def _whole(task: Task, ended: Ended) -> bool:
    """It did what it is there for, and nothing else: a build from the cache says nothing of
    building, and a cell that built its kernels nothing of testing."""
    return (ended.built > 0) == (task.kind is Kind.BUILD) and not ended.resumed


def _alike(task: Task) -> list[tuple[str, ...]]:
    """What tasks have in common, the closest first."""
    if task.kind is Kind.BUILD:
        return [(task.kind, task.group), (task.kind,)]
    _, *others = task.name.split("/")  # the tree makes the least difference
    return [(task.kind, *others[:count]) for count in range(len(others), -1, -1)]
