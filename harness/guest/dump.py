# SPDX-License-Identifier: GPL-2.0-only
"""The memory of a guest as a file that drgn, crash and makedumpfile read.

QEMU writes it (dump-guest-memory of qapi/dump.json), so that the kernel need not be fit for
anything: that it spins with interrupts off is no hindrance. What the kernel says of itself
(VMCOREINFO) comes with it where the guest has `-device vmcoreinfo`, which DEVICE asks for.
"""

import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

from harness.errors import HostError, StageError

DEVICE = "-device vmcoreinfo"
"""QEMU's option for guests that may be dumped; the kernel needs FW_CFG_SYSFS and PROC_KCORE."""

# Pages of zeros are left out: 9 MiB and 0.2 s for a guest with 512 MiB, where elf takes 525 MiB
# and 2.4 s. A distribution's QEMU may have been built without lzo and snappy.
_FORMAT = "kdump-zlib"
_FALLBACK = "elf"
_LIMIT_BYTES = 8 << 30
_SPARE_BYTES = 1 << 30  # what the disk keeps
_WRITE_S = 60.0
# makedumpfile's "flattened format", which QEMU writes: a header, then records of offset, size and
# data, the last one with an offset of -1.
_FLAT = b"makedumpfile".ljust(16, b"\0")
_FLAT_HEADER = 4096
_RECORD = struct.Struct(">qq")
# The start of a struct disk_dump_header (diskdump.h of crash): signature, version, utsname.
_KDUMP = b"KDUMP   "
_UTSNAME = len(_KDUMP) + 4
_FIELD = 65


class Commands(Protocol):
    """What of harness.guest.qmp.Monitor a dump needs."""

    def call(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers to a command."""
        ...

    @property
    def events(self) -> Any:
        """Where `may_stop` is."""
        ...


def write(
    monitor: Commands,
    file: Path,
    *,
    free_bytes: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free,
    timeout_s: float = _WRITE_S,
) -> None:
    """Write the guest's memory into `file`; the guest stands still meanwhile, and goes on if it
    ran before.

    HostError where the guest has more memory than a dump is made of, or the disk has no room for
    all of it; StageError when QEMU refuses or is not done in time. No file is left then.
    """
    sizes = monitor.call("query-memory-size-summary")
    size = int(sizes["base-memory"]) + int(sizes.get("plugged-memory") or 0)
    _check_room(size, file, free_bytes(file.parent))
    written = file.with_name(f"{file.name}.part")
    stopped, monitor.events.may_stop = monitor.events.may_stop, True
    try:
        _start(monitor, written)
        _wait(monitor, time.monotonic() + timeout_s)
        settle(written, file)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise HostError(f"no memory dump: {error.strerror} ({file})") from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    finally:
        written.unlink(missing_ok=True)
        monitor.events.may_stop = stopped


def _check_room(size: int, file: Path, free: int) -> None:
    """All of the memory counts, and twice: how well it packs is known afterwards."""
    mib = size >> 20
    if size > _LIMIT_BYTES:
        raise HostError(
            f"no memory dump of a guest with {mib} MiB: {_LIMIT_BYTES >> 20} MiB is the limit",
            hint="a smaller --memory",
        )
    if 2 * size + _SPARE_BYTES > free:
        raise HostError(
            f"no memory dump: {file.parent} has {free >> 20} MiB free, it may take {2 * mib} MiB"
            f" and is to leave {_SPARE_BYTES >> 20} MiB",
            hint="free some, or name another disk with --output",
        )


def _start(monitor: Commands, file: Path) -> None:
    known = monitor.call("query-dump-guest-memory-capability")["formats"]
    monitor.call(
        "dump-guest-memory",
        paging=False,
        protocol=f"file:{file}",
        format=_FORMAT if _FORMAT in known else _FALLBACK,
        detach=True,  # so that each answer comes at once
    )


def _wait(monitor: Commands, deadline: float) -> None:
    while (status := monitor.call("query-dump"))["status"] != "completed":
        done = f"{status.get('completed', 0) >> 20} of {status.get('total', 0) >> 20} MiB"
        if status["status"] == "failed":
            raise StageError(f"QEMU cannot write the memory dump: it failed after {done}")
        if time.monotonic() > deadline:
            raise StageError(f"the memory dump is not written in time: {done}")
        time.sleep(0.01)  # poll: DUMP_COMPLETED would be for whoever reads the events


def settle(written: Path, file: Path) -> None:
    """Make of what QEMU wrote a dump that tools take as it is; `written` is gone then.

    A flattened dump is put together, as `makedumpfile -R` does. QEMU 7.2 names the machine in a
    dump's utsname and nothing else, and libkdumpfile takes no field of one that is not whole, so
    that drgn ends with "KDUMP_ATTR_ARCH_NAME: Key has no value": the other fields are filled in.
    """
    with written.open("rb") as source:
        flat = source.read(len(_FLAT)) == _FLAT
        if flat:
            source.seek(_FLAT_HEADER)
            with file.open("wb") as target:
                _put_together(source, target)
    if flat:
        written.unlink()
    else:
        written.rename(file)
    file.chmod(0o600)  # QEMU makes it read-only; the memory may hold anything
    with file.open("r+b") as dump:
        head = dump.read(_UTSNAME + 6 * _FIELD)
        if head.startswith(_KDUMP):
            for number, value in enumerate((b"Linux", b"(none)", b"(none)", b"(none)")):
                if head[_UTSNAME + number * _FIELD] == 0:
                    dump.seek(_UTSNAME + number * _FIELD)
                    dump.write(value)


def _put_together(source: IO[bytes], target: IO[bytes]) -> None:
    while len(record := source.read(_RECORD.size)) == _RECORD.size:
        offset, size = _RECORD.unpack(record)
        if offset < 0:
            return
        target.seek(offset)
        target.write(source.read(size))
    raise StageError("QEMU's memory dump ends in the middle")
