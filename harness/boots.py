# SPDX-License-Identifier: GPL-2.0-only
"""The guests of a run, one boot after another, each with its directory in the record."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import cache
from harness.errors import GuestLostError, QemuDiedError, StageError
from harness.guest import BootPlan, disk, vng
from harness.guest.agent import Agent
from harness.guest.session import Session
from harness.model import Disk, GuestSpec, Kernel, Mount
from harness.record import Record
from harness.watch import Watch

_ATTEMPTS = 2  # to bring a guest up that came up before


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """How the guests of a run are made; `mounts` are shown to all of them, and each has `disks`,
    empty ones of its own."""

    spec: GuestSpec
    agent: Agent
    accel: str
    mounts: tuple[Mount, ...]
    record: Record
    watch: Watch
    disks: tuple[Disk, ...] = ()

    @contextlib.contextmanager
    def boot(
        self, kernel: Kernel, mounts: tuple[Mount, ...], *, again: bool
    ) -> Iterator[tuple[Session, int]]:
        """A guest and the number of its boot. With `again`, as one came up before, it is tried
        once more, and it is a GuestLostError when none does."""
        for attempt in range(1, _ATTEMPTS + 1):
            number, directory = self.record.new_boot()
            with contextlib.ExitStack() as stack:
                boot_plan = stack.enter_context(self._plan(kernel, mounts))
                try:
                    guest = stack.enter_context(vng.boot(kernel, boot_plan, directory))
                except StageError as error:
                    crashed = isinstance(error, QemuDiedError)
                    if not again and (not crashed or attempt == _ATTEMPTS):
                        raise
                    if attempt == _ATTEMPTS:
                        raise GuestLostError(
                            f"no guest could be brought back: {error.message}",
                            log=error.log,
                            lines=error.lines,
                        ) from None
                    continue
                yield guest, number
                return

    @contextlib.contextmanager
    def shell_command(self, kernel: Kernel, mounts: tuple[Mount, ...]) -> Iterator[list[str]]:
        """The command for a shell in such a guest on the terminal, to be run within."""
        with self._plan(kernel, mounts) as boot_plan:
            yield vng.command_line(kernel, boot_plan, None)

    @contextlib.contextmanager
    def _plan(self, kernel: Kernel, mounts: tuple[Mount, ...]) -> Iterator[BootPlan]:
        with self._gdb_socket(kernel) as gdb, disk.made(self.disks) as drives:
            yield BootPlan(
                spec=self.spec,
                gdb=gdb,
                drives=drives,
                mounts=(*self.mounts, *mounts),
                agent=self.agent.program,
                calibration_us=self.agent.calibration_us,
                accel=self.accel,
            )

    @contextlib.contextmanager
    def _gdb_socket(self, kernel: Kernel) -> Iterator[Path | None]:
        """Where QEMU's gdb stub will listen; says so. Short, as socket paths must be."""
        if not self.spec.gdb:
            yield None
            return
        path = cache.runs().parent / f"gdb-{self.record.path.name[-4:]}"
        path.unlink(missing_ok=True)
        self.watch.note(f"gdb {kernel.vmlinux} -ex 'target remote {path}'")
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
