# SPDX-License-Identifier: GPL-2.0-only
"""Which probe tells most of where the culprit is, for what it costs; pure.

What a probe tells is the information (in bits) that its outcome, a failure or none in all its
runs, is expected to give of the culprit: 1 where it halves what is left and the failure always
shows. Many commits of a long history tell nearly the same: only one of each kind is looked at.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
MOST_RUNS = _BATCHES[-1]
_NOTHING = 1e-9  # bits
_NEARLY = 0.97  # of the best worth is enough for more runs at once, without a look in between
_KINDS = 64  # by the probability of having the culprit; what a probe tells is flat at its best
_WORLDS = 16  # of what probes under way may say, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Run a commit (its number) up to so many times; stop at the first that fails."""

    commit: int
    runs: int


class Option(NamedTuple):
    """A commit that could be run."""

    commit: int
    contains: int
    cost: float  # before the first run, in runs
    trust: float  # that it can be tested at all


class Share(NamedTuple):
    """Candidates as a bit set, and the probability of each."""

    mask: int
    each: float


class World(NamedTuple):
    """One way in which what is under way may end, and the culprit's whereabouts then."""

    chance: float
    shares: list[Share]


def best(
    options: Iterable[Option], worlds: Sequence[World], unseen: Sequence[float]
) -> Probe | None:
    """The probe worth most for its cost, None where none tells anything. `unseen[r]` is the
    probability that r runs of a commit with the culprit all pass."""
    batches = [_Batch(runs, unseen) for runs in _BATCHES if runs < len(unseen)]
    found, top = None, 0.0
    for option, inside in _kinds(options, worlds):
        before = 0.0
        for batch in batches:
            worth = batch.worth(option, inside)
            if worth <= before:
                break  # it only falls from here
            before = worth
            if worth > top:
                found, top = (option, inside), worth
    if found is None:
        return None
    option, inside = found
    enough = [batch.runs for batch in batches if batch.worth(option, inside) >= _NEARLY * top]
    return Probe(commit=option.commit, runs=enough[-1])


class _Batch:
    """So many runs at once."""

    def __init__(self, runs: int, unseen: Sequence[float]) -> None:
        self.runs = runs
        self._shows = 1 - unseen[runs]
        self._doubt = _entropy(unseen[runs])
        self._until = sum(unseen[:runs])  # runs to expect where it may fail

    def worth(self, option: Option, inside: Sequence[tuple[float, float]]) -> float:
        """Bits for the cost of a run. `inside`: with which chance it has the culprit how likely."""
        bits, spent = 0.0, option.cost
        for chance, likely in inside:
            bits += chance * (_entropy(likely * self._shows) - likely * self._doubt)
            spent += chance * ((1 - likely) * self.runs + likely * self._until)
        return option.trust * bits / spent if bits > _NOTHING else 0.0


def _kinds(
    options: Iterable[Option], worlds: Sequence[World]
) -> Iterable[tuple[Option, list[tuple[float, float]]]]:
    """One option of each kind, with the chances that it has the culprit."""
    found: dict[tuple[int, ...], tuple[float, Option, list[tuple[float, float]]]] = {}
    for option, signature in _distinct(options, worlds):
        inside, kind, merit = [], [int(option.cost > 0)], 0.0
        for chance, shares in worlds:
            likely = 0.0
            for mask, each in shares:
                likely += each * (mask & signature).bit_count()
            likely = min(1.0, likely)
            inside.append((chance, likely))
            kind.append(int(likely * _KINDS))
            merit += chance * likely * (1 - likely)
        merit *= option.trust / (option.cost + 1)
        key = tuple(kind)
        if key not in found or merit > found[key][0]:
            found[key] = merit, option, inside
    return [(option, inside) for _, option, inside in found.values()]


def _distinct(options: Iterable[Option], worlds: Sequence[World]) -> Iterable[tuple[Option, int]]:
    """The best of those options that tell apart the same, and the suspects that they contain."""
    suspects = 0
    for mask, _ in itertools.chain.from_iterable(world.shares for world in worlds):
        suspects |= mask
    found: dict[int, Option] = {}
    for option in options:
        signature = option.contains & suspects
        known = found.get(signature)
        if known is None or option.trust * (known.cost + 1) > known.trust * (option.cost + 1):
            found[signature] = option
    return [(one, bits) for bits, one in found.items() if bits and bits != suspects]


def foresee(
    shares: list[Share], pending: Iterable[tuple[int, int]], unseen: Sequence[float]
) -> list[World]:
    """What is going to be known when the probes under way have ended: each as what its commit
    contains and its runs."""
    worlds = [World(1.0, shares)]
    for contains, runs in pending:
        miss = unseen[min(runs, len(unseen) - 1)]
        ends = [end for world in worlds for end in _ends(world, contains, miss)]
        ends.sort(key=lambda world: -world.chance)
        worlds = ends[:_WORLDS]
    return worlds


def _ends(world: World, contains: int, miss: float) -> Iterable[World]:
    """The probe fails, or it passes."""
    inside = [Share(mask & contains, each) for mask, each in world.shares if mask & contains]
    outside = [Share(mask & ~contains, each) for mask, each in world.shares if mask & ~contains]
    fails = [Share(mask, each * (1 - miss)) for mask, each in inside]
    passes = outside + [Share(mask, each * miss) for mask, each in inside if miss]
    for shares in (fails, passes):
        chance = sum(mask.bit_count() * each for mask, each in shares)
        if chance > _NOTHING:
            yield World(
                world.chance * chance, [Share(mask, each / chance) for mask, each in shares]
            )


def _entropy(chance: float) -> float:
    if chance <= 0 or chance >= 1:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)
