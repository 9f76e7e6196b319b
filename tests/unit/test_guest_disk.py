# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path
from typing import Any

import pytest

from harness import cache
from harness.errors import BootError, HostError, StageError
from harness.guest import Drive, disk
from harness.model import Disk

SMALL = Disk(name="area", size_bytes=64 << 20)


def test_a_disk_is_zeros_without_a_name() -> None:
    with disk.made((SMALL, SMALL)) as drives:
        first, second = (drive.file for drive in drives)
        assert first.stat().st_size == SMALL.size_bytes
        assert first.stat().st_blocks == 0
        assert first.stat().st_ino != second.stat().st_ino
        with first.open("r+b") as file:  # as QEMU opens it
            file.write(b"data")
        assert first.read_bytes()[:5] == b"data\0"
        assert not any(second.read_bytes())
        assert not [path for path in cache.root().iterdir() if path.is_file()]
    assert not first.exists()


def test_a_disk_beyond_what_files_can_be_is_the_hosts_fault() -> None:
    huge = Disk(name="area", size_bytes=1 << 62)
    with pytest.raises(HostError, match="for area: File too large"), disk.made((huge,)):
        pass


class Sysfs:
    """A guest of which only this much is asked."""

    def __init__(self, serials: dict[str, bytes]) -> None:
        self._serials = serials

    def read_file(self, path: str) -> bytes:
        name = Path(path).parent.name
        if name not in self._serials:
            raise StageError(f"guest file {path}: No such file or directory")
        return self._serials[name]


def find(*names: str, **serials: bytes) -> dict[str, str]:
    drives = [
        Drive(disk=Disk(name=name, size_bytes=1 << 20), file=Path("/proc/1/fd/3")) for name in names
    ]
    guest: Any = Sysfs(serials)
    return disk.find(guest, drives)


def test_disks_are_found_by_what_they_say_of_themselves() -> None:
    found = find("one", "two", vda=b"scratch0", vdb=b"scratch1")
    assert found == {"one": "/dev/vda", "two": "/dev/vdb"}
    with pytest.raises(BootError, match="not the scratch disk of one as /dev/vda") as caught:
        find("one", "two", vda=b"scratch1", vdb=b"scratch0")
    assert caught.value.lines == ("scratch1",)


def test_a_kernel_without_virtio_disks_is_told() -> None:
    with pytest.raises(BootError) as caught:
        find("one")
    assert "CONFIG_VIRTIO_BLK" in caught.value.hint
    assert "No such file" in caught.value.lines[0]
