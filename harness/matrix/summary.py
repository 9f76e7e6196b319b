# SPDX-License-Identifier: GPL-2.0-only
"""What became of a matrix: a line for each cell and one of figures, and the same as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import journal
from harness.errors import ExitCode
from harness.matrix.record import Told
from harness.matrix.view import remarks, summary
from harness.model import SCHEMA, Ended, Kind
from harness.report.paint import paint
from harness.report.words import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of the tasks that have ended: cells, how many of them not well, kernels that were built, how
    often one came from the cache, boots, and the seconds between the first and the last of it, the
    time between an interruption and its end among them."""

    cells: int
    bad: int
    built: int
    cached: int
    boots: int
    wall_s: float


def totals(told: Told) -> Totals:
    """They, as the journal has them."""
    cells = [one for task, one in _ended(told, Kind.TEST)]
    builds = [one for task, one in _ended(told, Kind.BUILD)]
    return Totals(
        cells=len(cells),
        bad=sum(one.exit != ExitCode.OK for one in cells),
        built=sum(one.built for one in (*builds, *cells)),
        cached=sum(one.cached for one in cells),
        boots=sum(one.boots for one in cells),
        wall_s=_wall_s(told.directory),
    )


def lines(told: Told, *, colour: bool = False) -> Iterator[str]:
    """For people."""
    tasks = {task.name: task for task in told.tasks}
    cells = [task for task in told.tasks if task.kind is Kind.TEST]
    width = max((len(task.name) for task in cells), default=0)
    for task in cells:
        one = told.ended.get(task.name)
        if one is None:
            why = "left out: no time" if task.name in told.left_out else "not run"
            yield f"{task.name:<{width}}  {paint(why, '33', colour=colour)}"
            continue
        said = paint(f"{summary(task, one):<36}", "31" if one.exit else "32", colour=colour)
        name = Path(one.run_dir).name[-4:] or "-"
        yield f"{task.name:<{width}}  {said} {one.duration_s:>8.1f} s  {name}"
        for line in remarks(one):
            yield f"{'':<{width}}  {line}"
    for name, one in told.ended.items():
        if one.exit and tasks[name].kind is Kind.BUILD:
            yield f"{name}: {summary(tasks[name], one)} (exit {one.exit}): {tasks[name].command}"
    made = totals(told)
    yield (
        f"{made.cells} of {len(cells)} cells, {made.bad} not good; {made.built} kernels built, "
        f"{made.cached} taken from the cache; {made.boots} boots; {duration(made.wall_s)}"
    )


def document(told: Told, exit_code: int) -> dict[str, Any]:
    """For programs."""
    return {
        "schema": SCHEMA,
        "matrix_dir": str(told.directory),
        "source": dict(told.source),
        "exit": int(exit_code),
        "cells": [_cell(task.command, one) for task, one in _ended(told, Kind.TEST)],
        "left_out": list(told.left_out),
        "totals": asdict(totals(told)),
    }


def _cell(command: str, one: Ended) -> Mapping[str, Any]:
    about = asdict(one)
    return {"name": about.pop("task"), "command": command, **about}


def _ended(told: Told, kind: Kind) -> Iterator[tuple[Any, Ended]]:
    for task in told.tasks:
        if task.kind is kind and task.name in told.ended:
            yield task, told.ended[task.name]


def _wall_s(directory: Path) -> float:
    times = [event["time"] for event in journal.read(directory)]
    first, last = (datetime.fromisoformat(times[at]) for at in (0, -1))
    return round((last - first).total_seconds(), 1)
