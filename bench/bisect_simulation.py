# SPDX-License-Identifier: GPL-2.0-only
"""How often a bisection is right, and what it costs: `python -m bench.bisect_simulation`.

    python -m bench.bisect_simulation [--histories N] [--only NAME...] [--processes N]

Each history has one culprit, a rate at which it fails where it has it, and commits that cannot be
built. harness.posterior searches until it is 99 % sure; the bad end is measured first, as
`harness bisect` does. The peer is a bisection like git's, by halves, that runs each kernel until it
fails, at most so often that all its steps together are 99 % sure; it is told the true rate.
"""

import argparse
import functools
import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

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
    *(Setting(commits=128, rate=rate) for rate in (0.95, 0.9, 0.8, 0.7, 0.1)),
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

    @functools.cached_property
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


def measure(history: History) -> Seen:
    """The bad end, run as often as harness.posterior wants it."""
    seen = Seen()
    while more := posterior.bad_end_runs(seen):
        for _ in range(more):
            seen = seen.plus(history.run(len(history.contains) - 1, 1))
    return seen


def bisect(history: History, *, jobs: int = 1, build: float = BUILD, check: bool = False) -> Ended:
    """By harness.posterior, so many probes at a time."""
    bad_end = len(history.contains) - 1
    known = Posterior(history.contains)
    ends = measure(history)
    known.add(bad_end, ends)
    built = {bad_end}
    runs = rounds = 0
    while probes := wanted(known, built, jobs=jobs, build=build, check=check):
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
        measured=ends.failed + ends.passed,
    )


def wanted(
    known: Posterior, built: set[int], *, jobs: int, build: float, check: bool
) -> list[Probe]:
    """The next probes, none at the end."""
    if known.settled(CONFIDENCE):
        last = known.check() if check else None
        return [last] if last else []
    probes: list[Probe] = []
    while len(probes) < jobs:
        probe = known.next(lambda x: 0.0 if x in built else build, probes)
        if probe is None:
            break
        probes.append(probe)
    return probes


def classic(history: History, *, told: bool) -> Ended:
    """By halves, as git does, each kernel run until it fails or has passed often enough: by the
    true rate where it is `told`, else by what is known of it from measuring the bad end."""
    count = len(history.contains)
    seen = Seen() if told else measure(history)
    # About half of the steps meet a kernel with the culprit and can go wrong.
    allowed = (1 - CONFIDENCE) / max(1.0, math.log2(count) / 2)
    if not told:
        most = posterior.good_end_runs(seen, 1 - allowed)
    elif history.rate == 1:
        most = 1
    else:
        most = math.ceil(math.log(allowed) / math.log(1 - history.rate))
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
        one = history.run(x, most)
        runs += one.failed + one.passed
        left &= history.contains[x] if one.failed else ~history.contains[x]
    named = frozenset(x for x in range(count) if left >> x & 1)
    return Ended(named=named, runs=runs, built=built, measured=seen.failed + seen.passed)


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


SEARCHES: dict[str, tuple[int, Callable[[History], Ended]]] = {
    "own": (1, bisect),
    "runs": (4, functools.partial(bisect, build=1.0)),
    "two": (4, functools.partial(bisect, jobs=2)),
    "check": (4, functools.partial(bisect, check=True)),
    "told": (4, functools.partial(classic, told=True)),
    "git": (4, functools.partial(classic, told=False)),
}
"""What is compared, and of how many histories one is enough for it."""

LEGEND = """\
harness: where a kernel costs 20 runs; `other`: share that names more than one without need; `bad`:
runs of the bad end before. cheap: runs where a kernel costs one run. jobs 2: two probes at a time.
check: with a check of the last good commit at the end of what seems to fail always. git: by halves,
each kernel run often enough for 99 % in all, by the true rate or by the one measured.
"""
HEAD = (
    f"{'':28} | {'harness':^55} | {'cheap':^6} | {'jobs 2':^13} | {'check':^13}"
    f" | {'git, true rate':^21} | {'git, measured':^21}\n"
    f"{'commits, rate, unbuildable':28} | {'hit':>6} {'size':>6} {'other':>5} {'runs':>6}"
    f" {'bad':>5} {'kernels':>7} {'rounds':>6} {'cpu ms':>7} | {'runs':>6}"
    f" | {'hit':>6} {'rounds':>6} | {'hit':>6} {'runs':>6}"
    + f" | {'hit':>6} {'runs':>6} {'kernels':>7}"
    * 2
)


def row(setting: Setting, count: int) -> dict[str, Row]:
    """One line of the table."""
    return {
        name: tried(list(histories(setting, max(1, count // part))), search)
        for name, (part, search) in SEARCHES.items()
    }


def text(setting: Setting, found: dict[str, Row]) -> str:
    """A line of the table."""
    own, cheap, two, check = (found[name] for name in ("own", "runs", "two", "check"))
    peers = (
        f" | {git.hit:6.4f} {git.runs:6.1f} {git.built:7.1f}"
        for git in (found["told"], found["git"])
    )
    return (
        f"{setting.name:28} | {own.hit:6.4f} {own.size:6.3f} {own.unexplained:5.3f} {own.runs:6.1f}"
        f" {own.measured:5.1f} {own.built:7.1f} {own.rounds:6.1f} {own.cpu_ms:7.1f}"
        f" | {cheap.runs:6.1f} | {two.hit:6.4f} {two.rounds:6.1f}"
        f" | {check.hit:6.4f} {check.runs:6.1f}{''.join(peers)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=[], help="what the names of rows begin with")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    chosen = [
        setting
        for setting in (*SETTINGS, *MORE)
        if not arguments.only or setting.name.startswith(tuple(arguments.only))
    ]
    print(LEGEND, HEAD, sep="\n", flush=True)
    with ProcessPoolExecutor(arguments.processes) as pool:
        ended = pool.map(row, chosen, [arguments.histories] * len(chosen))
        for setting, found in zip(chosen, ended, strict=True):
            print(text(setting, found), flush=True)


if __name__ == "__main__":
    main()
