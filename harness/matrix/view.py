# SPDX-License-Identifier: GPL-2.0-only
"""What a person sees of a matrix: a live table on a terminal, a line for each end elsewhere."""

import contextlib
import datetime
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import ExitCode
from harness.matrix.run import State, Watch
from harness.model import Ended, Kind, Outcome, Task
from harness.report.words import duration

_DRAW_S = 0.25
_WORDS = {
    ExitCode.OK: "good",
    ExitCode.FAILED: "failed",
    ExitCode.USAGE: "wrong command line",
    ExitCode.NOTHING_RAN: "nothing ran",
    ExitCode.APPLY: "does not apply",
    ExitCode.KCONFIG: "no such configuration",
    ExitCode.BUILD: "does not build",
    ExitCode.BOOT: "does not boot",
    ExitCode.GUEST_LOST: "guest lost",
    ExitCode.HOST: "host's fault",
    ExitCode.INTERRUPTED: "interrupted",
}
_GOOD = (Outcome.PASS, Outcome.XFAIL, Outcome.SKIP)  # at the end of a line


def word(code: int) -> str:
    """What an exit status of a cell means."""
    known = code in {int(one) for one in ExitCode}
    return _WORDS.get(ExitCode(code), "bug in harness") if known else f"exit {code}"


def summary(task: Task, ended: Ended) -> str:
    """What came of a task, in a few words."""
    if task.kind is Kind.BUILD:
        return "built" if ended.built else "from the cache" if not ended.exit else word(ended.exit)
    parts = [f"{ended.new} new"] if ended.new else []
    parts += [f"{count} {name}" for name, count in bad_first(ended.counts)]
    if ended.exit not in (ExitCode.OK, ExitCode.FAILED):
        parts.insert(0, word(ended.exit))
    return ", ".join(parts) or word(ended.exit)


def remarks(ended: Ended) -> list[str]:
    """What else there is to say of it, a line each."""
    lost = ", ".join(ended.lost)
    again = f"it ran again, as this worker was lost: {lost}" if lost and not ended.error else ""
    return [line for line in (ended.error, again) if line]


def bad_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Outcomes and how many there are, the bad ones first."""
    order = [*(o for o in Outcome if o not in _GOOD), *_GOOD]
    return [(str(name), counts[name]) for name in order if counts.get(name)]


class Plain:
    """A line when a task begins and when it ends. `width` are the columns of the names."""

    def __init__(self, width: int) -> None:
        self._width = width

    def begun(self, task: Task, cpus: int) -> None:
        """See run.Watch."""
        what = "build" if task.kind is Kind.BUILD else "test"
        self._line(f"{what:<6} {task.name}")

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        """See run.Watch."""
        self._line(
            f"{'done' if not ended.exit else 'BAD':<6} {task.name:<{self._width}}  "
            f"{summary(task, ended):<32} {ended.duration_s:>7.1f} s  "
            f"[{state.cells_ended}/{state.cells} cells, about {duration(state.left_s)} left]"
        )
        for line in remarks(ended):
            self._line(f"       {line}")

    def look(self, state: State) -> None:
        """See run.Watch."""

    def _line(self, text: str) -> None:
        now = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
        print(f"{now} {text}", file=sys.stderr, flush=True)


class Live:
    """A table of what runs, under the lines of what has ended badly."""

    def __init__(self, display: Any, width: int) -> None:
        self._display = display
        self._width = width
        self._drawn = 0.0

    def begun(self, task: Task, cpus: int) -> None:
        """See run.Watch."""

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        """See run.Watch."""
        from rich.text import Text

        if not ended.exit and not ended.lost:
            return  # a line of the table at the end
        line = Text(f"{task.name:<{self._width}}  ")
        line.append(f"{summary(task, ended):<32}", "red" if ended.exit else "green")
        line.append(f" {ended.duration_s:>7.1f} s")
        self._display.console.print(line)
        for remark in remarks(ended):
            self._display.console.print(Text(f"  {remark}", "red" if ended.exit else ""))

    def look(self, state: State) -> None:
        """See run.Watch."""
        if time.monotonic() - self._drawn >= _DRAW_S:
            self._drawn = time.monotonic()
            room = self._display.console.size.height - 3
            self._display.update(_drawing(state, max(1, room)), refresh=True)


def _drawing(state: State, most: int) -> Any:
    """How far it is; below, `most` of what runs, a line for each."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    for grant, since_s in state.running[:most]:
        task = grant.task
        left = task.expected_s - since_s
        soon = f"about {duration(left)} left" if task.known and left > 0 else ""
        what = "build" if task.kind is Kind.BUILD else "test"
        rows.add_row(what, task.name, f"{since_s:.0f} s", f"{grant.cpus} cpu", soon)
    if (more := len(state.running) - most) > 0:
        rows.add_row("", f"and {more} more")
    head = Table.grid(padding=(0, 2))
    head.add_row(
        ProgressBar(total=max(1, state.cells), completed=state.cells_ended, width=24),
        f"{state.cells_ended}/{state.cells} cells, {state.cells_waiting} waiting, "
        f"{state.builds_waiting} kernels to build, {duration(state.elapsed_s)}, "
        f"about {duration(state.left_s)} left",
    )
    return Group(head, rows)


@contextlib.contextmanager
def shown(tasks: Mapping[str, Task], *, live: bool, colour: bool) -> Iterator[Watch]:
    """Who shows the tasks of a matrix on standard error, for the length of a block."""
    width = max((len(name) for name in tasks), default=0)
    if not live:
        yield Plain(width)
        return
    from rich.console import Console
    from rich.live import Live as Display

    console = Console(stderr=True, force_terminal=True, no_color=not colour, highlight=False)
    with Display(console=console, auto_refresh=False, transient=True) as display:
        yield Live(display, width)
