# SPDX-License-Identifier: GPL-2.0-only
"""What steps have shown of a history, and which is next: the ends, then what is between. No I/O."""

import math
import statistics
from collections.abc import Iterable, Sequence, Set

from harness.bisect import ends
from harness.bisect.ends import Tally
from harness.errors import EndsError
from harness.model import GOOD, Candidate, Probed, Progress, Question, Signature, Wish
from harness.posterior import Found, Posterior, Probe, Seen

_FAR = 0.02  # what a build costs more at the other end of the range: its objects are cold
_GUESS_S = 60.0, 5.0  # a build and a run, before any was seen
_LEAST_S = 0.02  # of a run
_BULK = 0.99  # of the probability: what the candidates have that are left


class Search:
    """The steps of a bisection by now, and what they make of it. `usual_s` are the seconds of a
    build and a run, as far as they were seen before."""

    def __init__(
        self,
        question: Question,
        steps: Iterable[Probed] = (),
        *,
        usual_s: tuple[float, float] | None = None,
    ) -> None:
        self.question = question
        self._usual_s = usual_s or _GUESS_S
        self._built = frozenset(question.built)
        self.posterior = Posterior(contained(question.candidates))
        self.tallies: dict[int, Tally] = {}
        self.signature: Signature | None = None
        self._programs: dict[str, int] = {}
        self._costs: list[Probed] = []
        self._last = question.bad
        self._ends_equal = False
        for one in steps:
            self.take(one)

    def take(self, probed: Probed) -> None:
        """What one more step has shown."""
        number = probed.number
        tally = self.tallies.setdefault(number, Tally())
        tally.add(probed)
        if number == self.question.bad and probed.failed and self.signature is None:
            self.signature = probed.signature
        if number != GOOD:
            self.posterior.add(number, Seen(failed=probed.failed, passed=probed.passed))
            if tally.silent:
                self.posterior.skip(number)
            elif tally.given_up:
                self.posterior.leave(number)
            self._last = number
        self._note_program(probed)
        self._costs.append(probed)

    def _note_program(self, probed: Probed) -> None:
        """Kernels that are the same program do the same."""
        if not probed.program:
            return
        known = self._programs.setdefault(probed.program, probed.number)
        ends = {known, probed.number}
        self._ends_equal = self._ends_equal or ends == {GOOD, self.question.bad}
        if known == probed.number:
            return
        if GOOD in ends:
            self.posterior.harmless(max(ends))
        else:
            self.posterior.same(known, probed.number)

    def next(self, pending: Sequence[Wish] = ()) -> Wish | None:
        """The next look, beside those under way; None where no other says anything more, or the
        first have to end. EndsError where an end is not what it was said to be."""
        if not self._ends_known:
            self._refuse_equal_ends()
            return None if pending else ends.wish(self.question, self.tallies, self.signature)
        if self._likely_enough:
            check = None if pending else self.posterior.check()
            return Wish(number=check.commit, runs=check.runs) if check else None
        under_way = [Probe(commit=one.number, runs=one.runs) for one in pending]
        probe = self.posterior.next(self._cost(), under_way)
        return Wish(number=probe.commit, runs=probe.runs) if probe else None

    def _refuse_equal_ends(self) -> None:
        """EndsError where both ends are one program."""
        if self._ends_equal:
            raise EndsError(
                "the kernels of both ends are the same program",
                hint="is what differs between them in this configuration?",
            )

    def _cost(self) -> "_Cost":
        build_s, step_s, run_s = self.costs_s()
        cheap = self._built | self.tallies.keys()
        far = _FAR / len(self.question.candidates)
        return _Cost(cheap, (build_s / run_s, step_s / run_s), far=far, last=self._last)

    def others(self, wish: Wish) -> tuple[str, ...]:
        """The programs of other candidates' kernels."""
        return tuple(one for one, first in self._programs.items() if first != wish.number)

    @property
    def _ends_known(self) -> bool:
        return ends.known(self.question, self.tallies)

    @property
    def settled(self) -> bool:
        """The answer is as sure as it was to be, and was checked."""
        return self._ends_known and self._likely_enough and self.posterior.check() is None

    @property
    def _likely_enough(self) -> bool:
        """It is likely enough, and leaves something out."""
        count = len(self.question.candidates)
        told = count == 1 or len(self.found.commits) < count
        return told and self.posterior.settled(self.question.confidence)

    @property
    def found(self) -> Found:
        """The answer as it is now."""
        return self.posterior.culprits()

    def costs_s(self) -> tuple[float, float, float]:
        """Seconds that a build takes, a step whatever it runs, and each run; as seen so far."""
        builds = [one.build_s for one in self._costs if one.built]
        build_s = statistics.median(builds) if builds else self._usual_s[0]
        counted = [(one, one.failed + one.passed) for one in self._costs]
        runs = [one.test_s / count for one, count in counted if count]
        run_s = max(_LEAST_S, min(runs, default=self._usual_s[1]))  # of the most runs at once
        steps = [one.duration_s - one.build_s - count * run_s for one, count in counted if count]
        return build_s, max(0.0, statistics.median(steps) if steps else 0.0), run_s

    def progress(self) -> Progress:
        """How far it is."""
        count = len(self.question.candidates)
        if not self._ends_known:
            steps = math.ceil(math.log2(count)) if count > 1 else 0
            return Progress(left=count, steps=steps, seconds=self._seconds(steps + 2))
        every = range(count)
        shares = sorted(map(self.posterior.probability, every), reverse=True)
        total, left = 0.0, 0
        while total < _BULK and left < len(shares):
            total += shares[left]
            left += 1
        found = self.found
        steps = 0 if self.settled else max(1, math.ceil(math.log2(left)))
        return Progress(
            left=left,
            likeliest=found.commits,
            probability=found.probability,
            steps=steps,
            seconds=self._seconds(steps),
        )

    def _seconds(self, steps: int) -> float:
        build_s, step_s, run_s = self.costs_s()
        rate = self.posterior.rate
        runs = 1.0 if rate > 0.9 else 2.0 / max(0.01, rate)
        return steps * (build_s + step_s + runs * run_s) / self.question.jobs


class _Cost:
    """What comes before the first run of a candidate, in runs."""

    def __init__(
        self, cheap: Set[int], costs: tuple[float, float], *, far: float, last: int
    ) -> None:
        self._cheap, self._far, self._last = cheap, far, last
        self._build, self._step = costs

    def __call__(self, number: int) -> float:
        if number in self._cheap:
            return self._step
        return self._step + self._build * (1 + self._far * abs(number - self._last))


def contained(candidates: Sequence[Candidate]) -> list[int]:
    """For each candidate the bit set of those that it contains, itself among them."""
    found: list[int] = []
    for number, one in enumerate(candidates):
        mine = 1 << number
        for parent in one.parents:
            mine |= found[parent]
        found.append(mine)
    return found
