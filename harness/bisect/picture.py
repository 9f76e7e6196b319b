# SPDX-License-Identifier: GPL-2.0-only
"""The posterior as SVG: a bar for each candidate, below it a mark for each that was looked at.

Of many candidates neighbours share a bar. The page's style sheet says what its classes look like;
the marks differ in shape, and what the picture shows is in its <desc> too.
"""

from collections.abc import Iterator, Sequence
from html import escape

from harness.bisect.answer import Answer
from harness.bisect.search import Search
from harness.bisect.view import short
from harness.model import GOOD

_WIDTH, _HEIGHT = 720, 190
_LEFT, _RIGHT, _TOP, _FLOOR = 44, 708, 28, 130
_MARKS_Y, _AXIS_Y, _LEGEND_Y = 142, 162, 183
_BARS_MOST = 332  # two units each
_SAID, _WORTH = 5, 0.05  # of the likeliest candidates in words, and what each has at least
_SHAPES = {
    "bad": "M{x} {y}m-4 -4h8v8h-8z",
    "good": "M{x} {y}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "skip": "M{x} {y}m-4 -4l8 8m0 -8l-8 8",
    "same": "M{x} {y}m-4 0h8",
}
_WORDS = {"bad": "failed", "good": "passed", "skip": "says nothing", "same": "the same program"}


def sentence(one: Answer) -> str:
    """What the picture shows, for who does not see it."""
    asked, shares = one.told.question, _shares(one)
    left = one.search.progress().left
    order = sorted(range(len(shares)), key=lambda number: -shares[number])[:_SAID]
    said = ", ".join(f"{short(asked, n)} {shares[n]:.1%}" for n in order if shares[n] >= _WORTH)
    hold = "holds" if left == 1 else "hold"
    likeliest = f" The likeliest: {said}." if said else ""
    return f"{len(shares)} {asked.space}, oldest first; {left} {hold} at least 99 %.{likeliest}"


def svg(one: Answer) -> str:
    """An <svg>; empty where the search has no posterior."""
    shares = _shares(one)
    if not shares:
        return ""
    bars = _bars(shares)
    parts = [
        f'<svg class="plot posterior" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-labelledby="posterior-title posterior-desc">',
        '<title id="posterior-title">The probability of each to be the culprit</title>',
        f'<desc id="posterior-desc">{escape(sentence(one))}</desc>',
        *_scale(max(bars)),
        *_columns(one, bars, len(shares)),
        *_marks(one, len(shares)),
        *_axis(one, len(shares)),
        *_legend(one),
        "</svg>",
    ]
    return "".join(parts)


def _shares(one: Answer) -> list[float]:
    if not isinstance(one.search, Search):
        return []
    count = len(one.told.question.candidates)
    return [one.search.posterior.probability(number) for number in range(count)]


def _bars(shares: Sequence[float]) -> list[float]:
    """The sum of each bar's candidates."""
    count = min(len(shares), _BARS_MOST)
    bars = [0.0] * count
    for number, share in enumerate(shares):
        bars[number * count // len(shares)] += share
    return bars


def _at(number: float, count: int) -> float:
    """The left edge of a candidate, or a bar, of so many."""
    return round(_LEFT + (_RIGHT - _LEFT) * number / count, 2)


def _scale(most: float) -> Iterator[str]:
    for share in (0.0, most):
        y = _FLOOR if not share else _TOP
        yield f'<line class="rail" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>'
        text = f"{share:.0%}" if not share or share >= 0.095 else f"{share:.1%}"
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{text}</text>'


def _columns(one: Answer, bars: Sequence[float], count: int) -> Iterator[str]:
    most = max(bars) or 1.0
    found = {culprit.number * len(bars) // count for culprit in one.culprits}
    for number, share in enumerate(bars):
        height = round((_FLOOR - _TOP) * share / most, 2)
        left, right = _at(number, len(bars)), _at(number + 1, len(bars))
        if number in found:
            x = round((left + right) / 2, 2)
            yield f'<path class="found" d="M{x} {_TOP - 6}l-5 -9h10z"/>'
        if height >= 0.2 or number in found:
            width = round(max(1.0, (right - left) * 0.85), 2)
            name = "share found" if number in found else "share"
            shape = f'x="{left}" y="{_FLOOR - height:.2f}" width="{width}"'
            yield f'<rect class="{name}" {shape} height="{max(height, 1):.2f}"/>'
    for culprit in one.culprits[:1]:
        x = (_at(culprit.number, count) + _at(culprit.number + 1, count)) / 2
        side, where = ("end", x - 9) if x > _WIDTH / 2 else ("start", x + 9)
        label = escape(f"{culprit.name}, the culprit"[:60])
        if len(one.culprits) > 1:
            label = f"one of {len(one.culprits)}"
        yield f'<text class="name" x="{where:.1f}" y="16" text-anchor="{side}">{label}</text>'


def _marks(one: Answer, count: int) -> Iterator[str]:
    for row in one.rows:
        if row.number == GOOD:
            x = _LEFT - 12.0
        else:
            x = (_at(row.number, count) + _at(row.number + 1, count)) / 2
        said = f"{row.name}: {row.failed} of {row.runs} failed" if row.runs else row.title
        shape = _SHAPES[row.verdict].format(x=f"{x:.1f}", y=_MARKS_Y)
        yield f'<path class="b-{row.verdict}" d="{shape}"><title>{escape(said)}</title></path>'


def _axis(one: Answer, count: int) -> Iterator[str]:
    asked = one.told.question
    first, last = (escape(short(asked, number)[:24]) for number in (0, asked.bad))
    yield f'<text x="{_LEFT}" y="{_AXIS_Y}">{first}</text>'
    if count > 1:
        yield f'<text x="{_RIGHT}" y="{_AXIS_Y}" text-anchor="end">{last}</text>'


def _legend(one: Answer) -> Iterator[str]:
    """The shapes that are there."""
    x = _LEFT
    for verdict in _SHAPES:
        if any(row.verdict == verdict for row in one.rows):
            shape = _SHAPES[verdict].format(x=x + 4, y=_LEGEND_Y - 4)
            yield f'<path class="b-{verdict}" d="{shape}"/>'
            yield f'<text x="{x + 14}" y="{_LEGEND_Y}">{_WORDS[verdict]}</text>'
            x += 30 + 7 * len(_WORDS[verdict])
