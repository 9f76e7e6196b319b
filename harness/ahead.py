# SPDX-License-Identifier: GPL-2.0-only
"""Which kernels a cell is going to need, found out before anything is built."""

from dataclasses import dataclass
from pathlib import Path

from harness import kernel, ready, steps, tree
from harness.kernel import Identity
from harness.model import Cell
from harness.toolchain import Toolchain


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A kernel of a cell: the label of its step, its identity, the commit that it begins with."""

    label: str
    identity: Identity
    base: str


def kernels(cell: Cell, root: Path, log: Path) -> tuple[Needed, ...]:
    """They, in the order of the cell's steps. Suites' programs are compiled for it, as these know
    whether there are modules; what compilers say goes to `log`. Raises as a run's first stages do:
    UsageError, ApplyError, KconfigError, BuildError, HostError."""
    base = tree.resolve(cell.tree, cell.commit)
    suites = ready.suites_of(cell, root)
    config = ready.configuration(cell, root, suites)
    tools = Toolchain(cc=cell.cc, llvm=cell.llvm)
    modules = any(suite.prepare(log).modules for suite in suites)
    found = []
    for step in steps.of(cell):
        identity = kernel.identify(base, step.stack, config, tools, modules=modules)
        found.append(Needed(label=step.label, identity=identity, base=base.commit))
    return tuple(found)
