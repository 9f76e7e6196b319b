# SPDX-License-Identifier: GPL-2.0-only
"""Both ends, looked at before anything else: is the bad one bad, and the good one good? No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness import posterior
from harness.errors import EndsError
from harness.model import GOOD, Probed, Question, Signature, Wish
from harness.posterior import Seen

_TRIES = 3  # of a kernel whose runs say nothing
_LOST_MOST = 5  # runs that say nothing of a kernel, and more than those that do
_OTHERS_MOST, _OTHERS_SHARE = 20, 4  # failures in other ways, at a bad end; for each that counts
_RARE = 10  # times --most-runs: then a bad end fails too rarely
_BATCH = 20  # runs of a bad end that has not failed yet


@dataclass(slots=True)
class Tally:
    """All runs of a candidate, or of some patches."""

    failed: int = 0
    passed: int = 0
    lost: int = 0
    untestable: bool = False
    why: str = ""

    @property
    def seen(self) -> Seen:
        """Those that say something."""
        return Seen(failed=self.failed, passed=self.passed)

    @property
    def runs(self) -> int:
        """How many say something."""
        return self.failed + self.passed

    @property
    def silent(self) -> bool:
        """Nothing is known of it, and more runs would not tell."""
        return not self.runs and (self.untestable or self.lost >= _TRIES)

    @property
    def given_up(self) -> bool:
        """It is not run any more."""
        return self.untestable or self.silent or self.lost >= max(_LOST_MOST, self.runs + 1)

    def add(self, probed: Probed) -> None:
        """One more step."""
        self.failed += probed.failed
        self.passed += probed.passed
        self.lost += probed.lost
        self.why = probed.why or self.why
        self.untestable = self.untestable or probed.untestable


def wish(asked: Question, tallies: Mapping[int, Tally], signature: Signature | None) -> Wish | None:
    """The next look at an end; None when both are as they were said to be. EndsError where one is
    not."""
    good, bad = tallies.get(GOOD, Tally()), tallies.get(asked.bad, Tally())
    _refuse_silent(asked, good, bad)
    _refuse(asked, good, bad, signature)
    if not bad.failed:
        first = min(posterior.bad_end_runs(Seen()), asked.most_runs)
        if bad.runs < first:
            return Wish(number=asked.bad, runs=first - bad.runs)
        if not good.runs:
            return Wish(number=GOOD, runs=first)  # have they changed places?
        return Wish(number=asked.bad, runs=min(_BATCH, asked.most_runs - bad.runs))
    if more := posterior.bad_end_runs(bad.seen):
        _refuse_rare(asked, bad, signature)
        return Wish(number=asked.bad, runs=min(more, _BATCH))
    missing = posterior.good_end_runs(bad.seen, asked.confidence) - good.runs
    return Wish(number=GOOD, runs=missing) if missing > 0 else None


def known(asked: Question, tallies: Mapping[int, Tally]) -> bool:
    """Both ends are as they were said to be."""
    try:
        return wish(asked, tallies, None) is None
    except EndsError:
        return False


def _refuse_silent(asked: Question, good: Tally, bad: Tally) -> None:
    for end, tally, name in (("bad", bad, _name(asked, asked.bad)), ("good", good, _name(asked))):
        if tally.given_up:
            total = tally.runs + tally.lost
            said = f"nothing in {tally.lost} of {total} runs" if tally.runs else "nothing"
            raise EndsError(
                f"the {end} end, {name}, says {said} of {asked.test}: {tally.why}",
                hint="--any-failure takes every failure for the one" if tally.runs else "",
            )


def _refuse(asked: Question, good: Tally, bad: Tally, signature: Signature | None) -> None:
    bad_name, good_name = _name(asked, asked.bad), _name(asked)
    if good.failed and not bad.failed:
        raise EndsError(
            f"the good end, {good_name}, failed {good.failed} of {good.runs} runs, "
            f"the bad end, {bad_name}, none of {bad.runs}",
            hint="have they changed places?",
        )
    if good.failed:
        words = signature.words if signature else "it fails"
        raise EndsError(
            f"the good end, {good_name}, fails too: {good.failed} of {good.runs} runs, {words}",
            hint="name one that was good",
        )
    if not bad.failed and bad.runs >= asked.most_runs:
        raise EndsError(
            f"the bad end, {bad_name}, passed all {bad.runs} runs of {asked.test}",
            hint="a rare failure? --most-runs N looks on",
        )


def _refuse_rare(asked: Question, bad: Tally, signature: Signature | None) -> None:
    """EndsError where a bad end has failed, but hardly ever does in the same way."""
    words = signature.words if signature else "it fails"
    total = bad.runs + bad.lost
    if bad.lost >= _OTHERS_MOST and bad.lost > _OTHERS_SHARE * bad.failed:
        raise EndsError(
            f"the bad end, {_name(asked, asked.bad)}, mostly fails in other ways than at first "
            f"({words}): {bad.failed} to {bad.lost} of {total} runs; {bad.why}",
            hint="--any-failure takes every failure for the one",
        )
    if bad.runs >= _RARE * asked.most_runs:
        raise EndsError(
            f"the bad end, {_name(asked, asked.bad)}, failed in {bad.failed} of {bad.runs} runs",
            hint="too rare to be searched for; --most-runs N looks on",
        )


def _name(asked: Question, number: int = GOOD) -> str:
    one = asked.candidate(number)
    return one.name[:12] if len(one.name) == 40 else one.name
