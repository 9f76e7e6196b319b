# SPDX-License-Identifier: GPL-2.0-only
"""Figures that tests report, and whether a series changed them; pure (docs/performance.md).

Runs of one test on two kernels are compared by ranks: no distribution is assumed, and a run that a
busy host slowed down counts for one rank and no more. The test is Mann and Whitney's, two-sided;
the estimate of the ratio is Hodges and Lehmann's, on logarithms, with the interval that belongs to
the test (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, chapter 4).
"""

import functools
import math
import re
from collections.abc import Iterable, Sequence
from statistics import NormalDist, median

from harness.model import Better, Comparison, Metric, Outcome, Result

_LINE = re.compile(r"[ \t#]*#\s*metric\s+([A-Za-z0-9_.-]+)=(\S+)((?:\s+\S+=\S+)*)\s*")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_CONFIDENCE = 0.95
_EXACT_MOST = 900  # pairs of runs up to which probabilities are counted, not approximated


def parse(text: str) -> tuple[Metric, ...]:
    """The metrics of a test's output, one line each, the last of two with one name:
    `# metric NAME=NUMBER [unit=UNIT] [better=higher|lower]`. Other lines are none."""
    found: dict[str, Metric] = {}
    if "metric" not in text:
        return ()
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or not _NUMBER.fullmatch(match[2]):
            continue
        more = dict(word.split("=", 1) for word in match[3].split())
        better = more.get("better", "")
        if math.isfinite(value := float(match[2])) and better in set(Better):
            found[match[1]] = Metric(
                name=match[1], value=value, unit=more.get("unit", ""), better=Better(better)
            )
    return tuple(found.values())


def compare(base: Iterable[Result], patched: Iterable[Result]) -> tuple[Comparison, ...]:
    """Every metric that one test reported on both kernels, in the order of its last patched run.
    Runs that failed do not count: what they measured is another thing."""
    before, after = _figures(base), _figures(patched)
    return tuple(
        _compared(kind, before[kind.name], figures)
        for kind, figures in ((values[-1], values) for values in after.values())
        if kind.name in before
    )


def _figures(results: Iterable[Result]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for result in results:
        if result.outcome in (Outcome.PASS, Outcome.XPASS):
            for metric in result.metrics:
                found.setdefault(metric.name, []).append(metric)
    return found


def _compared(kind: Metric, base: Sequence[Metric], patched: Sequence[Metric]) -> Comparison:
    old, new = tuple(m.value for m in base), tuple(m.value for m in patched)
    ratio, low, high = ratio_of(old, new)
    return Comparison(
        name=kind.name,
        unit=kind.unit,
        better=kind.better,
        base=old,
        patched=new,
        ratio=ratio,
        low=low,
        high=high,
        p=rank_test(old, new),
    )


def ratio_of(
    base: Sequence[float], patched: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """How many times the base's figure the patched one is, and the interval in which that is with
    95 %. None without figures above 0, and for the interval where there are too few of them."""
    if not base or not patched or min(*base, *patched) <= 0:
        return None, None, None
    ratios = sorted(new / old for new in patched for old in base)
    left_out = _left_out(len(base), len(patched))
    if left_out is None:
        return median(ratios), None, None
    return median(ratios), ratios[left_out], ratios[-1 - left_out]


def _left_out(n: int, m: int) -> int | None:
    """How many of the n * m ratios are beyond each end of the interval; None: there is none."""
    tail = (1 - _CONFIDENCE) / 2
    if n * m > _EXACT_MOST:
        spread = NormalDist().inv_cdf(1 - tail) * math.sqrt(n * m * (n + m + 1) / 12)
        return max(0, math.floor(n * m / 2 - spread))
    below, most = 0.0, None
    for count, ways in enumerate(_ways(n, m)):
        below += ways / math.comb(n + m, n)
        if below > tail:
            return most
        most = count
    return most


def rank_test(base: Sequence[float], patched: Sequence[float]) -> float:
    """The two-sided p-value of Mann and Whitney's test: exact for up to 900 pairs without ties,
    else by the normal distribution, corrected for ties and continuity. 1 without figures."""
    n, m = len(base), len(patched)
    if not n or not m:
        return 1.0
    above = sum((new > old) + (new == old) / 2 for new in patched for old in base)
    extreme = min(above, n * m - above)
    every = sorted((*base, *patched))
    ties = [every.count(value) for value in set(every)]
    if max(ties) == 1 and n * m <= _EXACT_MOST:
        below = sum(_ways(n, m)[: int(extreme) + 1])
        return min(1.0, 2 * below / math.comb(n + m, n))
    total = n + m
    tied = sum(count**3 - count for count in ties) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - tied)
    if variance <= 0:
        return 1.0  # all figures are one
    z = (n * m / 2 - extreme - 0.5) / math.sqrt(variance)
    return min(1.0, 2 * (1 - NormalDist().cdf(max(0.0, z))))


@functools.cache
def _ways(n: int, m: int) -> tuple[int, ...]:
    """In how many of the orders of n and m figures u pairs are the other way round, for u from 0
    to n * m: the coefficients of the Gaussian binomial (Mann and Whitney 1947)."""
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):  # multiply by 1 - q^(m+i), divide by 1 - q^i
        for u in range(n * m, m + i - 1, -1):
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):
            ways[u] += ways[u - i]
    return tuple(ways)
