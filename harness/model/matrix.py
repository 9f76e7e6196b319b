# SPDX-License-Identifier: GPL-2.0-only
"""A matrix: its cells, the tasks that they come to, and what became of these. No I/O here."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

AXES = ("tree", "series", "kconfig", "guest")
"""What tells the cells of a matrix apart, in the order of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A guest shape of a matrix: options of `harness run`, memory in MiB."""

    cpus: int = 1
    memory_mib: int = 512
    cmdline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One run of a matrix. `tree`, `series`, `kconfig` and `guest` are names of its axes; `series`
    is `base` for the tree without patches, else the base runs too. `fragments` and `settings` are
    what `kconfig` stands for, `shape` what `guest` does; `suites` empty for the series' own; cells
    of a higher `priority` come first."""

    tree: str
    series: str
    kconfig: str
    guest: str
    fragments: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    shape: Shape = Shape()
    suites: tuple[str, ...] = ()
    priority: int = 0

    @property
    def name(self) -> str:
        """`6.12/aio-poll/debug/two`."""
        return "/".join((self.tree, self.series, self.kconfig, self.guest))

    @property
    def argv(self) -> tuple[str, ...]:
        """The arguments of `harness` that run it."""
        words = ["run", "--tree", self.tree]
        if self.series != "base":
            words += ["--series", self.series, "--base", "--new-only"]
        words += [word for name in self.fragments for word in ("--kconfig", name)]
        words += [word for text in self.settings for word in ("--set", text)]
        words += [word for name in self.suites for word in ("--suite", name)]
        # Also what is the default: somebody's own configuration may have another.
        words += ["--cpus", str(self.shape.cpus), "--memory", str(self.shape.memory_mib)]
        words += ["--jobs", "1"]  # what fills the machine are the other cells
        return (*words, *(word for text in self.shape.cmdline for word in ("--append", text)))

    @property
    def command(self) -> str:
        """The same for a shell."""
        return shlex.join(("harness", *self.argv))


class Kind(StrEnum):
    """What a task of a matrix does."""

    BUILD = "build"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A command of a matrix: the build of a kernel that several cells share, or a cell.

    `name` is the cell's, or says which kernel; `argv` are arguments of `harness`. It takes `cpus`
    processors and `memory_mib` while it runs, and begins when the tasks that it `needs` have
    ended. Builds of one `group` use one object directory. `expected_s` is how long it takes, and
    `load` how many processors it keeps busy meanwhile (0: not known); `known` where that was seen
    before. For other machines: the commit of its tree is `base` (empty: not known), and `kernels`
    are the keys of those that it builds, or runs on."""

    name: str
    kind: Kind
    argv: tuple[str, ...]
    cpus: int = 1
    memory_mib: int = 512
    needs: tuple[str, ...] = ()
    priority: int = 0
    group: str = ""
    expected_s: float = 60.0
    load: float = 0.0
    known: bool = False
    base: str = ""
    kernels: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line for a shell."""
        return shlex.join(("harness", *self.argv))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a task: its exit status and how long it took. `run_dir` is the record that it
    wrote, empty for none. Of a cell: what the tests of its last kernel came to, how many of them
    are new, the boots, the kernels that were built and those from the cache; `error` is why a
    stage failed; `cpu_s` the processors' time (0: not known); `resumed`, a part of it had run
    before an interruption. `worker` is the other machine's that ran it, `lost` those that were lost
    while they did."""

    task: str
    exit: int
    duration_s: float
    run_dir: str = ""
    error: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    new: int = 0
    boots: int = 0
    built: int = 0
    cached: int = 0
    cpu_s: float = 0.0
    resumed: bool = False
    worker: str = ""
    lost: tuple[str, ...] = ()
