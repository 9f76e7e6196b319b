# SPDX-License-Identifier: GPL-2.0-only
"""Suites: where tests come from, and how one is judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.model import GUEST_MOUNTS, Contents, Fragment, Mount, Test


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """Kernel modules that a suite brings, to be built for each kernel: the name to show, the
    directory whose Makefile has obj-m, and the places in the guest where they are to be."""

    name: str
    sources: Path
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A suite that is ready to run: its plan, its modules, and what the guest must see for it:
    `mounts` beside the host's root, `contents` in a root of its own."""

    tests: tuple[Test, ...]
    mounts: tuple[Mount, ...]
    contents: Contents = Contents()
    modules: Modules | None = None


class Suite(Protocol):
    """A source of tests. `fragments` is what its kernel needs beyond the base configuration."""

    name: str

    @property
    def fragments(self) -> tuple[Fragment, ...]: ...

    def prepare(self, log: Path) -> Prepared:
        """Build what has to be built (its output to `log`) and say what there is to run."""
        ...


def shown(places: Iterable[Path]) -> tuple[Mount, ...]:
    """A mount for each place that the guest would hide, by its name or by what it leads to.

    None for the guest's own /dev, /proc, /sys and /run as a whole: it needs them.
    """
    every = {each for place in places for each in (place, place.resolve())}
    hidden = {place for place in every if any(place.is_relative_to(root) for root in GUEST_MOUNTS)}
    hidden -= {Path(root) for root in GUEST_MOUNTS if root != "/tmp"}
    outer = sorted(place for place in hidden if not hidden & set(place.parents))
    return tuple(Mount(guest=str(place), host=place) for place in outer)
