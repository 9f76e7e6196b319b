# SPDX-License-Identifier: GPL-2.0-only
"""What goes into a page: text that shows what it holds, JSON that cannot end its element, sizes."""

import json
import re
from dataclasses import dataclass
from typing import Any

_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
# What turns the direction of text around could make a name look like another one.
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
_HALVES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)  # no UTF-8 has them
_SHOWN = {**_CONTROLS, 0x7F: 0x2421, **_TURNS, **_HALVES}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def visible(text: str) -> str:
    """Text as a page can show it: no ANSI codes, control characters as their pictures."""
    return _ANSI.sub("", text.replace("\r\n", "\n")).translate(_SHOWN)


def document(value: Any) -> str:
    """One line of JSON for a <script> that is data: ASCII, and without what HTML reads."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


@dataclass(slots=True)
class Budget:
    """How many bytes there still are for what can be left out."""

    left: int

    def take(self, size: int) -> bool:
        """Whether `size` more bytes fit; they are counted where they do."""
        if size > self.left:
            return False
        self.left -= size
        return True


def shortened(text: str, *, lines: int, size: int) -> tuple[str, int]:
    """The last lines of a text, `size` characters at most, and how many before them are cut."""
    kept = "".join(text[-size:].splitlines(keepends=True)[-lines:])
    return kept, len(text) - len(kept)
