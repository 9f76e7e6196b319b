# SPDX-License-Identifier: GPL-2.0-only
"""A cell's kernel without its plan: built, booted for commands or a shell, reconfigured."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from harness import boots, menuconfig
from harness.boots import Needs
from harness.execution import Target
from harness.guest.session import Session
from harness.model import Cell, Kernel, Run, Splat, Step
from harness.ready import Ready
from harness.record import Record
from harness.watch import Watch


class Visit:
    """One kernel of a cell, that with the series."""

    def __init__(self, cell: Cell, root: Path, record: Record, watch: Watch) -> None:
        self._cell = cell
        self._record = record
        self._step = Step(label="tip", stack=cell.stack)
        self._ready = Ready(cell, root, record, watch)

    def build(self) -> Kernel:
        """The kernel."""
        self._ready.prepare()
        return self._ready.builds.make(self._step)

    @contextlib.contextmanager
    def guests(self) -> Iterator[tuple[Kernel, boots.More]]:
        """The kernel, and guests of it, in which the suites' programs are mounted and no test is
        run."""
        target = self._target()
        needs = Needs(guest="any" if self._cell.guest_kind == "snapshot" else "vng")
        with self._ready.saved:
            more = partial(self._ready.boots.boot, target.kernel, target.mounts, needs)
            yield target.kernel, more

    @contextlib.contextmanager
    def guest(self) -> Iterator[Session]:
        """One of guests()."""
        with self.guests() as (_, more), more(again=False) as (booted, _):
            yield booted

    def shell_command(self) -> AbstractContextManager[list[str]]:
        """The vng command for a shell in such a guest, to be run within."""
        target = self._target()
        return self._ready.boots.shell_command(target.kernel, target.mounts)

    def menuconfig(self, output: Path) -> int:
        """Let the user change the kernel's configuration; see harness.menuconfig.run()."""
        self._ready.prepare()
        return menuconfig.run(
            self._ready.base,
            self._cell.stack,
            self._ready.kconfig,
            toolchain=self._ready.toolchain,
            output=output,
            log=self._record.path / "menuconfig.log",
        )

    def placed(self, splats: Sequence[Splat]) -> Mapping[Splat, Splat]:
        """What splats of the kernel say of the sources."""
        return self._ready.builds.places(self._step, splats)

    def snapshot(self) -> Run:
        """What is known by now of all but tests."""
        return self._ready.run(self._step.label)

    def _target(self) -> Target:
        """The kernel, and what its guests see besides, with guests to be had."""
        self._ready.find_accel(self.build())
        self._ready.choose_guests(())
        return self._ready.builds.target(self._step.label)
