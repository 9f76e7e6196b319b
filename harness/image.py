# SPDX-License-Identifier: GPL-2.0-only
"""What an ELF file says of an address: its symbols by nm, places in the sources by addr2line.

Those of binutils, also for what clang made: LLVM's addr2line knows no section of an object.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.model import Position

# kallsyms knows where the next function begins, not where this one ends.
_PADDING = 64
_DISCRIMINATOR = re.compile(r" \(discriminator \d+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of an ELF file; `start` is its offset in `section`, or an address of vmlinux."""

    section: str
    start: int
    size: int

    def fits(self, size: int) -> bool:
        """It may be the one that a trace prints with this size; a label of assembly has none."""
        return not self.size or self.size <= size < self.size + _PADDING


def functions(path: Path, timeout_s: float) -> dict[str, list[Function]]:
    """The functions of an ELF file by name. HostError when nm does not read it."""
    argv = ["nm", "-f", "sysv", "--defined-only", str(path)]
    done = proc.check(proc.run(argv, timeout_s=timeout_s), f"no symbols in {path.name}")
    found: dict[str, list[Function]] = {}
    for line in done.text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[2] in ("t", "T", "W", "w"):
            made = Function(
                section=fields[6], start=int(fields[1], 16), size=int(fields[4] or "0", 16)
            )
            found.setdefault(fields[0], []).append(made)
    return found


def places(
    path: Path, section: str, addresses: Iterable[int], timeout_s: float
) -> dict[int, tuple[Position, ...]]:
    """For each address the place that it is at, then those that this one was inlined into.

    `section` is that of a relocatable file, where addresses count from the beginning of it. Files
    are as the compiler named them. HostError when addr2line does not read it.
    """
    argv = ["addr2line", "-f", "-i", "-a", *(("-j", section) if section else ()), "-e", str(path)]
    argv += [hex(address) for address in sorted(set(addresses))]
    done = proc.check(proc.run(argv, timeout_s=timeout_s), f"no lines in {path.name}")
    return dict(read_places(done.text.splitlines()))


def read_places(lines: Iterable[str]) -> Iterator[tuple[int, tuple[Position, ...]]]:
    """What `addr2line -f -i -a` says: an address, then a function and its place, and so on."""
    address, found, name = -1, list[Position](), ""
    for line in lines:
        if line.startswith("0x"):
            if address >= 0:
                yield address, tuple(found)
            address, found, name = int(line, 16), [], ""
        elif not name:
            name = line
        else:
            found.append(_position(name, line))
            name = ""
    if address >= 0:
        yield address, tuple(found)


def _position(name: str, place: str) -> Position:
    file, _, number = _DISCRIMINATOR.sub("", place).rpartition(":")
    if not number.isdigit() or int(number) == 0 or file.startswith("?"):
        return Position(function=name)
    return Position(function=name, file=file, line=int(number))
