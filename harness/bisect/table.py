# SPDX-License-Identifier: GPL-2.0-only
"""The evidence: how often each kernel ran, how often it failed, and what that makes of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.bisect import outcome
from harness.bisect.ends import Tally
from harness.bisect.record import Told
from harness.bisect.run import AnySearch
from harness.bisect.search import Search
from harness.bisect.subset import SubsetSearch
from harness.bisect.view import ranges, short
from harness.model import GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kernel: its name, its runs, what it is or why nothing is known of it. `verdict` is bad,
    good, skip or same, as a step's; `probability` is that of its last change being the culprit,
    None where there is none; `culprit`: it is the answer, or one of it. `run_dir` has its runs."""

    number: int
    name: str
    runs: int
    failed: int
    probability: float | None
    title: str
    verdict: str
    culprit: bool
    run_dir: str


def rows(told: Told, search: AnySearch) -> Iterator[Row]:
    """Those that were looked at, from the good end to the bad one; then sets of patches."""
    asked, found = told.question, outcome.culprits(search, told)
    subset = isinstance(search, SubsetSearch)
    for number, tally in sorted(search.tallies.items()):
        share = None
        if isinstance(search, Search) and number != GOOD:
            share = search.posterior.probability(number)
        yield _row(
            told,
            (number, ()),
            tally,
            name=short(asked, number),
            title=asked.candidate(number).title,
            probability=share,
            culprit=number in found and not subset,
        )
    if isinstance(search, SubsetSearch):
        for chosen, tally in search.sets.items():
            yield _row(
                told, (asked.bad, chosen), tally, name=ranges(chosen), culprit=chosen == found
            )


def _row(
    told: Told,
    which: tuple[int, tuple[int, ...]],
    tally: Tally,
    *,
    name: str,
    culprit: bool,
    title: str = "",
    probability: float | None = None,
) -> Row:
    steps = [one for one in told.steps if (one.number, one.chosen) == which]
    shown = next((one.run_dir for one in steps if one.failed), steps[-1].run_dir if steps else "")
    like = "" if tally.runs else _like(told, which)
    said = f"the same program as {like}" if like else tally.why
    return Row(
        number=which[0],
        name=name,
        runs=tally.runs,
        failed=tally.failed,
        probability=probability,
        title=title if tally.runs else said,
        verdict=_verdict(tally),
        culprit=culprit,
        run_dir=shown,
    )


def _verdict(tally: Tally) -> str:
    if tally.failed:
        return "bad"
    if tally.passed:
        return "good"
    return "skip" if tally.lost or tally.untestable else "same"


def _like(told: Told, which: tuple[int, tuple[int, ...]]) -> str:
    """The kernel whose runs are this one's too, as both are the same program."""
    mine = {one.program for one in told.steps if (one.number, one.chosen) == which} - {""}
    for one in told.steps:
        if one.program in mine and (one.failed or one.passed):
            return "the good end" if one.number == GOOD else short(told.question, one.number)
    return ""
