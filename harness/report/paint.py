# SPDX-License-Identifier: GPL-2.0-only
"""Colours, and texts that fit into the width of a terminal."""

import textwrap
from typing import Any

from harness.model import Outcome

_COLOURS = {
    Outcome.PASS: "32",
    Outcome.XFAIL: "32",
    Outcome.SKIP: "33",
    Outcome.ERROR: "35",
}


def paint(text: str, code: str, *, colour: bool) -> str:
    """`text` in an ANSI colour where colours are wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def outcome_colour(outcome: Outcome) -> str:
    """The ANSI code for an outcome."""
    return _COLOURS.get(outcome, "31")


def fit(line: str, width: int) -> str:
    """A line, its end left out where it is too long."""
    return line if len(line) <= width else line[: width - 3] + "..."


def wrapped(text: str, width: int) -> list[str]:
    """Two lines at most of a text, indented."""
    indents: dict[str, Any] = {"initial_indent": " " * 4, "subsequent_indent": " " * 6}
    return textwrap.wrap(
        text, width, **indents, max_lines=2, placeholder="...", break_on_hyphens=False
    )


def squeeze(name: str, width: int) -> str:
    """A name with its middle left out where it is too long: both ends tell it from others."""
    if len(name) <= width:
        return name
    tail = width // 2 - 1
    return f"{name[: width - tail - 2]}..{name[-tail:]}"
