# SPDX-License-Identifier: GPL-2.0-only
"""The consoles of a run's guests, as much of them as a page can hold, and where each test is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.marks import Marks

_WHOLE_BYTES = 192 * 1024
_HEAD, _TAIL = 60, 200  # lines of a long console that are kept anyway,
_AROUND = 15  # those before and after what is asked for,
_SPAN_MAX = 400  # and those from either end of a test
_LINE_MAX = 2000
_RESTORED = re.compile(r"harness [0-9a-f]{8,64}: restored ")

Lines = tuple[int, int]
"""The first and the last line of a part, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A console with `lines` lines: `pieces` are the number of a first line and the text from there
    on; `spans` are the lines of each test that ran. `restored`: it begins where a guest was saved.
    """

    lines: int
    pieces: tuple[tuple[int, str], ...]
    spans: tuple[tuple[str, Lines], ...]
    restored: bool

    def of(self, test: str, *, nth: int = 0) -> Lines | None:
        """The lines of a test that ran here, `nth` (from 0) of several times."""
        found = [span for label, span in self.spans if label == test]
        return found[min(nth, len(found) - 1)] if found else None


def read(path: Path, tests: Sequence[str], splats: Sequence[Lines]) -> Console | None:
    """A console, cut to where these tests ran and these lines when it is long. None without one."""
    try:
        size = path.stat().st_size
        marks, count = _scan(path)
        spans = tuple(
            (label, (first, count if last is None else last)) for label, first, last in marks.spans
        )
        parts = [(1, count)] if size <= _WHOLE_BYTES else _parts(count, spans, tests, splats)
        pieces = tuple(_pieces(path, _merged(parts, count)))
    except OSError:
        return None
    first = pieces[0][1].partition("\n")[0] if pieces else ""
    return Console(lines=count, pieces=pieces, spans=spans, restored=bool(_RESTORED.search(first)))


def _scan(path: Path) -> tuple[Marks, int]:
    """Where the tests are, and how many lines there are."""
    marks, count, last = Marks(), 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            marks.feed(chunk)
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return marks, count + (last != b"\n")


def _parts(
    count: int, spans: Sequence[tuple[str, Lines]], tests: Sequence[str], splats: Sequence[Lines]
) -> list[Lines]:
    wanted = set(tests)
    parts = [(1, _HEAD), (count - _TAIL + 1, count), *splats]
    for label, (first, last) in spans:
        if label in wanted:
            parts += [(first, min(last, first + _SPAN_MAX)), (max(first, last - _SPAN_MAX), last)]
    return parts


def _merged(parts: Sequence[Lines], count: int) -> list[Lines]:
    """Parts with some lines around them, in order, those that touch as one."""
    made: list[Lines] = []
    for first, last in sorted(parts):
        first, last = max(1, first - _AROUND), min(count, last + _AROUND)
        if made and first <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        elif first <= last:
            made.append((first, last))
    return made


def _pieces(path: Path, parts: Sequence[Lines]) -> Iterator[tuple[int, str]]:
    left, kept = list(parts), []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not left:
                return
            if number >= left[0][0]:
                kept.append(line[:_LINE_MAX].rstrip(b"\r\n").decode(errors="replace"))
            if number == left[0][1]:
                yield left.pop(0)[0], "\n".join(kept) + "\n"
                kept = []
