# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel reports about itself. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the sources: `line` from 1, `file` as the tree has it, empty where unknown.

    `patch` is the patch of the series that added or changed this line last, `near` the last one
    that changed something else of the same function.
    """

    function: str
    file: str = ""
    line: int = 0
    patch: str = ""
    near: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame(Position):
    """One line of a stack trace, `function+offset/size [module]`, and where that is in `function`.

    `exact`: the address is that of the instruction; else it is where a call returns to. `inlines`
    are the functions that the compiler put there, each called by the one before it. `stack` is
    empty for the trace, else whose it is: where memory was `allocated`, or `freed`.
    """

    offset: int
    size: int
    module: str = ""
    exact: bool = False
    stack: str = ""
    inlines: tuple[Position, ...] = ()

    @property
    def bare(self) -> "Frame":
        """As the kernel prints it."""
        return replace(self, file="", line=0, patch="", near="", inlines=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Splat:
    """One report of the kernel about itself. Lines count from 1, in the console log.

    `fingerprint` is what does not vary between two runs: kind, title and the top functions of
    the stack. `complete` is False when the console ended inside the report; `first`: nothing was
    reported before it since the kernel booted, so it is no damage of another one. `frames` are
    those of its stack trace that the kernel is sure of, `undecoded` says why some have no place in
    the sources; `on_base`: the base shows it too. In a run, `boot` has the console, and `phase`
    says when the kernel printed it: boot, test (which is `test`), between (two tests), teardown.
    """

    kind: str
    title: str
    function: str = ""
    fingerprint: tuple[str, ...] = ()
    line_from: int = 0
    line_to: int = 0
    complete: bool = True
    first: bool = True
    text: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    undecoded: str = ""
    on_base: bool = False
    boot: int = 0
    phase: str = ""
    test: str = ""

    @property
    def fatal(self) -> bool:
        """The kernel does not go on after this one (a guest dies of it, or should)."""
        panicked = any(line.startswith("Kernel panic - not syncing") for line in self.text)
        return self.kind in _FATAL or (panicked and self.complete)


def splat_of(told: Mapping[str, Any]) -> Splat:
    """A splat that went through JSON, where tuples are lists."""
    lists: dict[str, Any] = {key: tuple(told[key]) for key in ("fingerprint", "text")}
    frames = tuple(frame_of(one) for one in told.get("frames", ()))
    return Splat(**{**told, **lists, "frames": frames})


def frame_of(told: Mapping[str, Any]) -> Frame:
    """A frame that went through JSON."""
    return Frame(**{**told, "inlines": tuple(Position(**one) for one in told["inlines"])})


_FATAL = {"panic", "oops", "null-deref", "page-fault", "gpf", "no-init", "stack-overflow", "trap"}
