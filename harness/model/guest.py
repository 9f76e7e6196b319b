# SPDX-License-Identifier: GPL-2.0-only
"""What a guest is made of, what runs in it, and how that ended. No I/O here."""

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from harness.model.splat import Splat

GUEST_MOUNTS = ("/tmp", "/run", "/dev", "/proc", "/sys")
"""Where a guest mounts something of its own over what its root has there (agent/init.c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A scratch disk, all zero at every boot: `name` is the suite whose it is; rates in bytes
    per second, 0 for no limit."""

    name: str
    size_bytes: int
    bps_read: int = 0
    bps_write: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host directory shown in the guest; what is written there stays in the guest."""

    guest: str
    host: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a guest with a root of its own has of the host: files and directories at places in
    the guest; programs, by name or path, with their libraries."""

    mounts: tuple[Mount, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """Shape of the virtual machine; `gdb`: QEMU listens for a debugger, nothing has a timeout;
    `qemu`: more of its options, as a shell would split them; `dump`: its memory is written to a
    file when it hangs."""

    cpus: int = 1
    memory_mib: int = 512
    cmdline: tuple[str, ...] = ()
    boot_timeout_s: float = 120.0
    gdb: bool = False
    qemu: tuple[str, ...] = ()
    dump: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run in a guest. `timeout_s` is seconds of host time; `label` goes to kmsg; `patient`:
    it may go on when the kernel has said that a task or a processor hangs.

    With a `server`, the command line of a long-lived process that shares `cwd` and `env`, argv
    is the one request to it (agent/server.c); it is started when it does not run.

    `fail_nth`: that call of the program's main thread, of those that the kernel can have fail,
    does (kconfigs/fault.config); 0 for none.
    """

    argv: tuple[str, ...]
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 60.0
    label: str = "command"
    patient: bool = False
    server: tuple[str, ...] = ()
    fail_nth: int = 0


class Loss(StrEnum):
    """How a guest went away, as QEMU's process and QMP events tell it, never the console."""

    RESTART = "the guest restarted"
    POWER_OFF = "the guest powered itself off"
    SILENT = "the guest stopped answering"
    STUCK = "the test hangs in the kernel"
    AGENT = "the agent in the guest died"
    QEMU = "QEMU died"
    KVM = "KVM stopped the guest with an internal error"
    DISK = "the host has no room for what the guest wrote to its scratch disk"

    @property
    def of_host(self) -> bool:
        """The host or the harness is to blame, not the kernel under test."""
        return self in (Loss.AGENT, Loss.QEMU, Loss.KVM, Loss.DISK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """What a command left behind in the kernel (docs/leaks.md): how many open files, how much of
    aio-nr, how many objects of which kind there are more than before it, once all its processes
    are gone; /proc/sys/kernel/tainted before it and after it. 0 also where the guest cannot
    tell. `jiffies_from` and `jiffies_to`: when it ran, as kmemleak has it."""

    jiffies_from: int = 0
    jiffies_to: int = 0
    taint_before: int = 0
    taint: int = 0
    files: int = 0
    aio_nr: int = 0
    mms: int = 0
    contexts: int = 0
    iocbs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command in the guest ended.

    `status` is its exit status or None when a signal (`signal`) ended it or nothing is known;
    `timed_out`: the agent killed it at its deadline; `started`: the agent said on the console
    that it begins (False with a loss: an earlier command's late damage); `loss`: the guest is
    gone, and how.
    `output` is both streams in order, its first 4 MiB at most, `dropped` the bytes beyond;
    `splats` what the kernel reported meanwhile, `residue` what is left of it; `autopsy` what a
    look at a guest that did not get on has shown, a sentence and up to 29 lines more. Times in
    seconds, `max_rss_kib` in KiB. `fault_left` is what was left to count of fail_nth, 0 where that
    call came and failed; None where nothing was to fail, or the guest is lost.
    """

    output: bytes = b""
    status: int | None = None
    signal: int = 0
    timed_out: bool = False
    leftovers: bool = False
    started: bool = True
    loss: Loss | None = None
    dropped: int = 0
    duration_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_kib: int = 0
    splats: tuple[Splat, ...] = ()
    autopsy: tuple[str, ...] = ()
    residue: Residue = Residue()
    fault_left: int | None = None

    @property
    def text(self) -> str:
        """The output as text; what is not UTF-8 is replaced."""
        return self.output.decode(errors="replace")

    def __repr__(self) -> str:
        """What is out of the ordinary: it is read in the reports of failed assertions."""
        about = {one.name: getattr(self, one.name) for one in fields(self)}
        told = [f"{k}={v!r}" for k, v in about.items() if k == "status" or v != _PLAIN[k]]
        return f"CommandResult({', '.join(told)})"


_PLAIN = {one.name: one.default for one in fields(CommandResult)}
