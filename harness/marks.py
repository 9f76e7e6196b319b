# SPDX-License-Identifier: GPL-2.0-only
"""Which test was running at a line of a console? The agent's markers in the kernel's log tell."""

import re
from bisect import bisect_right

_LINE_MAX = 4096
_MARKER = re.compile(rb"harness ([0-9a-f]{8,64}): (start|end) (\d+)(?: ([^\r\n]*))?")


class Marks:
    """Feed it a saved console in any pieces. Which nonce the agent had is not known any more: the
    first one seen, for no test runs before that."""

    def __init__(self) -> None:
        self._rest = b""
        self._line = 0
        self._nonce = b""
        self._starts: list[int] = []
        self._spans: list[tuple[int, str, int | None]] = []

    def feed(self, chunk: bytes) -> None:
        """Take in what comes next. A last line without its newline is not looked at."""
        data = self._rest + chunk
        end = data.rfind(b"\n") + 1
        self._rest = data[end:][:_LINE_MAX]
        if b"harness " in data:
            for marker in _MARKER.finditer(data, 0, end):
                self._take(marker, self._line + data.count(b"\n", 0, marker.start()) + 1)
        self._line += data.count(b"\n", 0, end)

    def test_at(self, line: int) -> str | None:
        """The label of the test that ran while this line (from 1) was printed."""
        index = bisect_right(self._starts, line) - 1
        if index < 0:
            return None
        _, label, last = self._spans[index]
        return label if last is None or line <= last else None

    @property
    def spans(self) -> tuple[tuple[str, int, int | None], ...]:
        """What ran, in order: its label, its first line and its last one, None for no end."""
        return tuple(
            (label, first, last)
            for first, (_, label, last) in zip(self._starts, self._spans, strict=True)
        )

    def _take(self, marker: re.Match[bytes], line: int) -> None:
        nonce, what, number, label = marker.groups()
        self._nonce = self._nonce or nonce
        if nonce != self._nonce:
            return
        if what == b"start":
            self._starts.append(line)
            self._spans.append((int(number), (label or number).decode(errors="replace"), None))
        elif self._spans and self._spans[-1][0] == int(number):
            self._spans[-1] = (*self._spans[-1][:2], line)
