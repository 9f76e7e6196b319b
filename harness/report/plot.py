# SPDX-License-Identifier: GPL-2.0-only
"""A metric on the base and with the series: all figures, their medians and the ratio, as SVG.

The page's style sheet says what its classes look like; shapes differ as colours do. What the
picture shows is in its <desc> and in sentence() as well.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from html import escape

from harness.model import Comparison

_WIDTH, _HEIGHT, _NO_RATIO = 640, 150, 104
_LEFT, _RIGHT = 70, 626
_BASE_Y, _PATCHED_Y, _AXIS_Y, _RATIO_Y = 24, 60, 88, 128
_POINTS_MAX = 400
_HUGE, _TINY = 1e300, 1e-290
_SPREAD = 4  # rows of points, so that equal figures do not hide each other


def sentence(one: Comparison) -> str:
    """The comparison in words, for who does not see the picture."""
    base, patched = _finite(one.base), _finite(one.patched)
    unit = f" {one.unit}" if one.unit else ""
    said = [f"{one.name}: {_of('base', base, unit)}, {_of('series', patched, unit)}"]
    if one.ratio is not None and math.isfinite(one.ratio):
        interval = "" if one.low is None or one.high is None else _interval(one.low, one.high)
        said.append(f"{one.ratio:.3g} times the base{interval}, p = {one.p:.2g}")
    elif min(len(base), len(patched)) > 1:
        said.append(f"p = {one.p:.2g}")
    said.append({True: "better", False: "worse", None: ""}[one.improved])
    if one.improved is None:
        said[-1] = "changed" if one.changed else "no difference shown"
    lost = len(one.base) + len(one.patched) - len(base) - len(patched)
    if lost:
        said.append(f"{lost} without a finite value")
    return "; ".join(said)


def _of(name: str, figures: Sequence[float], unit: str) -> str:
    if not figures:
        return f"{name} without figures"
    runs = f"{len(figures)} run{'s' * (len(figures) > 1)}"
    return f"{name} {statistics.median(figures):.4g}{unit} (median of {runs})"


def _interval(low: float, high: float) -> str:
    return f" (95 % interval {low:.3g} to {high:.3g})"


def strip(one: Comparison, *, ident: str) -> str:
    """An <svg>; `ident` makes the ids in it unique on its page. Empty without figures."""
    base, patched = _finite(one.base), _finite(one.patched)
    if not base + patched:
        return ""
    scale = _Scale(min(base + patched), max(base + patched), _LEFT, _RIGHT)
    ratio = list(_ratio(one))
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT if ratio else _NO_RATIO}" role="img" '
        f'aria-labelledby="{ident}-title {ident}-desc">',
        f'<title id="{ident}-title">{escape(one.name)}</title>',
        f'<desc id="{ident}-desc">{escape(sentence(one))}</desc>',
        *_row("base", base, _BASE_Y, scale),
        *_row("series", patched, _PATCHED_Y, scale),
        *_axis(scale, one.unit),
        *ratio,
        "</svg>",
    ]
    return "".join(parts)


class _Scale:
    """Values to places between `left` and `right`; a single value is in the middle."""

    def __init__(self, low: float, high: float, left: float, right: float) -> None:
        spread = high - low if high - low > _TINY else 0.0
        room = spread * 0.04 or abs(high) * 0.05
        room = room if room > _TINY else 1.0
        self.low, self.high = low - room, high + room
        self._left, self._right = left, right

    def at(self, value: float) -> float:
        """The place of a value; one from outside is at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(self._left + min(1.0, max(0.0, share)) * (self._right - self._left), 1)

    def ticks(self) -> Iterator[float]:
        """Four to ten round values."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step *= next(m for m in (5, 2, 1) if m == 1 or (self.high - self.low) / (m * step) >= 4)
        first = math.ceil(self.low / step)
        for number in range(first, first + 12):
            if number * step > self.high:
                return
            yield number * step


def _finite(figures: Sequence[float]) -> tuple[float, ...]:
    """Those that can be drawn: neither infinite nor so near to it that their difference is."""
    return tuple(one for one in figures if abs(one) < _HUGE)


def _row(name: str, figures: Sequence[float], y: int, scale: _Scale) -> Iterator[str]:
    yield f'<text class="name" x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{name}</text>'
    yield f'<line class="rail" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>'
    for number, value in enumerate(_thinned(figures)):
        x, at = scale.at(value), y + (number % _SPREAD - (_SPREAD - 1) / 2) * 4
        if name == "base":
            yield f'<circle class="base" cx="{x}" cy="{at}" r="3"/>'
        else:
            yield f'<path class="series" d="M{x - 2.75:.1f} {at - 2.75}h5.5v5.5h-5.5z"/>'
    if figures:
        x = scale.at(statistics.median(figures))
        yield f'<line class="median" x1="{x}" x2="{x}" y1="{y - 13}" y2="{y + 13}"/>'


def _thinned(figures: Sequence[float]) -> Sequence[float]:
    """As they are, or evenly chosen of the sorted ones, both ends too."""
    if len(figures) <= _POINTS_MAX:
        return figures
    last = (len(figures) - 1) / (_POINTS_MAX - 1)
    ordered = sorted(figures)
    return [ordered[round(number * last)] for number in range(_POINTS_MAX)]


def _axis(scale: _Scale, unit: str) -> Iterator[str]:
    for value in scale.ticks():
        x = scale.at(value)
        yield f'<line class="rail" x1="{x}" x2="{x}" y1="{_AXIS_Y - 6}" y2="{_AXIS_Y - 2}"/>'
        if x > _LEFT + 14:  # else it would run into the unit
            yield f'<text x="{x}" y="{_AXIS_Y + 9}" text-anchor="middle">{value:.5g}</text>'
    yield (f'<text x="{_LEFT - 10}" y="{_AXIS_Y + 9}" text-anchor="end">{escape(unit[:10])}</text>')


def _ratio(one: Comparison) -> Iterator[str]:
    """The ratio and its interval beside 1, which is no difference."""
    if one.ratio is None or not math.isfinite(one.ratio):
        return
    known = [v for v in (one.ratio, one.low, one.high) if v is not None and math.isfinite(v)]
    scale = _Scale(min(*known, 1.0), max(*known, 1.0), _LEFT, 400)
    y = _RATIO_Y
    yield f'<text class="name" x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">ratio</text>'
    one_x = scale.at(1.0)
    yield f'<line class="one" x1="{one_x}" x2="{one_x}" y1="{y - 14}" y2="{y + 10}"/>'
    yield f'<text x="{one_x}" y="{y + 20}" text-anchor="middle">1</text>'
    if one.low is not None and one.high is not None:
        ends = f'x1="{scale.at(one.low)}" x2="{scale.at(one.high)}"'
        yield f'<line class="interval" {ends} y1="{y}" y2="{y}"/>'
    x = scale.at(one.ratio)
    yield f'<path class="ratio" d="M{x} {y - 6}l6 6l-6 6l-6 -6z"/>'
    interval = f"  [{one.low:.3g}, {one.high:.3g}]" if one.low and one.high else ""
    yield f'<text class="figure" x="416" y="{y + 4}">×{one.ratio:.3g}{interval}</text>'
