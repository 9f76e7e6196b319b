# SPDX-License-Identifier: GPL-2.0-only
"""Which commit broke it, from runs that fail at some rate: what is known, and what to run; pure.

stats.py states the model. By it all that counts of a candidate is how many runs failed and passed
on the commits that contain it, so that candidates which no run tells apart share one number: they
are a class, and each run splits a few. What to run next is choice.py's.

While it is all but sure that the failure shows always, one run of a commit says all there is: the
search halves the candidates for which it does, and repeats nothing before one is left.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness import choice, stats
from harness.choice import Option, Probe, Share

__all__ = ["Found", "Posterior", "Probe", "Seen", "bad_end_runs", "good_end_runs", "line"]

_SURE = 0.96  # of its failing always, to search as if it did
_GONE = 1e-3  # of what is in doubt: a class that is no longer searched

_ALL_OF = 10  # failures in a row at the bad end make it likely that it fails always
_FAILURES = 6  # and so many make the rate of one that does not known
_ONCE = (1.0, 0.0)  # no run of a bad commit passes, where the failure shows always
_CHECKS = 3
_MARGIN = 0.7  # of the doubt allowed: a given rate may suit the prior of all rates badly (bench)
_NEVER = 200  # runs without a failure: it does not fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Runs of a commit: those that failed in the way that is searched for, and the others."""

    failed: int = 0
    passed: int = 0

    def plus(self, other: "Seen") -> "Seen":
        """Both together."""
        return Seen(failed=self.failed + other.failed, passed=self.passed + other.passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Commits, oldest first, and the probability that the culprit is one of them. More than one
    only where commits that cannot be tested hide which."""

    commits: tuple[int, ...]
    probability: float


class _Class(NamedTuple):
    """Candidates that nothing tells apart: the runs on commits that contain them, and how many
    runs failed on others."""

    mask: int
    failed: int = 0
    passed: int = 0
    stray: int = 0


def line(count: int) -> list[int]:
    """What the commits of a linear history contain."""
    return [(2 << number) - 1 for number in range(count)]


class Posterior:
    """What is known of the culprit.

    `contains[x]` is the bit set of candidates that commit x contains, itself among them. Commits
    are numbered from 0, parents first; the last one is the bad end and contains all.
    """

    def __init__(self, contains: Sequence[int]) -> None:
        self._contains = contains
        self._seen: dict[int, Seen] = {}
        self._untestable: set[int] = set()
        self._left: set[int] = set()
        self._first = list(range(len(contains)))  # of the commits with the same image
        self._classes = [_Class(contains[-1])]
        self._shares = [1.0]
        self._harmless = 0  # commits with the image of the good end
        self._hidden: list[int] = []  # sets of candidates that nothing can tell apart
        self._above: dict[int, int] = {}
        self._trusts: list[float] | None = None

    def add(self, commit: int, seen: Seen) -> None:
        """A commit was run so often."""
        if seen == Seen():
            return
        first = self._first[commit]
        if first in self._untestable:
            self._untestable.remove(first)
            self._hide()
        if first not in self._seen:
            self._trusts = None
        self._seen[first] = self.seen(first).plus(seen)
        self._split(self._contains[commit], inside=seen, stray=seen.failed)

    def skip(self, commit: int) -> None:
        """A commit cannot be tested, nor any other with the same image."""
        self._untestable.add(self._first[commit])
        self._hide()

    def leave(self, commit: int) -> None:
        """A commit is not to be run any more; what its runs have shown counts."""
        self._left.add(self._first[commit])

    def harmless(self, commit: int) -> None:
        """A commit has the image of what contains no candidate: no commit in it is the culprit."""
        if not self._harmless & 1 << commit:
            self._harmless |= 1 << commit
            self._exclude(self._contains[commit])

    def same(self, one: int, other: int) -> None:
        """Two commits have the same image: what only one of them contains is not the culprit, and
        to run one is to run both."""
        first, second = self._first[one], self._first[other]
        if first == second:
            return
        self._exclude(self._contains[one] ^ self._contains[other])
        runs = self.seen(first).plus(self._seen.pop(second, Seen()))
        self._first = [first if known == second else known for known in self._first]
        if runs != Seen():
            self._seen[first] = runs
        if second in self._untestable:
            self._untestable.remove(second)
            self._untestable.add(first)
        if runs != Seen():
            self._untestable.discard(first)
        self._hide()

    def seen(self, commit: int) -> Seen:
        """The runs of a commit, or of another with the same image."""
        return self._seen.get(self._first[commit], Seen())

    def testable(self, commit: int) -> bool:
        """Whether it is not known to be untestable."""
        return self._first[commit] not in self._untestable

    def probability(self, commit: int) -> float:
        """The probability that a commit is the culprit."""
        bit = 1 << commit
        for one, share in zip(self._classes, self._shares, strict=True):
            if one.mask & bit:
                return share / one.mask.bit_count()
        return 0.0

    def inside(self, commit: int) -> float:
        """The probability that a commit contains the culprit."""
        return self._probability(self._contains[commit])

    @property
    def rate(self) -> float:
        """The failure rate to expect where the culprit is."""
        pairs = zip(self._classes, self._shares, strict=True)
        return sum(share * stats.mean_rate(one.failed, one.passed) for one, share in pairs)

    @property
    def always(self) -> float:
        """The probability that the failure shows in each run where the culprit is."""
        pairs = zip(self._classes, self._shares, strict=True)
        return sum(share * stats.always(one.failed, one.passed) for one, share in pairs)

    def culprits(self) -> Found:
        """The likeliest commit, or set of commits that nothing testable tells apart."""
        pairs = zip(self._classes, self._shares, strict=True)
        best, top = 0, 0.0
        for one, share in pairs:
            if (each := share / one.mask.bit_count()) > top:
                best, top = one.mask & -one.mask, each
        best = next((mask for mask in self._hidden if mask & best), best)
        best = max((best, *self._hidden), key=self._probability)
        alive = [share.mask for share in self._alive()]
        commits = [x for x in _bits(best) if any(mask >> x & 1 for mask in alive)]
        return Found(commits=tuple(commits), probability=self._probability(best))

    def settled(self, confidence: float) -> bool:
        """Whether the culprits are as likely as that, and a bit more."""
        return self.culprits().probability >= 1 - _MARGIN * (1 - confidence)

    def next(self, cost: Callable[[int], float], pending: Sequence[Probe] = ()) -> Probe | None:
        """What to run next, as it tells most for what it costs: `cost(x)` is what comes before the
        first run of commit x, in runs. `pending` probes run meanwhile, whose outcomes count by
        their probabilities. None where nothing that can be run tells anything more."""
        under_way = [(self._contains[probe.commit], probe.runs) for probe in pending]
        if self.always >= _SURE:
            shares = self._certain()
            options = self._options(cost, shares)
            if probe := choice.best(options, choice.foresee(shares, under_way, _ONCE), _ONCE):
                return probe
        shares, unseen = self._alive(), self._unseen()
        options = self._options(cost, shares)
        return choice.best(options, choice.foresee(shares, under_way, unseen), unseen)

    def check(self) -> Probe | None:
        """A look at the commit that passed and most likely has the culprit all the same, run once
        as yet: what fails nine times of ten passes for what always fails, until such a commit is
        seen to fail. None where the failure is not taken to show always, or where it was done."""
        passed = [x for x, seen in self._seen.items() if not seen.failed and x not in self._left]
        if not passed or self.always < _SURE:
            return None
        last = max(passed, key=self.inside)
        missing = 1 + _CHECKS - self._seen[last].passed
        return Probe(commit=last, runs=missing) if missing > 0 else None

    def _options(self, cost: Callable[[int], float], shares: list[Share]) -> list[Option]:
        """The commits that can be run and have some of the candidates, and not all."""
        trusts = self._trusts = self._trusts or self._nearness()
        mask = functools.reduce(operator.or_, (share.mask for share in shares), 0)
        return [
            Option(x, contains, cost(x), trusts[x])
            for x, contains in enumerate(self._contains)
            if contains & mask not in (0, mask)
            and self._first[x] == x
            and x not in self._untestable | self._left
        ]

    def _exclude(self, candidates: int) -> None:
        """As unlikely as two stray failures, not impossible: all could be excluded like this."""
        self._split(self._contains[-1] & ~candidates, inside=Seen(), stray=2)

    def _split(self, contains: int, *, inside: Seen, stray: int) -> None:
        """Count runs for the candidates that are in a set, and stray ones for the others."""
        split = []
        for mask, failed, passed, strays in self._classes:
            if hit := mask & contains:
                split.append(_Class(hit, failed + inside.failed, passed + inside.passed, strays))
            if rest := mask & ~contains:
                split.append(_Class(rest, failed, passed, strays + stray))
        self._classes = split
        logs = [_log_weight(one) for one in split]
        top = max(logs)
        weights = [math.exp(log - top) for log in logs]
        total = sum(weights)
        self._shares = [weight / total for weight in weights]

    def _probability(self, candidates: int) -> float:
        found = 0.0
        for one, share in zip(self._classes, self._shares, strict=True):
            if count := (one.mask & candidates).bit_count():
                found += share * count / one.mask.bit_count()
        return found

    def _alive(self) -> list[Share]:
        """The classes that are searched."""
        pairs = zip(self._classes, self._shares, strict=True)
        found = [Share(one.mask, share / one.mask.bit_count()) for one, share in pairs]
        least = _GONE * (1 - max(share.each for share in found))
        return [share for share, all_ in zip(found, self._shares, strict=True) if all_ > least]

    def _certain(self) -> list[Share]:
        """The candidates for which the failure may have shown in each run that had it."""
        masks = [one.mask for one in self._classes if not one.passed and not one.stray]
        count = sum(mask.bit_count() for mask in masks)
        return [Share(mask, 1 / count) for mask in masks]

    def _unseen(self) -> list[float]:
        """How likely so many runs of a commit with the culprit pass one and all."""
        found = [0.0] * (choice.MOST_RUNS + 1)
        for one, share in zip(self._classes, self._shares, strict=True):
            if share > 1e-9:
                chances = stats.unseen(one.failed, one.passed, choice.MOST_RUNS)
                found = [sum_ + share * chance for sum_, chance in zip(found, chances, strict=True)]
        return found

    def _nearness(self) -> list[float]:
        """How likely each commit can be tested: one that is as far from a stretch of untestable
        commits as that is long can at even odds, if no commit between was tested. Far and near
        are by number, which is a fair guess where the history forks, as for git."""
        trusts = [1.0] * len(self._contains)
        if self._untestable:
            for numbers in (range(len(trusts)), range(len(trusts) - 1, -1, -1)):
                begun = last = None
                for x in numbers:
                    if not self.testable(x):
                        begun, last = x if begun is None else begun, x
                    elif self._first[x] in self._seen:
                        begun = last = None
                    elif last is not None and begun is not None:
                        far = abs(x - last)
                        trusts[x] *= far / (far + abs(last - begun) + 1)
        return trusts

    def _hide(self) -> None:
        """Find the candidates that nothing testable tells apart. Of such a set all but the last
        are untestable: a testable one has no later candidate."""
        self._trusts = None
        testable = sum(1 << x for x in range(len(self._contains)) if self.testable(x))
        groups: dict[int, int] = {}
        for x in range(len(self._contains)):
            if not self.testable(x):
                above = self._descendants(x) & testable
                groups[above] = groups.get(above, 0) | 1 << x
        for above in groups:
            last = (above & -above).bit_length() - 1
            if above and self._descendants(last) & testable == above:
                groups[above] |= 1 << last
        self._hidden = list(groups.values())

    def _descendants(self, candidate: int) -> int:
        """The commits that contain a candidate."""
        if candidate not in self._above:
            having = (1 << x for x, mask in enumerate(self._contains) if mask >> candidate & 1)
            self._above[candidate] = sum(having)
        return self._above[candidate]


def _log_weight(one: _Class) -> float:
    runs = stats.log_likelihood(one.failed, one.passed)
    return math.log(one.mask.bit_count()) + runs + one.stray * math.log(stats.STRAY)


def _bits(mask: int) -> list[int]:
    return [x for x in range(mask.bit_length()) if mask >> x & 1]


def bad_end_runs(seen: Seen) -> int:
    """How many more runs the bad end wants before the search: 0 when its rate is known, or when
    it never failed in so many that it is not bad."""
    runs = seen.failed + seen.passed
    if not seen.passed:
        return max(0, _ALL_OF - runs)
    if not seen.failed:
        return max(0, min(runs, _NEVER - runs))
    missing = max(0, _FAILURES - seen.failed)
    return max(missing, missing * runs // seen.failed)


def good_end_runs(seen_bad: Seen, confidence: float) -> int:
    """How often the good end must pass, to be good where the bad end is as seen: so often that
    one as bad would hardly pass each time."""
    runs = 1
    while stats.unseen(seen_bad.failed, seen_bad.passed, runs)[-1] > 1 - confidence:
        runs += max(1, runs // 8)
    return runs
