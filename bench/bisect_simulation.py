# SPDX-License-Identifier: GPL-2.0-only
"""How often a bisection is right, and what it costs: `python -m bench.bisect_simulation`.

    python -m bench.bisect_simulation [--histories N] [--only NAME...] [--processes N]

Each history has one culprit, a rate at which it fails where it has it, and commits that cannot be
built. harness.posterior searches until it is 99 % sure; the bad end is measured first, as
`harness bisect` does. The peer is a bisection like git's, by halves, that runs each kernel until it
fails, at most so often that all its steps together are 99 % sure; it is told the true rate.
"""

import argparse
import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from harness import posterior
from harness.posterior import Posterior, Probe, Seen

CONFIDENCE = 0.99
BUILD = 20.0
"""What a kernel costs before its first run, in runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the histories of a row have in common."""

    commits: int
    rate: float
    broken: float = 0.0  # share of commits that cannot be built,
    stretch: int = 1  # so many in a row on average
    merges: bool = False

    @property
    def name(self) -> str:
        stretched = f" in {self.stretch}s" if self.stretch > 1 else ""
        forks = " merges" if self.merges else ""
        return f"{self.commits}{forks}, {self.rate:g}, {self.broken:.0%}{stretched}"


SETTINGS = tuple(
    Setting(commits=commits, rate=rate, broken=broken)
    for commits in (16, 128, 1024)
    for rate in (1.0, 0.5, 0.2, 0.05)
    for broken in (0.0, 0.1, 0.2)
)
MORE = (
    *(Setting(commits=128, rate=rate, broken=0.2, stretch=8) for rate in (1.0, 0.2)),
    *(
        Setting(commits=128, rate=rate, broken=broken, merges=True)
        for rate in (1.0, 0.2)
        for broken in (0.0, 0.1)
    ),
    *(Setting(commits=128, rate=rate) for rate in (0.95, 0.9, 0.8, 0.7, 0.1, 0.02)),
)


