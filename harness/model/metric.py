# SPDX-License-Identifier: GPL-2.0-only
"""Figures that tests report of themselves, and what a series did to them. No I/O here."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

_RARE = 0.05


class Better(StrEnum):
    """Which way a metric gets better; NEITHER where that depends on who asks."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of one run of a test, in `unit` as the test names it (docs/performance.md)."""

    name: str
    value: float
    unit: str = ""
    better: Better = Better.NEITHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A metric of a test on the base and with the series, one figure for each run.

    `ratio` is how many times the base's figure the series' is, as the Hodges-Lehmann estimate, and
    `low` to `high` its 95 % confidence interval, None where there are too few runs for one; `p` is
    the rank test's (Mann-Whitney, two-sided).
    """

    name: str
    unit: str
    better: Better
    base: tuple[float, ...]
    patched: tuple[float, ...]
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float = 1.0

    @property
    def changed(self) -> bool:
        """The series made a difference: 1 is not in the interval; p is below 5 % where figures of 0
        or less have no ratio."""
        if self.low is not None and self.high is not None:
            return not self.low <= 1 <= self.high
        return self.ratio is None and bool(self.base and self.patched) and self.p < _RARE

    @property
    def improved(self) -> bool | None:
        """True for better, False for worse, None for no difference, or one of neither kind."""
        if not self.changed or self.better is Better.NEITHER or not (self.base and self.patched):
            return None
        more = median(self.patched) > median(self.base) if self.ratio is None else self.ratio > 1
        return more == (self.better is Better.HIGHER)
