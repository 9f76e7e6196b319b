# SPDX-License-Identifier: GPL-2.0-only
"""The cells of a matrix -> its tasks: each kernel once, then the cells that run on it."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import ahead, ready, tree
from harness.ahead import Needed
from harness.errors import HarnessError
from harness.matrix.past import Past
from harness.model import Cell, Kind, MatrixCell, Task

_GUEST_MIB = 192  # QEMU and the harness beside a guest's memory
_BUILD_MIB = 2048  # the last link of a kernel with KASAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A cell of the matrix, and what its command line stands for."""

    cell: MatrixCell
    wanted: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tasks, builds first; how many kernels the cells need, and how many of them the cache
    has. `troubles` are cells whose kernels could not be found out, and why: they are run all the
    same, as their record then says it."""

    tasks: tuple[Task, ...]
    kernels: int = 0
    cached: int = 0
    troubles: tuple[tuple[str, str], ...] = ()


def make(
    asked: Sequence[Asked], root: Path, log: Path, past: Past, has: Callable[[str], bool]
) -> Plan:
    """The plan, with durations from the past; `has` tells of a kernel's key whether whoever runs
    it has that. Compiles the suites' programs, which it needs to know the kernels; compilers'
    output goes to `log`."""
    kernels = _Kernels(has)
    cells, troubles = [], []
    for one in asked:
        needed: tuple[Needed, ...] = ()
        try:
            needed = ahead.kernels(one.wanted, root, log)
        except HarnessError as error:
            troubles.append((one.cell.name, error.message))
        base = needed[0].base if needed else _base(one.wanted)
        keys = tuple(dict.fromkeys(kernel.identity.key for kernel in needed))
        made = _test(one.cell, kernels.of(one, needed, root))
        cells.append(replace(made, base=base, kernels=keys))
    tasks = [past.expect(task) for task in (*kernels.tasks(), *cells)]
    return Plan(
        tasks=tuple(tasks),
        kernels=len(kernels.seen),
        cached=len(kernels.seen) - len(kernels.tasks()),
        troubles=tuple(troubles),
    )


class _Kernels:
    """The kernels of all cells, by their keys."""

    def __init__(self, has: Callable[[str], bool]) -> None:
        self._has = functools.cache(has)
        self.seen: set[str] = set()
        self._builds: dict[str, Task] = {}

    def tasks(self) -> list[Task]:
        """Those that are to be built, in the order in which cells ask for them."""
        return list(self._builds.values())

    def of(self, one: Asked, needed: Iterable[Needed], root: Path) -> tuple[str, ...]:
        """The names of the builds that a cell waits for."""
        found = []
        for kernel in needed:
            key = kernel.identity.key
            self.seen.add(key)
            if self._has(key):
                continue
            if key not in self._builds:
                self._builds[key] = self._build(one, kernel, root)
            known = self._builds[key]
            if one.cell.priority > known.priority:
                self._builds[key] = replace(known, priority=one.cell.priority)
            found.append(known.name)
        return tuple(found)

    def _build(self, one: Asked, kernel: Needed, root: Path) -> Task:
        cell = one.cell
        suites = tuple(suite.name for suite in ready.suites_of(one.wanted, root))
        series = "base" if kernel.label == "base" else cell.series
        name = f"kernel {cell.tree}/{series}/{cell.kconfig}"
        if name in {task.name for task in self._builds.values()}:
            name += f" for {'+'.join(suites)}"
        taken = {task.name for task in self._builds.values()}
        return Task(
            name=name if name not in taken else f"{name} ({kernel.identity.key[:8]})",
            kind=Kind.BUILD,
            argv=_build_argv(one, suites, series),
            memory_mib=_BUILD_MIB,
            priority=cell.priority,
            group=f"{cell.tree} {kernel.identity.objects}",
            base=kernel.base,
            kernels=(kernel.identity.key,),
        )


def _build_argv(one: Asked, suites: Sequence[str], series: str) -> tuple[str, ...]:
    """The arguments of `harness` that build the kernel. That of the base has what the series
    wants of a configuration, as the two are compared."""
    cell = one.cell
    words = ["build", "--tree", cell.tree]
    fragments = cell.fragments
    if series == "base":
        fragments = tuple(dict.fromkeys((*one.wanted.stack.kconfigs, *one.wanted.kconfigs)))
    else:
        words += ["--series", cell.series]
    words += [word for name in fragments for word in ("--kconfig", name)]
    words += [word for text in cell.settings for word in ("--set", text)]
    return (*words, *(word for name in suites for word in ("--suite", name)))


def _base(wanted: Cell) -> str:
    with contextlib.suppress(HarnessError):
        return tree.resolve(wanted.tree, wanted.commit).commit
    return ""


def _test(cell: MatrixCell, needs: tuple[str, ...]) -> Task:
    return Task(
        name=cell.name,
        kind=Kind.TEST,
        argv=cell.argv,
        cpus=cell.shape.cpus,
        memory_mib=cell.shape.memory_mib + _GUEST_MIB,
        needs=needs,
        priority=cell.priority,
    )
