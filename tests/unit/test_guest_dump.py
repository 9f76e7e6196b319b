# SPDX-License-Identifier: GPL-2.0-only
"""Memory dumps: room for them, QEMU's answers, and what is made of the file that it writes."""

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HostError, StageError
from harness.guest import dump

MEMORY = 512 << 20
HEAD = b"KDUMP   " + struct.pack("<i", 6)
EMPTY = HEAD + bytes(4 * 65) + b"x86_64".ljust(65, b"\0") + bytes(65) + b"rest"


def flattened(*records: tuple[int, bytes], end: bool = True) -> bytes:
    written = b"".join(struct.pack(">qq", at, len(data)) + data for at, data in records)
    head = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    return head.ljust(4096, b"\0") + written + (struct.pack(">qq", -1, -1) if end else b"")


class Qemu:
    """Answers as QEMU does; `states` are what query-dump gives, one after another."""

    def __init__(self, *states: str, size: int = MEMORY, content: bytes = EMPTY) -> None:
        self.states = list(states) or ["completed"]
        self.size = size
        self.content = content
        self.formats = ["elf", "kdump-zlib"]
        self.events = SimpleNamespace(may_stop=False)
        self.asked: list[dict[str, Any]] = []

    def call(self, command: str, **arguments: Any) -> Any:
        if command == "query-memory-size-summary":
            return {"base-memory": self.size}
        if command == "query-dump-guest-memory-capability":
            return {"formats": self.formats}
        if command == "dump-guest-memory":
            assert self.events.may_stop, "the guest would be lost by the stop"
            self.asked.append(arguments)
            Path(arguments["protocol"].removeprefix("file:")).write_bytes(self.content)
            return {}
        assert command == "query-dump"
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"status": state, "completed": 1 << 20, "total": 3 << 20}


def test_a_dump_is_written_while_the_guest_may_stop(tmp_path: Path) -> None:
    qemu = Qemu("active", "active", "completed")
    dump.write(qemu, tmp_path / "core")
    assert [path.name for path in tmp_path.iterdir()] == ["core"]
    (asked,) = qemu.asked
    assert asked["format"] == "kdump-zlib" and asked["paging"] is False and asked["detach"] is True
    assert qemu.events.may_stop is False


def test_a_guest_that_was_stopped_may_stay_so(tmp_path: Path) -> None:
    qemu = Qemu()
    qemu.events.may_stop = True
    dump.write(qemu, tmp_path / "core")
    assert qemu.events.may_stop is True


def test_a_qemu_without_kdump_writes_elf(tmp_path: Path) -> None:
    qemu = Qemu(content=b"\x7fELF and so on")
    qemu.formats = ["elf"]
    dump.write(qemu, tmp_path / "core")
    assert qemu.asked[0]["format"] == "elf"
    assert (tmp_path / "core").read_bytes() == b"\x7fELF and so on"


def test_a_disk_without_room_gets_no_dump(tmp_path: Path) -> None:
    qemu, need = Qemu(), 2 * MEMORY + (1 << 30)
    with pytest.raises(HostError, match="MiB free, it may take 1024 MiB") as caught:
        dump.write(qemu, tmp_path / "core", free_bytes=lambda _: need - 1)
    assert caught.value.hint and not qemu.asked
    dump.write(qemu, tmp_path / "core", free_bytes=lambda _: need)


def test_a_guest_of_many_gigabytes_gets_no_dump(tmp_path: Path) -> None:
    qemu = Qemu(size=64 << 30)
    with pytest.raises(HostError, match="65536 MiB: 8192 MiB is the limit"):
        dump.write(qemu, tmp_path / "core", free_bytes=lambda _: 1 << 60)
    assert not qemu.asked


@pytest.mark.parametrize(
    ("state", "said"), [("failed", "failed after 1 of 3 MiB"), ("active", "not written in time")]
)
def test_no_half_of_a_dump_is_left(tmp_path: Path, state: str, said: str) -> None:
    qemu = Qemu(state)
    with pytest.raises(StageError, match=said):
        dump.write(qemu, tmp_path / "core", timeout_s=0.0)
    assert not list(tmp_path.iterdir()) and qemu.events.may_stop is False


def test_a_dump_that_ends_early_is_none(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="ends in the middle"):
        dump.write(Qemu(content=flattened((0, EMPTY), end=False)), tmp_path / "core")
    assert not list(tmp_path.iterdir())


def test_a_flattened_dump_is_put_together_in_whatever_order(tmp_path: Path) -> None:
    tail = b"pages".rjust(9)
    dump.write(
        Qemu(content=flattened((8192, tail), (0, EMPTY), (4096, b"bits"))), tmp_path / "core"
    )
    found = (tmp_path / "core").read_bytes()
    assert found[8192:] == tail and found[4096:4100] == b"bits" and found[4100:8192].count(0) > 4000


def test_the_system_is_named_where_qemu_does_not(tmp_path: Path) -> None:
    for content in (EMPTY, flattened((0, EMPTY))):
        dump.write(Qemu(content=content), tmp_path / "core")
        found = (tmp_path / "core").read_bytes()
        fields = [found[12 + 65 * n : 77 + 65 * n].rstrip(b"\0") for n in range(5)]
        assert fields == [b"Linux", b"(none)", b"(none)", b"(none)", b"x86_64"]
        assert found.startswith(HEAD) and found.endswith(b"rest") and len(found) == len(EMPTY)


def test_what_a_qemu_names_itself_stays(tmp_path: Path) -> None:
    named = HEAD + b"".join(f"own-{n}".encode().ljust(65, b"\0") for n in range(6)) + b"rest"
    dump.write(Qemu(content=named), tmp_path / "core")
    assert (tmp_path / "core").read_bytes() == named
