# SPDX-License-Identifier: GPL-2.0-only
"""What each patch of a series did to the tests: a table of tests and patches, for a terminal."""

from collections.abc import Iterator, Sequence

from harness.model import Mark, Row, Settled, Verdict
from harness.report.paint import outcome_colour, paint, squeeze, wrapped

_CELL = 8  # columns of the longest outcome, and its sign


def table(rows: Sequence[Row], _series: str, *, colour: bool, width: int) -> Iterator[str]:
    """A line for each test, a column for each step; `=` marks what another step ran."""
    marks = max((row.marks for row in rows), key=lambda one: sum(bool(m.inherited) for m in one))
    longest = max(4, *(len(row.result.test) for row in rows))
    name = min(longest, max(28, width - (_CELL + 2) * len(marks) - 2))
    columns = "".join(f"  {mark.label:<{_CELL}}" for mark in marks)
    yield f"{'test':<{name}}{columns}  first bad"
    for row in rows:
        cells = "".join(f"  {_cell(mark, colour=colour)}" for mark in row.marks)
        yield f"{squeeze(row.result.test, name):<{name}}{cells}  {row.first_bad}".rstrip()
        yield from _why(row, width)
    yield ""
    for mark in marks:
        if mark.patch:
            same = f"  (= {mark.inherited}: the same program, not run)" if mark.inherited else ""
            yield f"{mark.label:<4}  {mark.patch}{same}"


def _cell(mark: Mark, *, colour: bool) -> str:
    text = f"{mark.outcome or '-'}{'=' * bool(mark.inherited and mark.outcome)}"
    padded = f"{text:<{_CELL}}"
    return paint(padded, outcome_colour(mark.outcome), colour=colour) if mark.outcome else padded


def _why(row: Row, width: int) -> Iterator[str]:
    """What the test said where it turned bad."""
    for mark in row.marks:
        if row.first_bad and mark.patch == row.first_bad and mark.detail:
            yield from wrapped(f"{mark.label}: {mark.detail}", width)
    if row.settled is not None:
        yield from wrapped(said_of(row.settled), width)


def said_of(one: Settled) -> str:
    """The verdict of reruns in a line."""
    where = "with the series" if one.step == "tip" else f"at patch {one.step}"
    rates = f"fails {one.patched.failed} of {one.patched.runs} runs {where}"
    rates += f", {one.base.failed} of {one.base.runs} on the base"
    sure = f"{100 * one.probability:.1f} %"
    words = {
        Verdict.NEW: f"a failure of its own with {sure}",
        Verdict.FIXED: f"a failure of the base alone with {sure}",
        Verdict.UNKNOWN: f"not decided, a failure of its own with {sure}",
    }
    return f"{rates}: {words.get(one.verdict, f'not the doing of the series ({sure})')}"
