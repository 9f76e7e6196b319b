# SPDX-License-Identifier: GPL-2.0-only
"""A guest that hangs, looked at before it goes: where its processors are, what SysRq shows.

SysRq comes by the serial line, as BREAK and a letter (Documentation/admin-guide/sysrq.rst), which
needs no more of the guest than that it takes interrupts. Where it takes none, an NMI makes it
panic (unknown_nmi_panic) and say where that was.
"""

import contextlib
import os
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness import crash, hang, image
from harness.console import Console
from harness.errors import HarnessError, StageError
from harness.guest import dump
from harness.guest.qemu import CONSOLE_ID
from harness.guest.qmp import Monitor
from harness.hang import Cpu

FILE = "autopsy.txt"
"""All that was seen, in the directory of the guest."""

CORE = "core"
"""The memory of a guest that may be dumped, beside it."""

CRASH = "crash.txt"
"""What drgn read in that."""

CMDLINE = "unknown_nmi_panic"
"""What a kernel is told so that it panics of an NMI."""

_KEYS = "wldmt"  # blocked tasks, processors, locks, memory, all tasks
_FIRST_S = 2.0  # for the first of them to show anything
_QUIET_S = 0.15  # without a byte: it has all been shown
_SHOWN_S = 1.5  # at most, for each
_NMI_S = 2.0
_TEXT_MAX = 2 << 20
_CORES_MOST = 10
_STACK = 16 << 10
_PAGE = 4 << 10
_KERNEL = 1 << 63


class Patient(Protocol):
    """A guest as far as it is looked at; harness.guest.session.Session is it."""

    monitor: Monitor
    console: Console
    keys: int
    typed: bool
    directory: Path
    vmlinux: Path
    dumps: bool

    def pump(self, timeout_s: float) -> None:
        """Take in what comes from the guest; waits so long for something to come."""
        ...

    def answers(self) -> bool:
        """The agent still does what it is told."""
        ...


@dataclass(frozen=True, slots=True)
class _Symbols:
    """Functions of a kernel by their addresses."""

    starts: list[int]
    names: list[str]

    @classmethod
    def of(cls, vmlinux: Path) -> "_Symbols":
        """None of them where it cannot be read."""
        with contextlib.suppress(HarnessError):
            named = image.functions(vmlinux, 10.0).items()
            found = sorted((one.start, name) for name, many in named for one in many)
            return cls([start for start, _ in found], [name for _, name in found])
        return cls([], [])

    def name(self, address: int) -> str:
        """The function there, or the address."""
        at = bisect_right(self.starts, address) - 1
        # Beyond the last one there may be a module's, or those of a kernel that was moved.
        known = 0 <= at < len(self.starts) - 1
        return self.names[at] if known else f"{address:#x}"


def perform(guest: Patient, deadline: float) -> tuple[str, ...]:
    """Look at it and write all that into its autopsy.txt; the summary. Takes some seconds, and
    ends a guest that takes no interrupts; never an error: what cannot be seen is not said.

    `deadline` is when it should have got on (time.monotonic()).
    """
    late = time.monotonic() - deadline
    began = guest.console.path.stat().st_size
    registers, processors = "", list[Cpu]()
    with guest.console.muted():
        with contextlib.suppress(StageError):
            registers, processors = _registers(guest)
        core, undumped = _dump(guest)  # before an NMI makes something else of it
        alive = guest.answers()
        with contextlib.suppress(StageError):
            if not (guest.typed and _sysrq(guest)) and not alive:
                _nmi(guest)
    console = _since(guest.console.path, began)
    done = time.monotonic() - deadline
    when = f"seen from {late:.1f} to {done:.1f} s after the deadline"
    told = hang.summary(
        console=console,
        processors=processors,
        alive=alive,
        memory=(*undumped, *_read(guest, core)),
    )
    if core is not None:
        when += f"; what the memory says was read by {time.monotonic() - deadline:.1f} s"
    whole = "\n".join([*told, "", when, "", registers.replace("\r", ""), "", console])
    _keep(guest.directory / FILE, whole)
    return told


