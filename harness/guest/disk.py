# SPDX-License-Identifier: GPL-2.0-only
"""Scratch disks: empty, of one guest each, gone with it."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness import cache
from harness.errors import BootError, HostError, StageError
from harness.guest import Drive, Guest
from harness.model import Disk


@contextlib.contextmanager
def made(disks: Iterable[Disk]) -> Iterator[tuple[Drive, ...]]:
    """A file behind each disk, for QEMU to open within the block: sparse, all zero.

    It has no name, so nothing is left of it however the harness ends; it lies where the cache
    does, as /tmp may be memory. HostError where there can be none.
    """
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(_made(disk)) for disk in disks)


@contextlib.contextmanager
def _made(disk: Disk) -> Iterator[Drive]:
    with tempfile.TemporaryFile(dir=cache.root(), buffering=0) as file:
        try:
            file.truncate(disk.size_bytes)
        except OSError as error:
            what = f"a scratch disk of {disk.size_bytes} bytes for {disk.name}"
            raise HostError(f"{cache.root()} cannot hold {what}: {error.strerror}") from None
        yield Drive(disk=disk, file=Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"))


def options(drives: Sequence[Drive]) -> str:
    """QEMU's options for them, in the order in which the guest finds them."""
    words = ""
    for number, drive in enumerate(drives):
        rates = {"bps-read": drive.disk.bps_read, "bps-write": drive.disk.bps_write}
        limits = "".join(f",throttling.{key}={rate}" for key, rate in rates.items() if rate)
        words += (
            f" -drive file={drive.file},if=none,id={_serial(number)},format=raw,cache=unsafe"
            f",discard=unmap{limits}"
            f" -device virtio-blk-pci,drive={_serial(number)},serial={_serial(number)}"
        )
    return words


def device(number: int) -> str:
    """The path of a guest's n-th disk (from 0), if it has no others."""
    return f"/dev/vd{chr(ord('a') + number)}"


def find(guest: Guest, drives: Sequence[Drive]) -> dict[str, str]:
    """The path in the guest for the name of each disk. BootError where one is not there."""
    found = {}
    for number, drive in enumerate(drives):
        path = device(number)
        try:
            # Nobody promises that a kernel numbers them as QEMU does; it always did.
            serial = guest.read_file(f"/sys/block/{Path(path).name}/serial")
        except StageError as error:
            serial = error.message.encode()
        if serial.strip() != _serial(number).encode():
            raise BootError(
                f"the guest has not the scratch disk of {drive.disk.name} as {path}",
                hint="its kernel needs CONFIG_VIRTIO_BLK=y",
                lines=(serial.decode(errors="replace").strip(),),
            )
        found[drive.disk.name] = path
    return found


def _serial(number: int) -> str:
    return f"scratch{number}"
