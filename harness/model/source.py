# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is built of: a series, its base, a configuration; and the kernel. No I/O here."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch of a series: its file name, its bytes, and the -p level to strip."""

    name: str
    data: bytes
    strip: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An ordered stack of patches and what is known about it.

    `after` names series that go below this one. `bases` are tree names, the first one the default.
    `fails_on_base` maps a test (suite/test) to a text that its failure on the unpatched base must
    hold. `base_commit` is the commit that the patches were made on, where they say so; `note` what
    was left out when they were picked.
    """

    name: str
    title: str = ""
    thread: str = ""
    patches: tuple[Patch, ...] = ()
    after: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    kconfigs: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    fails_on_base: dict[str, str] = field(default_factory=dict)
    base_commit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A kernel tree before any patch. `version` is from its Makefile, as 6.12.117; `imported`: it
    has no history, the commit is of our own making and nobody else has it."""

    name: str
    mirror: Path
    commit: str
    tree: str
    version: str
    imported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A kconfig fragment: a name to show (a path or `--kconfig debug`) and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kconfig:
    """What configures a kernel, the weakest first.

    `config_file` is a whole .config to start from; without it, tinyconfig. `defaults` are
    kconfigs/guest.config and, without `config_file`, base.config. `fragments` have to agree
    among themselves; `settings` (--set) win over everything, a later one over an earlier one.
    """

    config_file: Fragment | None = None
    defaults: tuple[Fragment, ...] = ()
    fragments: tuple[Fragment, ...] = ()
    settings: tuple[Fragment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A built kernel in the cache. `dir` holds image, vmlinux, config and build.log.

    `boots` is the image's name in it: bzImage, or vmlinux where that boots by itself (PVH);
    `image_digest` is that file's. `warnings` are compiler diagnostics in files that the series
    touches.
    """

    key: str
    release: str
    tree: str
    dir: Path
    cached: bool
    boots: str = "bzImage"
    image_digest: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> Path:
        return self.dir / self.boots

    @property
    def vmlinux(self) -> Path:
        return self.dir / "vmlinux"

    @property
    def config(self) -> Path:
        return self.dir / "config"

    @property
    def kbuild(self) -> Path:
        """The O= for modules outside of the tree; there when the kernel was built for some."""
        return self.dir / "kbuild"