@dataclass(frozen=True, kw_only=True)
class History:
    """Commits, of which one is the culprit and some cannot be built."""

    contains: Sequence[int]
    culprit: int
    broken: frozenset[int]
    rate: float
    dice: random.Random

    def run(self, commit: int, most: int) -> Seen:
        """Up to so many runs of a commit, until one fails."""
        bad = self.contains[commit] >> self.culprit & 1
        for done in range(most):
            if bad and self.dice.random() < self.rate:
                return Seen(failed=1, passed=done)
        return Seen(passed=most)

    @cached_property
    def inseparable(self) -> frozenset[int]:
        """The culprit, and what no commit that can be built tells from it."""
        testable = [x for x in range(len(self.contains)) if x not in self.broken]

        def having(candidate: int) -> list[int]:
            return [x for x in testable if self.contains[x] >> candidate & 1]

        own = having(self.culprit)
        return frozenset(x for x in range(len(self.contains)) if having(x) == own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a bisection ended: the commits that it names and what it took."""

    named: frozenset[int]
    runs: int
    built: int
    rounds: int = 0
    measured: int = 0  # runs of the bad end before


def histories(setting: Setting, count: int) -> Iterator[History]:
    """As many at random, the same ones each time."""
    for number in range(count):
        dice = random.Random(f"{setting.name} {number}")
        contains = forked(setting.commits, dice) if setting.merges else None
        yield History(
            contains=contains or posterior.line(setting.commits),
            culprit=dice.randrange(setting.commits),
            broken=unbuildable(setting, dice),
            rate=setting.rate,
            dice=dice,
        )


def unbuildable(setting: Setting, dice: random.Random) -> frozenset[int]:
    """What cannot be built: never the last commit, which is the bad end."""
    found: set[int] = set()
    x = 0
    begins = setting.broken / (setting.stretch * (1 - setting.broken) + setting.broken)
    while x < setting.commits - 1:
        length = 0
        if dice.random() < begins:
            length = 1
            while dice.random() < 1 - 1 / setting.stretch:
                length += 1
        found.update(range(x, min(x + length, setting.commits - 1)))
        x += length or 1
    return frozenset(found)


def forked(commits: int, dice: random.Random) -> list[int]:
    """What each commit of a history with branches contains; the last one joins them all."""
    contains: list[int] = []
    tips = [0]
    for x in range(commits - 1):
        one = dice.randrange(len(tips))
        draw = dice.random()
        if draw < 0.1:
            tips.append((dice.choice(contains) if contains else 0) | 1 << x)
            contains.append(tips[-1])
            continue
        joined = tips.pop(one)
        if draw < 0.2 and tips:
            joined |= tips.pop(dice.randrange(len(tips)))
        tips.append(joined | 1 << x)
        contains.append(tips[-1])
    return [*contains, (1 << commits) - 1]


def bisect(history: History, *, jobs: int = 1) -> Ended:
    """By harness.posterior, so many probes at a time."""
    bad_end = len(history.contains) - 1
    known = Posterior(history.contains)
    while more := posterior.bad_end_runs(known.seen(bad_end)):
        for _ in range(more):
            known.add(bad_end, history.run(bad_end, 1))
    seen = known.seen(bad_end)
    measured = seen.failed + seen.passed
    built = {bad_end}
    runs = rounds = 0
    while not known.settled(CONFIDENCE):
        probes: list[Probe] = []
        while len(probes) < jobs:
            probe = known.next(lambda x: 0.0 if x in built else BUILD, probes)
            if probe is None:
                break
            probes.append(probe)
        if not probes:
            break
        rounds += 1
        for probe in probes:
            built.add(probe.commit)
            if probe.commit in history.broken:
                known.skip(probe.commit)
                continue
            seen = history.run(probe.commit, probe.runs)
            runs += seen.failed + seen.passed
            known.add(probe.commit, seen)
    return Ended(
        named=frozenset(known.culprits().commits),
        runs=runs,
        built=len(built) - 1,
        rounds=rounds,
        measured=measured,
    )


def classic(history: History) -> Ended:
    """By halves, as git does, each kernel run as often as it takes."""
    count = len(history.contains)
    # About half of the steps meet a kernel with the culprit and can go wrong.
    allowed = (1 - CONFIDENCE) / max(1.0, math.log2(count) / 2)
    most = 1 if history.rate == 1 else math.ceil(math.log(allowed) / math.log(1 - history.rate))
    left, tested = history.contains[-1], [*range(count - 1)]
    runs = built = 0
    missed = False
    while True:
        inside = {x: (history.contains[x] & left).bit_count() for x in tested}
        total = left.bit_count()
        tested = [x for x in tested if 0 < inside[x] < total]
        if not tested:
            break
        # git: the best at first, then further from it by chance where commits were skipped
        tested.sort(key=lambda x: -min(inside[x], total - inside[x]))
        draw = history.dice.random()
        x = tested[int(len(tested) * draw * math.sqrt(draw)) if missed else 0]
        built += 1
        missed = x in history.broken
        if missed:
            tested.remove(x)
            continue
        seen = history.run(x, most)
        runs += seen.failed + seen.passed
        left &= history.contains[x] if seen.failed else ~history.contains[x]
    named = frozenset(x for x in range(count) if left >> x & 1)
    return Ended(named=named, runs=runs, built=built)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Of all histories of a setting: the shares in which the culprit is named, and means."""

    hit: float
    size: float
    unexplained: float  # share that names more than one without need
    runs: float
    measured: float
    built: float
    rounds: float
    cpu_ms: float


def tried(found: Sequence[History], search: Callable[[History], Ended]) -> Row:
    """A search in each of the histories."""
    begun = time.process_time()
    ended = [search(history) for history in found]
    spent = time.process_time() - begun
    pairs = list(zip(found, ended, strict=True))

    def mean(values: Iterator[float]) -> float:
        return statistics.fmean(values)

    return Row(
        hit=mean(float(one.culprit in end.named) for one, end in pairs),
        size=mean(float(len(end.named)) for end in ended),
        unexplained=mean(
            float(len(end.named) > 1 and one.culprit in end.named and end.named != one.inseparable)
            for one, end in pairs
        ),
        runs=mean(float(end.runs) for end in ended),
        measured=mean(float(end.measured) for end in ended),
        built=mean(float(end.built) for end in ended),
        rounds=mean(float(end.rounds) for end in ended),
        cpu_ms=spent / len(found) * 1000,
    )


def row(setting: Setting, count: int) -> tuple[Row, Row, Row]:
    """One line of the table: alone, two at a time, the peer."""
    return (
        tried(list(histories(setting, count)), bisect),
        tried(list(histories(setting, max(1, count // 4))), lambda one: bisect(one, jobs=2)),
        tried(list(histories(setting, count)), classic),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=[], help="what the names of rows begin with")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    wanted = [
        setting
        for setting in (*SETTINGS, *MORE)
        if not arguments.only or setting.name.startswith(tuple(arguments.only))
    ]
    print(
        f"{'commits, rate, unbuildable':28} |    hit   size  other   runs  +bad  kernels rounds  ms"
        " | jobs 2  rounds |  git: hit   runs  kernels"
    )
    with ProcessPoolExecutor(arguments.processes) as pool:
        ended = pool.map(row, wanted, [arguments.histories] * len(wanted))
        for setting, (own, two, git) in zip(wanted, ended, strict=True):
            print(
                f"{setting.name:28} | {own.hit:6.4f} {own.size:6.3f} {own.unexplained:6.4f}"
                f" {own.runs:6.1f} {own.measured:5.1f} {own.built:8.1f} {own.rounds:6.1f}"
                f" {own.cpu_ms:5.1f} | {two.hit:6.4f} {two.rounds:6.1f}"
                f" |  {git.hit:6.4f} {git.runs:7.1f} {git.built:7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
