# SPDX-License-Identifier: GPL-2.0-only
"""A cell of a matrix: what one `harness run` of a nightly is of. No I/O here."""

import shlex
from dataclasses import dataclass

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
            words += ["--series", self.series, "--base"]
        words += [word for name in self.fragments for word in ("--kconfig", name)]
        words += [word for text in self.settings for word in ("--set", text)]
        words += [word for name in self.suites for word in ("--suite", name)]
        # Also what is the default: somebody's own configuration may have another.
        words += ["--cpus", str(self.shape.cpus), "--memory", str(self.shape.memory_mib)]
        return (*words, *(word for text in self.shape.cmdline for word in ("--append", text)))

    @property
    def command(self) -> str:
        """The same for a shell."""
        return shlex.join(("harness", *self.argv))
