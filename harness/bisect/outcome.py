# SPDX-License-Identifier: GPL-2.0-only
"""What a bisection came to, and what it took: as JSON. The answer for a person is answer.py's."""

import datetime
from dataclasses import asdict
from typing import Any

from harness import journal
from harness.bisect.ends import Tally
from harness.bisect.record import Told
from harness.bisect.run import AnySearch, searched
from harness.bisect.search import Search
from harness.bisect.subset import SubsetSearch
from harness.bisect.view import ranges
from harness.errors import ExitCode
from harness.model import GOOD, SCHEMA, Probed, Question

_WORTH = 1e-4  # the probability of a candidate that is worth a line


def culprits(search: AnySearch, told: Told | None = None) -> tuple[int, ...]:
    """The answer: one candidate, or some that nothing tells apart, or the patches that are needed;
    none where there is no answer. One that `told` came to stands, were more wanted by now."""
    if not search.settled and (told is None or told.exit != ExitCode.OK):
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
    asked, found = told.question, culprits(search, told)
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
        "rate": rate(search),
        "failure": search.signature.words if search.signature else "",
        "candidates": [
            {"commit": asked.candidates[number].name, "probability": round(share, 6)}
            for number, share in likeliest(search)
        ],
        "steps": [step(asked, one) for one in told.steps],
        **sums(told),
    }


def step(asked: Question, one: Probed) -> dict[str, Any]:
    """A step: what it showed, the candidate by its name, the verdict."""
    name = ranges(one.chosen) if one.chosen else asked.candidate(one.number).name
    return {**asdict(one), "commit": name, "verdict": one.verdict}


def rate(search: AnySearch) -> float:
    """How often the test fails where it is broken."""
    if isinstance(search, Search):
        return round(search.posterior.rate, 4) if search.signature else 0.0
    bad = search.tallies.get(search.question.bad, Tally())
    return round(bad.failed / bad.runs, 4) if bad.runs else 0.0


def sums(told: Told) -> dict[str, Any]:
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


def nothing_testable(search: AnySearch) -> str:
    """Why no candidate but the bad end can be tested; empty where one can."""
    if isinstance(search, SubsetSearch):
        return ""
    if any(map(search.posterior.testable, range(search.question.bad))):
        return ""
    return "; ".join(sorted({one.why for one in search.tallies.values() if one.silent}))


def _is_between(told: Told, probed: Probed) -> bool:
    return bool(probed.chosen) or probed.number not in (GOOD, told.question.bad)


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
