# SPDX-License-Identifier: GPL-2.0-only
"""The metrics of a test, for a terminal and other plain text."""

from collections.abc import Iterator
from statistics import median

from harness.model import Comparison, Row
from harness.report.paint import paint

_SHADES = {True: "32", False: "31", None: ""}


def lines(row: Row, *, colour: bool = False) -> Iterator[str]:
    """A line for each metric of a test that was measured more than once: its medians on both
    kernels, and what that says."""
    shown = [one for one in row.metrics if compared(one)]
    name = max((len(one.name) for one in shown), default=0)
    before = [said(median(one.base), one.unit) for one in shown]
    after = [said(median(one.patched), one.unit) for one in shown]
    old, new = (max(map(len, texts), default=0) for texts in (before, after))
    for one, was, now in zip(shown, before, after, strict=True):
        told = paint(change(one), _SHADES[one.improved], colour=colour)
        yield f"    {one.name:<{name}}  {was:>{old}} -> {now:>{new}}  {told}"


def compared(one: Comparison) -> bool:
    """It was measured more than once on both kernels."""
    return min(len(one.base), len(one.patched)) > 1


def said(value: float, unit: str) -> str:
    """Four digits of a figure, and its unit."""
    digits = f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{digits} {unit}".rstrip()


def change(one: Comparison) -> str:
    """What the series did to a metric: `x1.25 (1.19 to 1.31) better`."""
    words = {True: "better", False: "worse", None: "changed" if one.changed else "no change"}
    word = words[one.improved]
    if one.ratio is None:
        return f"p = {one.p:.2g} {word}"
    if one.low is None or one.high is None:
        return f"x{one.ratio:.3g} (too few runs to say more)"
    return f"x{one.ratio:.3g} ({one.low:.3g} to {one.high:.3g}) {word}"
