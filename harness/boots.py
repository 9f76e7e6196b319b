# SPDX-License-Identifier: GPL-2.0-only
"""The guests of a run, one boot after another, each with its directory in the record."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import cache
from harness.errors import (
    GuestLostError,
    QemuDiedError,
    RestoreError,
    SaveError,
    StageError,
    UsageError,
)
from harness.guest import BootPlan, disk, machine, root, snapshot, vng
from harness.guest.agent import Agent
from harness.guest.session import Session
from harness.model import Command, Contents, Disk, GuestSpec, Kernel, Mount, Test
from harness.record import Record
from harness.saved import SavedGuests
from harness.watch import Watch

More = Callable[..., contextlib.AbstractContextManager[tuple[Session, int]]]
"""A guest more for a block, and the number of its boot; `again` is as for Boots.boot()."""

_ATTEMPTS = 2  # to bring a guest up that came up before


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a guest must be fit for: the server of its tests, if any, and whether it may have a
    root of its own (any) or needs the host's (vng)."""

    guest: str = "vng"
    server: Command | None = None

    @classmethod
    def of(cls, test: Test) -> "Needs":
        """Of a test, and of all that may share its guest."""
        server = Command(argv=(), cwd=test.cwd, server=test.server) if test.server else None
        return cls(guest=test.guest, server=server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """How the guests of a run are made. Under vng they see `mounts` beside the host's root, else
    `contents`; each has `disks`, empty ones of its own. `kind` is auto, vng or snapshot, as asked
    for; `unfit` says why none can be saved, if so; `used` are the kinds that there were."""

    spec: GuestSpec
    agent: Agent
    accel: str
    mounts: tuple[Mount, ...]
    contents: tuple[Contents, ...]
    record: Record
    watch: Watch
    saved: SavedGuests
    disks: tuple[Disk, ...] = ()
    kind: str = "auto"
    unfit: str = ""
    used: dict[str, None] = field(default_factory=dict)

    def kind_of(self, needs: Needs) -> str:
        """vng or snapshot, for guests that have to be fit for `needs`."""
        booted = self.unfit or self.saved.given_up or "vng" in (self.kind, needs.guest)
        return "vng" if booted else "snapshot"

    @contextlib.contextmanager
    def boot(
        self, kernel: Kernel, mounts: tuple[Mount, ...], needs: Needs, *, again: bool
    ) -> Iterator[tuple[Session, int]]:
        """A guest and the number of its boot; it sees `mounts` too. With `again`, as one came up
        before, it is tried once more, and it is a GuestLostError when none does."""
        failures = 0
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    booted = stack.enter_context(self._attempt(kernel, mounts, needs))
                except StageError as error:
                    failures += 1
                    self._think_again(error, failures, again=again)
                    continue
                yield booted
                return

    def _think_again(self, error: StageError, failures: int, *, again: bool) -> None:
        """Comes back where another attempt is worth it; else raises what the run ends with."""
        restored = isinstance(error, RestoreError)
        if isinstance(error, SaveError) and self.kind == "auto" and (failures > 1 or not restored):
            self.saved.give_up(error)  # so that the next attempt is a boot
            return
        worth = again or restored or isinstance(error, QemuDiedError)
        if worth and failures < _ATTEMPTS:
            return
        if not again:
            raise error
        raise GuestLostError(
            f"no guest could be brought back: {error.message}", log=error.log, lines=error.lines
        )

    @contextlib.contextmanager
    def _attempt(
        self, kernel: Kernel, mounts: tuple[Mount, ...], needs: Needs
    ) -> Iterator[tuple[Session, int]]:
        kind = self.kind_of(needs)
        self.used[kind] = None
        if kind == "snapshot":
            with self._restored(kernel, mounts, needs) as booted:
                yield booted
            return
        number, directory = self.record.new_boot()
        with (
            self._plan(kernel, mounts) as boot_plan,
            vng.boot(kernel, boot_plan, directory) as guest,
        ):
            yield guest, number

    @contextlib.contextmanager
    def _restored(
        self, kernel: Kernel, mounts: tuple[Mount, ...], needs: Needs
    ) -> Iterator[tuple[Session, int]]:
        contents = (*self.contents, Contents(mounts=mounts))
        own = self.saved.root(contents, self.agent.program)
        with self._plan(kernel, ()) as boot_plan, contextlib.ExitStack() as stack:
            recipe = snapshot.Recipe(
                kernel=kernel, root=own, plan=replace(boot_plan, mounts=()), server=needs.server
            )
            yield stack.enter_context(self.saved.guest(recipe))

    @contextlib.contextmanager
    def shell_command(self, kernel: Kernel, mounts: tuple[Mount, ...]) -> Iterator[list[str]]:
        """The command for a shell in such a guest on the terminal, to be run within."""
        with self._plan(kernel, mounts) as boot_plan:
            over_9p = not vng.has_virtiofsd()
            yield vng.command_line(kernel, boot_plan, None, over_9p=over_9p)

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


def why_unfit(kernels: Sequence[Kernel], spec: GuestSpec) -> str:
    """Why guests of these kernels cannot be saved and restored; empty when they can."""
    if spec.gdb or spec.qemu:
        return "QEMU's options are the user's"
    if tool := root.missing():
        return f"{tool} is not installed"
    for kernel in kernels:
        built_in = set(kernel.config.read_text().splitlines())
        for symbol in machine.NEEDED:
            if f"{symbol}=y" not in built_in:
                return f"the kernel has no {symbol}=y"
    return ""


def check_kind(kind: str, unfit: str, tests: Sequence[Test]) -> None:
    """UsageError where snapshots are asked for and cannot be."""
    if kind != "snapshot":
        return
    if unfit:
        raise UsageError(f"--guest snapshot: {unfit}")
    if bound := next((test.name for test in tests if test.guest == "vng"), None):
        raise UsageError(
            f"--guest snapshot: {bound} needs the host's root", hint="--guest auto takes vng for it"
        )
