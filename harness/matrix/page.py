# SPDX-License-Identifier: GPL-2.0-only
"""report.html of a matrix: the runs of all cells that have ended, made again while others run."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness import cache, recorded, report
from harness.errors import HarnessError
from harness.matrix.run import State
from harness.model import Ended, Kind, Task
from harness.recorded import Recorded
from harness.report import Options
from harness.report.words import duration

_EVERY_S = 20.0
_SHARE = 0.03  # of the time, at most, for making it


class Page:
    """The file, which is whole at any time. A run.Watch."""

    def __init__(self, path: Path, ended: Iterable[Ended] = ()) -> None:
        self.path = path
        self._runs = {one.task: one.run_dir for one in ended if one.run_dir}
        self._changed = False
        self._next = time.monotonic() + _EVERY_S

    def begun(self, task: Task, cpus: int) -> None:
        """See run.Watch."""

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        """See run.Watch."""
        if task.kind is Kind.TEST and ended.run_dir:
            self._runs[task.name] = ended.run_dir
            self._changed = True

    def look(self, state: State) -> None:
        """See run.Watch."""
        began = time.monotonic()
        if not self._changed or began < self._next:
            return
        names = ", ".join(grant.task.name for grant, _ in state.running)
        self.write(
            f"{state.cells_ended} of {state.cells} cells have ended, about "
            f"{duration(state.left_s)} left. Running: {names or 'none'}",
            refresh_s=int(_EVERY_S),
        )
        now = time.monotonic()
        self._next = now + max(_EVERY_S, (now - began) / _SHARE)

    def write(self, notice: str, *, refresh_s: int = 0) -> None:
        """Make it of the runs that there are; nothing where there are none."""
        runs = list(self._recorded())
        if runs:
            options = Options(notice=notice, refresh_s=refresh_s)
            cache.write_whole(self.path, report.make("html", runs, options))
        self._changed = False

    def _recorded(self) -> Iterable[Recorded]:
        for name, directory in self._runs.items():
            # One that was removed meanwhile.
            with contextlib.suppress(OSError, HarnessError):
                yield replace(recorded.load(Path(directory)), title=name)
