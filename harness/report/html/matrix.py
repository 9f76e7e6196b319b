# SPDX-License-Identifier: GPL-2.0-only
"""Tests x kernels: what each cell of the table of one or more runs is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.model import Mark, Outcome, Result, Row
from harness.recorded import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A kernel of a run: `run` counts from 0, `label` is as in Step, `title` says what it is."""

    run: int
    label: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A test on a kernel: `result` is the one of its `runs` that says most. `row` is there on the
    kernel that the run is about; `inherited` as in Mark; `first_bad`: it broke here."""

    column: int
    result: Result
    runs: tuple[Result, ...]
    row: Row | None = None
    inherited: str = ""
    first_bad: bool = False

    @property
    def bad(self) -> bool:
        """Somebody will want to know why."""
        outcomes = {self.result.outcome, *(one.outcome for one in self.runs)}
        return self.first_bad or Outcome.ERROR in outcomes or any(one.bad for one in outcomes)


def columns(runs: Sequence[Recorded]) -> tuple[Column, ...]:
    """The kernels of all runs, in order."""
    return tuple(
        Column(run=number, label=label, title=_title(one, label))
        for number, one in enumerate(runs)
        for label in one.steps
    )


def _title(one: Recorded, label: str) -> str:
    marks = next((row.marks for row in one.run.rows if row.marks), ())
    patch = next((mark.patch for mark in marks if mark.label == label and mark.patch), "")
    if patch:
        return f"up to {patch}" if label != "tip" else f"the whole series, up to {patch}"
    if label == "base" or one.run.series == "base":
        return f"{one.run.base} without the series"
    return f"{one.run.base} with {one.run.series}"


def table(runs: Sequence[Recorded]) -> dict[str, list[Cell]]:
    """The cells of each test, in the order of the runs and of their plans."""
    found: dict[str, list[Cell]] = {}
    first = 0
    for one in runs:
        for name, cell in _cells(one):
            moved = replace(cell, column=first + cell.column)
            found.setdefault(name, []).append(moved)
        first += len(one.steps)
    return found


def _cells(one: Recorded) -> Iterator[tuple[str, Cell]]:
    ran: dict[tuple[str, str], list[Result]] = {}
    for result in one.results:
        ran.setdefault((result.test, result.kernel), []).append(result)
    rows = {row.result.test: row for row in one.run.rows}
    # A run that was killed has tests that ran, and none on the last kernel.
    for test in dict.fromkeys([*rows, *(test for test, _ in ran)]):
        row = rows.get(test)
        marks = {mark.label: mark for mark in row.marks} if row else {}
        for number, label in enumerate(one.steps):
            mark = marks.get(label)
            source = mark.inherited if mark else ""
            own = tuple(ran.get((test, label), ran.get((test, source), ())))
            last = row is not None and number == len(one.steps) - 1
            told = _told(row, number, last=last) or _telling(test, mark, own)
            if told is not None:
                yield (
                    test,
                    Cell(
                        column=number,
                        result=told,
                        runs=own,
                        row=row if last else None,
                        inherited=source,
                        first_bad=bool(row and mark and mark.patch and mark.patch == row.first_bad),
                    ),
                )


def _told(row: Row | None, number: int, *, last: bool) -> Result | None:
    """What the report says of either end of the series."""
    if row is None:
        return None
    return row.result if last else row.base if number == 0 else None


def _telling(test: str, mark: Mark | None, runs: Sequence[Result]) -> Result | None:
    """Of a kernel between the two ends: the first bad result, else the last one."""
    one = next((o for o in runs if o.outcome.bad), runs[-1] if runs else None)
    if mark is None or mark.outcome is None:
        return one if mark is None else None
    one = one or Result(test=test, outcome=mark.outcome, kernel=mark.label)
    return replace(one, outcome=mark.outcome, detail=mark.detail)
