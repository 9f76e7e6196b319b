# SPDX-License-Identifier: GPL-2.0-only
"""What a bisection came to: as JSON, and for a person."""

import datetime
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from harness import journal
from harness.bisect.ends import Tally
from harness.bisect.record import Told
from harness.bisect.run import AnySearch, searched
from harness.bisect.search import Search
from harness.bisect.subset import SubsetSearch
from harness.bisect.view import ranges, short, where
from harness.model import GOOD, SCHEMA, Probed, Question, Wish
from harness.report.words import duration

_WORTH = 1e-4  # the probability of a candidate that is worth a line


def culprits(search: AnySearch) -> tuple[int, ...]:
    """The answer: one candidate, or some that nothing tells apart, or the patches that are needed;
    none where there is no answer."""
    if not search.settled:
        return ()
    return search.needed if isinstance(search, SubsetSearch) else search.found.commits


def likeliest(search: AnySearch) -> list[tuple[int, float]]:
    """The candidates and their probabilities, the likeliest first, those with hardly any left
    out."""
    if isinstance(search, SubsetSearch):
        return []
    every = range(len(search.question.candidates))
    pairs = [(number, search.posterior.probability(number)) for number in every]
    return sorted((pair for pair in pairs if pair[1] >= _WORTH), key=lambda pair: -pair[1])


def document(told: Told, exit_code: int) -> dict[str, Any]:
    """The JSON of `harness bisect --json` (docs/design.md)."""
    search = searched(told.question, told.steps)
    asked, found = told.question, culprits(search)
    names = [asked.candidates[number].name for number in found]
    return {
        "schema": SCHEMA,
        "directory": str(told.directory),
        "exit": int(exit_code),
        "space": asked.space,
        "test": asked.test,
        "culprit": names[0] if len(names) == 1 else None,
        "culprits": names,
        "probability": round(search.progress().probability, 6),
        "rate": _rate(search),
        "failure": search.signature.words if search.signature else "",
        "candidates": [
            {"commit": asked.candidates[number].name, "probability": round(share, 6)}
            for number, share in likeliest(search)
        ],
        "steps": [_step(asked, one) for one in told.steps],
        **_sums(told),
    }


def _step(asked: Question, one: Probed) -> dict[str, Any]:
    name = ranges(one.chosen) if one.chosen else asked.candidate(one.number).name
    return {**asdict(one), "commit": name, "verdict": one.verdict}


def _rate(search: AnySearch) -> float:
    """How often the test fails where it is broken."""
    if isinstance(search, Search):
        return round(search.posterior.rate, 4) if search.signature else 0.0
    bad = search.tallies.get(search.question.bad, Tally())
    return round(bad.failed / bad.runs, 4) if bad.runs else 0.0


def _sums(told: Told) -> dict[str, Any]:
    """How much was done; `ends_s` for the ends, the other seconds of steps for what is between."""
    ends = [one for one in told.steps if not _is_between(told, one)]
    between = [one for one in told.steps if _is_between(told, one)]
    return {
        "runs": sum(one.failed + one.passed + one.lost for one in told.steps),
        "builds": sum(one.built for one in told.steps),
        "boots": sum(one.boots for one in told.steps),
        "ends_s": round(sum(one.duration_s for one in ends), 3),
        "steps_s": round(sum(one.duration_s for one in between), 3),
        "build_s": round(sum(one.build_s for one in between), 3),
        "test_s": round(sum(one.test_s for one in between), 3),
        "duration_s": _lasted_s(told),
    }


def _is_between(told: Told, probed: Probed) -> bool:
    return bool(probed.chosen) or probed.number not in (GOOD, told.question.bad)


def lines(told: Told) -> Iterator[str]:
    """The answer, and why, for a person."""
    search = searched(told.question, told.steps)
    if search.signature is None:
        return
    yield from _answer(search) if search.settled else _no_answer(search)
    yield ""
    yield from _table(search)
    sums = _sums(told)
    yield ""
    yield (
        f"{len(told.steps)} steps, {sums['builds']} builds, {sums['boots']} boots, "
        f"{sums['runs']} runs; {duration(sums['duration_s'])}"
    )


def _answer(search: AnySearch) -> Iterator[str]:
    asked, found = search.question, culprits(search)
    assert search.signature is not None
    subset = isinstance(search, SubsetSearch)
    if subset:
        yield f"{len(found)} of {len(asked.candidates)} patches are needed:"
    elif len(found) > 1:
        yield f"one of {len(found)} that cannot be told apart:"
    for number in found:
        indent = "  " * (subset or len(found) > 1)
        yield f"{indent}{short(asked, number)} {asked.candidates[number].title}"
    rate = _rate(search)
    often = "always" if rate > 0.9 else f"in about {rate:.0%} of runs"
    sure = search.progress().probability
    yield (
        f"  {asked.test}: {search.signature.words}, {often}"
        f"{f'; the probability is {sure:.2%}' if sure else ''}"
    )


def _no_answer(search: AnySearch) -> Iterator[str]:
    asked = search.question
    yield f"not found in {asked.place}: what breaks {asked.test}"
    if isinstance(search, SubsetSearch):
        return
    if not any(map(search.posterior.testable, range(asked.bad))):
        whys = {tally.why for number, tally in search.tallies.items() if tally.given_up}
        yield f"  nothing between the ends can be tested: {'; '.join(sorted(whys))}"
    else:
        yield f"  the likeliest has {search.progress().probability:.1%}"


def _table(search: AnySearch) -> Iterator[str]:
    """Runs and failures of each kernel."""
    asked = search.question
    yield f"{'':<14} {'runs':>5} {'failed':>6} {'P':>8}"
    for number, tally in sorted(search.tallies.items()):
        share = ""
        if isinstance(search, Search) and number != GOOD:
            share = f"{search.posterior.probability(number):.2%}"
        title = asked.candidate(number).title if tally.runs else tally.why
        yield _row(short(asked, number), tally, share, title)
    if isinstance(search, SubsetSearch):
        for chosen, tally in search.sets.items():
            yield _row(ranges(chosen), tally, "", "" if tally.runs else tally.why)


def _row(name: str, tally: Tally, share: str, title: str) -> str:
    return f"{name:<14} {tally.runs:>5} {tally.failed:>6} {share:>8}  {title[:60]}".rstrip()


def log(told: Told) -> Iterator[str]:
    """A line for each step, and what could be said after it."""
    search = searched(told.question)
    for one in told.steps:
        search.take(one)
        runs = one.failed + one.passed
        said = f"{one.failed} of {runs} failed" if runs else one.why
        name = where(told.question, Wish(number=one.number, runs=runs, chosen=one.chosen))
        yield f"{one.step:>3} {name:<14} {one.verdict:<5} {said[:60]}"


def _lasted_s(told: Told) -> float:
    """Of all that was done in its directory, without the time between an interruption and going
    on."""
    total, last = 0.0, None
    for event in journal.read(told.directory):
        now = datetime.datetime.fromisoformat(event["time"])
        if last is not None and event["event"] != "resume":
            total += (now - last).total_seconds()
        last = now
    return round(total, 3)
