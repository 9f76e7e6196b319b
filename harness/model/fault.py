# SPDX-License-Identifier: GPL-2.0-only
"""Calls that the kernel had fail on purpose. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What became of a shot: a run of a test in which the `nth` call of its task that can be made
    to fail is to fail.

    `left` is what was left to count when it ended, 0 where the call came; None where the guest is
    lost. The rest is what the kernel printed of the call, empty where it was silent: `kind` is
    failslab, fail_page_alloc or fail_usercopy, `stack` its trace as `function+offset/size
    [module]`, the innermost first.
    """

    nth: int
    left: int | None = None
    kind: str = ""
    stack: tuple[str, ...] = ()

    @property
    def injected(self) -> bool:
        """The call came, and failed."""
        return self.left == 0 or (self.left is None and bool(self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class BadShot:
    """A shot that the kernel did not bear: what it did, and the boot that has the console."""

    test: str
    nth: int
    outcome: str
    detail: str
    boot: int
    round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place in the kernel where calls were made to fail: in `function`, the first one that is no
    allocator and copies nothing itself, at `place` (file:line, else function+offset), on behalf of
    `syscall`. `tests` met it, in `count` shots; `bad` are those that went wrong."""

    kind: str
    function: str
    place: str
    syscall: str
    count: int = 0
    tests: tuple[str, ...] = ()
    bad: tuple[BadShot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The shots at one test. `calls` is how many calls of it can fail, as one run without a fault
    had them (None where that is not known); `shots` were made, of which `injected` came; `whole`:
    none is left out."""

    test: str
    calls: int | None
    shots: int
    injected: int
    whole: bool


def fault_of(told: Mapping[str, Any] | None) -> Fault | None:
    """A fault that went through JSON, where tuples are lists."""
    return Fault(**{**told, "stack": tuple(told["stack"])}) if told else None
