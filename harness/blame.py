# SPDX-License-Identifier: GPL-2.0-only
"""Which patch of a series changed a line of the final tree.

The patches are looked at as they were applied, tree against tree: the lines that they name
themselves may be off.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness import apply
from harness.git import Git
from harness.model import Base, Frame, Patch, Position, Series
from harness.series import touched

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A hunk without context: `removed` lines from `old` on became `added` lines from `new` on.
    Where one of them is 0, its line is the one before the place."""

    old: int
    removed: int
    new: int
    added: int


def edits(diff: str) -> tuple[Edit, ...]:
    """The edits of a file in `git diff -U0`."""
    found = (_HUNK.match(line) for line in diff.splitlines())
    return tuple(
        Edit(old=int(one[1]), removed=int(one[2] or 1), new=int(one[3]), added=int(one[4] or 1))
        for one in found
        if one
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Of a file: the patch that made a line last, and the lines before which one took some out."""

    made: dict[int, str] = field(default_factory=dict)
    cut: dict[int, str] = field(default_factory=dict)

    def after(self, patch: str, changes: Sequence[Edit]) -> "Marks":
        """The marks once one patch more is applied."""
        made = dict(_moved(self.made, changes))
        cut = dict(_moved(self.cut, changes))
        for one in changes:
            made |= dict.fromkeys(range(one.new, one.new + one.added), patch)
            if not one.added:
                cut[one.new + 1] = patch
        return Marks(made=made, cut=cut)

    def near(self, lines: range) -> list[str]:
        """The patches that changed something there."""
        places = sorted({**self.cut, **self.made})
        both = (self.made.get(at, self.cut.get(at, "")) for at in places if at in lines)
        return list(dict.fromkeys(both))


def _moved(marks: dict[int, str], changes: Sequence[Edit]) -> Iterator[tuple[int, str]]:
    for line, patch in marks.items():
        moved = line
        for one in changes:
            if one.removed and one.old <= line < one.old + one.removed:
                break
            if line >= one.old + (one.removed or 1):
                moved += one.added - one.removed
        else:
            yield moved, patch


def function_at(source: Sequence[str], line: int) -> range:
    """The lines of the function that has `line`, by the braces in the first column that kernel
    style asks for; empty outside of one."""
    at = line - 1
    if not 0 <= at < len(source):
        return range(0)
    first = at
    while first > 0 and not source[first].startswith("{"):
        if first != at and source[first].startswith("}"):
            return range(0)
        first -= 1
    last = at
    while last < len(source) - 1 and not source[last].startswith("}"):
        last += 1
    while first > 0 and source[first - 1].strip() and source[first - 1][0] not in "}#":
        first -= 1
    return range(first + 1, last + 2)


class Blame:
    """The marks of a series on a base, file by file as they are asked for."""

    def __init__(self, base: Base, stack: Series) -> None:
        self._base = base
        self._stack = stack
        self._git = Git(base.mirror)
        self._files: dict[str, tuple[Marks, list[str]]] = {}
        self._order = {patch.name: number for number, patch in enumerate(stack.patches)}

    def mark(self, frame: Frame) -> Frame:
        """The frame, it and what is inlined there with their patches."""
        inlines = tuple(self._marked(one) for one in frame.inlines)
        own = self._marked(frame)
        return replace(frame, patch=own.patch, near=own.near, inlines=inlines)

    def _marked(self, one: Position) -> Position:
        if not one.file or not any(one.file in touched(p) for p in self._stack.patches):
            return one
        marks, source = self._file(one.file)
        if patch := marks.made.get(one.line):
            return replace(one, patch=patch)
        around = marks.near(function_at(source, one.line))
        return replace(one, near=max(around, key=lambda name: self._order[name], default=""))

    def _file(self, file: str) -> tuple[Marks, list[str]]:
        if file not in self._files:
            marks, before = Marks(), self._base.tree
            for patch, after in self._steps(file):
                diff = self._git.run("diff-tree", "-p", "-U0", before, after, "--", file)
                marks = marks.after(patch.name, edits(diff.stdout.decode(errors="replace")))
                before = after
            text = self._git.run("cat-file", "blob", f"{before}:{file}").stdout
            self._files[file] = marks, text.decode(errors="replace").split("\n")
        return self._files[file]

    def _steps(self, file: str) -> Iterable[tuple[Patch, str]]:
        """The patches that touch the file, each with the tree that it makes."""
        patches = self._stack.patches
        for number, patch in enumerate(patches, 1):
            if file in touched(patch):
                part = replace(self._stack, patches=patches[:number])
                yield patch, apply.apply(self._base, part)
