# SPDX-License-Identifier: GPL-2.0-only
"""The posterior in a terminal: a bar for each candidate that matters, ranges of the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.bisect import outcome, replay
from harness.bisect.record import Told
from harness.bisect.run import searched
from harness.bisect.search import Search
from harness.bisect.subset import SubsetSearch
from harness.bisect.table import Row, rows
from harness.bisect.view import COLOURS, ranges, short
from harness.model import GOOD
from harness.report.paint import fit, paint

_SOME = 1e-3  # the probability of a candidate that is worth a line
_FEW = 6  # lines at least, however small the terminal says that it is
_AROUND = 3  # lines that are no bars: the head, the last one, and the next prompt
_NAME = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a terminal; `height` 0 for no end."""

    width: int = 100
    height: int = 0


def lines(told: Told, size: Size, *, colour: bool = False) -> Iterator[str]:
    """The bars, oldest candidate first, and in the last line how far it is."""
    search = searched(told.question, told.steps)
    if isinstance(search, SubsetSearch):
        yield from _sets(told, search, size, colour=colour)
    else:
        seen = {row.number: row for row in rows(told, search)}
        found = frozenset(outcome.culprits(search, told))
        shown = _chosen(search, seen, found, size.height)
        yield from (fit(line, size.width) for line in _ends(seen.get(GOOD)))
        most = max((search.posterior.probability(number) for number in shown), default=0.0)
        for part in _parts(len(told.question.candidates), shown):
            if part[0] in shown:
                bar = _bar(search.posterior.probability(part[0]), most, max(10, size.width // 4))
                mark = ">" if part[0] in found else " "
                line = f"{mark} {_line(search, part[0], seen.get(part[0]), bar)}"
                yield _painted(fit(line, size.width), seen.get(part[0]), colour=colour)
            else:
                yield _folded(search, part)
    last = list(replay.moves(told))[-1:]
    yield last[0].state if last else "nothing has been run yet"


def _ends(good: Row | None) -> Iterator[str]:
    if good is not None:
        yield f"  {good.name:<{_NAME}} {good.verdict:<5} {_said(good)}, the good end"


def _chosen(
    search: Search, seen: dict[int, Row], found: frozenset[int], height: int
) -> frozenset[int]:
    """The candidates with a line of their own: as many as there is room for."""
    count = len(search.question.candidates)
    shares = [search.posterior.probability(number) for number in range(count)]
    worth = [n for n in range(count) if n in seen or shares[n] >= _SOME or n in found]
    worth.sort(key=lambda n: (n not in found, n not in seen, -shares[n]))
    room = max(_FEW, height - _AROUND) if height else 2 * count
    shown: frozenset[int] = frozenset()
    for number in worth:
        more = shown | {number}
        if len(list(_parts(count, more))) <= room:
            shown = more
    # A line for one that is left out tells less than its own.
    return shown | {first for first, last in _parts(count, shown) if first == last}


def _parts(count: int, shown: frozenset[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of what is on each line."""
    first = 0
    for number in (*sorted(shown), count):
        if first < number:
            yield first, number - 1
        if number < count:
            yield number, number
        first = number + 1


def _bar(share: float, most: float, width: int) -> str:
    """As long as `share` is of the largest one; anything that there is shows."""
    length = round(width * share / most) if most else 0
    return f"{'#' * (length or int(share >= _SOME)):<{width}}"


def _line(search: Search, number: int, seen: Row | None, bar: str) -> str:
    verdict, said = (seen.verdict, _said(seen)) if seen else ("", "")
    asked = search.question
    head = f"{short(asked, number):<{_NAME}} {verdict:<5}"
    share = search.posterior.probability(number)
    title = asked.candidates[number].title
    return f"{head} {bar} {share:>7.2%}  {f'{said}; ' if said else ''}{title}"


def _said(seen: Row) -> str:
    return f"{seen.failed} of {seen.runs}" if seen.runs else ""


def _painted(line: str, seen: Row | None, *, colour: bool) -> str:
    if seen is None:
        return line
    at = 3 + _NAME
    word = line[at : at + 5]
    return line[:at] + paint(word, COLOURS[seen.verdict], colour=colour) + line[at + 5 :]


def _folded(search: Search, part: tuple[int, int]) -> str:
    first, last = part
    share = sum(search.posterior.probability(number) for number in range(first, last + 1))
    return f"  ... {last - first + 1} {search.question.space}, {share:.1%}"


def _sets(told: Told, search: SubsetSearch, size: Size, *, colour: bool) -> Iterator[str]:
    """Of each set that was tried the patches that are in it; the last ones where that is many."""
    count = len(told.question.candidates)
    every = [one for one in told.steps if one.chosen]
    room = max(_FEW, size.height - _AROUND) if size.height else len(every)
    for one in every[-room:]:
        marks = "".join("#" if number in one.chosen else "." for number in range(count))
        word = paint(f"{one.verdict:<5}", COLOURS[one.verdict], colour=colour)
        head = f"{one.step:>3} {word} {fit(marks, max(10, size.width // 2))}"
        yield f"{head}  {ranges(one.chosen)}"
    if needed := outcome.culprits(search, told):
        yield f"    needed  {''.join('#' if n in needed else '.' for n in range(count))}"