def _keep(file: Path, text: str) -> None:
    """On a full disk without it: the result is to be recorded first."""
    with contextlib.suppress(OSError):
        file.write_text(text[:_TEXT_MAX])


def _dump(guest: Patient) -> tuple[Path | None, tuple[str, ...]]:
    """Where its memory is now, if it may be dumped; else a line that says why it is nowhere."""
    if not guest.dumps:
        return None, ()
    core = guest.directory / CORE
    if len(list(guest.directory.parent.glob(f"*/{CORE}"))) >= _CORES_MOST:
        return None, (f"its memory is not dumped: that of {_CORES_MOST} guests of this run is",)
    try:
        dump.write(guest.monitor, core)
    except StageError as error:
        return None, (error.message,)
    return core, ()


def _read(guest: Patient, core: Path | None) -> tuple[str, ...]:
    """What drgn reads there, in short; all of it is in crash.txt."""
    if core is None:
        return ()
    found = crash.read(core, guest.vmlinux)
    _keep(guest.directory / CRASH, found.text)
    return found.summary


@contextlib.contextmanager
def _stopped(monitor: Monitor) -> Iterator[None]:
    monitor.events.may_stop = True
    monitor.call("stop")
    try:
        yield
    finally:
        monitor.call("cont")
        monitor.events.may_stop = False


def _registers(guest: Patient) -> tuple[str, list[Cpu]]:
    with _stopped(guest.monitor):
        words = {"command-line": "info registers -a"}
        text = str(guest.monitor.call("human-monitor-command", **words))
        seen = [(cpu, _memory(guest, cpu)) for cpu in hang.cpus(text)]
    symbols = _Symbols.of(guest.vmlinux)
    return text, [
        replace(cpu, stack=tuple(map(symbols.name, _callers(cpu, stack)))) for cpu, stack in seen
    ]


def _memory(guest: Patient, cpu: Cpu) -> bytes:
    """What is on its stack, from the stack pointer on; kernels of ours have no more than 16 KiB."""
    if cpu.user or cpu.rsp < _KERNEL:
        return b""
    end = cpu.rsp | _STACK - 1
    for last in (end, cpu.rsp | _PAGE - 1):  # it may have no more than this page
        file = guest.directory / "stack"
        with contextlib.suppress(StageError, OSError):
            # An address is a signed number to QMP.
            wanted = {"val": cpu.rsp - (1 << 64), "size": last + 1 - cpu.rsp}
            words = {**wanted, "filename": str(file), "cpu-index": cpu.number}
            guest.monitor.call("memsave", **words)
            data = file.read_bytes()
            file.unlink()
            return data
    return b""


def _callers(cpu: Cpu, stack: bytes) -> Iterator[int]:
    """Where it is, and where each call returns to, by the frame pointers."""
    if cpu.user:
        return
    yield cpu.rip
    at = cpu.rbp - cpu.rsp
    while 0 <= at <= len(stack) - 16:
        following, back = struct.unpack_from("<QQ", stack, at)
        if back < _KERNEL:
            return
        yield back - 1
        if following - cpu.rsp <= at:
            return
        at = following - cpu.rsp


def _sysrq(guest: Patient) -> bool:
    """Have it show what it can; False when it shows nothing."""
    for number, key in enumerate(_KEYS):
        guest.monitor.call("chardev-send-break", id=CONSOLE_ID)
        os.write(guest.keys, key.encode())
        if not _listen(guest, _SHOWN_S if number else _FIRST_S) and not number:
            return False
    return True


def _nmi(guest: Patient) -> None:
    guest.monitor.call("inject-nmi")
    _listen(guest, _NMI_S)


def _listen(guest: Patient, timeout_s: float) -> bool:
    """Wait until nothing more comes; whether anything has come."""
    now = time.monotonic()
    deadline, quiet = now + timeout_s, now + timeout_s
    size = before = guest.console.path.stat().st_size
    while time.monotonic() < min(deadline, quiet) and not guest.console.ended:
        guest.pump(0.05)
        if (grown := guest.console.path.stat().st_size) > size:
            size, quiet = grown, time.monotonic() + _QUIET_S
    return size > before


def _since(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read(_TEXT_MAX).decode(errors="replace").replace("\r", "")
