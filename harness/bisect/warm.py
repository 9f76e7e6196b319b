# SPDX-License-Identifier: GPL-2.0-only
"""Which candidates' kernels the cache has already: they cost a boot, not a build."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import kernel, ready
from harness.git import Git
from harness.model import Base, Candidate, Cell
from harness.suites import Prepared
from harness.toolchain import Toolchain


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """What the kernels of a bisection have in common: its cell, and what its suites come to."""

    cell: Cell
    prepared: Sequence[Prepared]
    root: Path

    def built(self, base: Base, candidates: Sequence[Candidate]) -> tuple[int, ...]:
        """The numbers of the commits whose kernels are there. With a series on top none is looked
        for: to apply it to each commit would take longer than it saves."""
        if self.cell.stack.patches:
            return ()
        suites = ready.suites_of(self.cell, self.root)
        config = ready.configuration(self.cell, self.root, suites)
        tools = Toolchain(cc=self.cell.cc, llvm=self.cell.llvm)
        modules = any(one.modules for one in self.prepared)
        trees = _trees(base.mirror, candidates)
        found = []
        for number, one in enumerate(candidates):
            at = replace(base, commit=one.name, tree=trees[one.name])
            made = kernel.identify(at, self.cell.stack, config, tools, modules=modules)
            if made.load() is not None:
                found.append(number)
        return tuple(found)


def _trees(mirror: Path, candidates: Sequence[Candidate]) -> Mapping[str, str]:
    """The tree objects of commits."""
    feed = "".join(f"{one.name}\n" for one in candidates).encode()
    wanted = ("log", "--no-walk=unsorted", "--stdin", "--format=%H %T")
    lines = Git(mirror).run(*wanted, feed=feed).text.splitlines()
    return dict(line.split(" ", 1) for line in lines)
