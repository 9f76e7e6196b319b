# SPDX-License-Identifier: GPL-2.0-only
"""What /sys/kernel/debug/kmemleak says -> which command allocated it; pure (docs/leaks.md)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import splat
from harness.model import Residue, Splat

_FIRST = "unreferenced object 0x"
_HEAD = "BUG: memory leak"  # what makes a splat of it, as syzkaller puts it
_ALLOCATED = re.compile(r'^  comm "(.*)", pid (\d+), jiffies (\d+)')
_COMM_MAX = 15  # TASK_COMM_LEN, less its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """An object that nobody points to: the process that allocated it, by name and number, when in
    jiffies, and the kernel's report."""

    comm: str
    pid: int
    jiffies: int
    splat: Splat


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """Splats by the number of the command that allocated the objects, those from before the first
    of all commands, and those that are nobody's."""

    of: Mapping[int, tuple[Splat, ...]]
    boot: tuple[Splat, ...]
    stray: tuple[Splat, ...]


def parse(text: str) -> tuple[Leak, ...]:
    """The reports, as print_unreferenced() in mm/kmemleak.c writes them (4.x to 6.18)."""
    reports: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(_FIRST):
            reports.append([])
        if reports:
            reports[-1].append(line)
    return tuple(leak for lines in reports if (leak := _leak(lines)) is not None)


def _leak(lines: Sequence[str]) -> Leak | None:
    found = next(filter(None, map(_ALLOCATED.match, lines)), None)
    read = splat.scan("\n".join((_HEAD, *lines, "")).encode())
    if found is None or not read:
        return None
    # They are in no line of a console.
    one = replace(read[0], line_from=0, line_to=0, complete=True, text=tuple(lines))
    return Leak(comm=found[1], pid=int(found[2]), jiffies=int(found[3]), splat=one)


def charge(leaks: Iterable[Leak], ran: Sequence[Residue], programs: Sequence[str] = ()) -> Charged:
    """Who allocated what. One command of a guest runs at a time, so the time tells, also what
    kernel threads have allocated for it; where two share the jiffy, the one whose
    program has the name of the process. Leaks of one command with the same fingerprint are
    one splat."""
    of: dict[int, list[Splat]] = {}
    boot: list[Splat] = []
    stray: list[Splat] = []
    begun = min((one.jiffies_from for one in ran if one.jiffies_from), default=0)
    for leak in leaks:
        number = _command_at(leak, ran, programs)
        if number is not None:
            of.setdefault(number, []).append(leak.splat)
        elif leak.jiffies < begun:
            boot.append(leak.splat)
        else:
            stray.append(leak.splat)
    return Charged(
        of={number: merged(splats) for number, splats in of.items()},
        boot=merged(boot),
        stray=merged(stray),
    )


def _command_at(leak: Leak, ran: Sequence[Residue], programs: Sequence[str]) -> int | None:
    """The one that ran then. Where one begins in the jiffy that another ends in: the one whose
    program is named so, else the last that had begun."""
    then = [
        number
        for number, one in enumerate(ran)
        if one.jiffies_from <= leak.jiffies <= one.jiffies_to
    ]
    named = [n for n in then if n < len(programs) and programs[n][:_COMM_MAX] == leak.comm]
    return max(named or then, default=None)


def merged(splats: Iterable[Splat]) -> tuple[Splat, ...]:
    """One splat for each fingerprint, the first; it says how many more there are."""
    found: dict[tuple[str, ...], list[Splat]] = {}
    for one in splats:
        found.setdefault(one.fingerprint, []).append(one)
    return tuple(_counted(same[0], len(same)) for same in found.values())


def _counted(one: Splat, count: int) -> Splat:
    if count == 1:
        return one
    return replace(one, text=(*one.text, f"and {count - 1} more that were allocated there"))
