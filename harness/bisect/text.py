# SPDX-License-Identifier: GPL-2.0-only
"""The answer of a bisection as text, for a terminal."""

from collections.abc import Iterator

from harness.bisect import outcome
from harness.bisect.answer import Answer
from harness.bisect.facts import Culprit
from harness.bisect.table import Row
from harness.report import text
from harness.report.paint import fit, wrapped
from harness.report.words import duration

_NAME = 14


def lines(one: Answer, *, width: int = 100, colour: bool = False) -> Iterator[str]:
    """The answer, and why."""
    if one.culprits:
        yield from _answer(one, width)
    for number, line in enumerate(one.missing):
        yield f"{'  ' * number}{line}"
    if one.search.signature is not None:
        yield from _shown(one, width=width, colour=colour)
    yield ""
    yield f"{'':<{_NAME}} {'runs':>5} {'failed':>6} {'P':>8}"
    yield from (fit(row(each), width) for each in one.rows)
    yield ""
    yield from _more(one)
    yield sums(one)


def _answer(one: Answer, width: int) -> Iterator[str]:
    count = len(one.culprits)
    if one.subset:
        yield f"{count} of {len(one.told.question.candidates)} patches are needed:"
    elif count > 1:
        yield f"one of {count} that cannot be told apart:"
    indent = "  " * (one.subset or count > 1)
    for culprit in one.culprits:
        yield fit(f"{indent}{culprit.name} {culprit.title}", width)
    sure = f"; the probability is {one.probability:.2%}" if one.probability else ""
    yield f"  {one.told.question.test}: {one.failure}{sure}"
    if one.culprit is not None:
        yield from _about(one.culprit, width)
    elif not one.subset:
        yield from (f"  {culprit.fixes}" for culprit in one.culprits if culprit.fixes)
    yield from (f"  note: {note}" for note in dict.fromkeys(c.note for c in one.culprits) if note)


def _about(culprit: Culprit, width: int) -> Iterator[str]:
    """Who, when, what; the trailer, which is never cut: it is there to be copied."""
    if culprit.patch:
        yield f"  {culprit.patch}"
    if culprit.author or culprit.date:
        yield fit(f"  {', '.join(filter(None, (culprit.author, culprit.date)))}", width)
    yield from (fit(f"    {line}", width) for line in culprit.diffstat)
    if culprit.others:
        yield "  with it:"
        yield from (fit(f"    {line}", width) for line in culprit.others)
    if culprit.fixes:
        yield f"  {culprit.fixes}"


def _shown(one: Answer, *, width: int, colour: bool) -> Iterator[str]:
    """What the kernel reported, or the test's own words."""
    shown = one.failing
    if shown is None:
        yield "  note: the runs that failed are gone"
    elif shown.splat is not None:
        when = f"run {shown.name}, boot {shown.splat.boot}, during {shown.result.test}"
        yield from text.splat_lines(shown.splat, when, colour=colour, width=width)
    elif shown.result.detail:
        yield from wrapped(f"{shown.result.outcome}: {shown.result.detail}", width)


def row(one: Row) -> str:
    """A line of the evidence."""
    share = "" if one.probability is None else f"{one.probability:.2%}"
    title = f"{'the culprit: ' * one.culprit}{one.title}"[:60]
    head = f"{one.name:<{_NAME}} {one.runs:>5} {one.failed:>6} {share:>8}"
    return f"{head}  {title}".rstrip()


def _more(one: Answer) -> Iterator[str]:
    for line in one.again:
        yield f"see:  {line}"
    if one.repro is not None:
        yield f"repro:  {text.short(one.repro / 'run.sh')}"


def sums(one: Answer) -> str:
    """What it took, in a line."""
    told = outcome.sums(one.told)
    return (
        f"{len(one.told.steps)} steps, {told['builds']} builds, {told['boots']} boots, "
        f"{told['runs']} runs; {duration(told['duration_s'])}"
    )
