# SPDX-License-Identifier: GPL-2.0-only
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import boots
from harness.errors import (
    BootError,
    GuestLostError,
    HarnessError,
    QemuDiedError,
    RestoreError,
    SaveError,
)
from harness.guest import vng
from harness.guest.agent import Agent
from harness.model import GuestSpec, Kernel
from harness.record import Record
from harness.saved import SavedGuests

KERNEL = Kernel(key="k", release="r", tree="t", dir=Path("/k"), cached=True)


def made_of(record: Record, watch: Any, kind: str = "auto") -> boots.Boots:
    """Guests of a run that shows nothing to them."""
    return boots.Boots(
        spec=GuestSpec(),
        agent=Agent(program=Path("/a"), calibration_us=1),
        accel="tcg",
        mounts=(),
        contents=(),
        record=record,
        watch=watch,
        saved=SavedGuests(record, watch),
        kind=kind,
    )


def boot(
    monkeypatch: pytest.MonkeyPatch, parent: Path, errors: list[HarnessError], *, again: bool
) -> int:
    """The number of the boot that came up after `errors`."""

    @contextlib.contextmanager
    def fake(*_: Any) -> Iterator[str]:
        if errors:
            raise errors.pop(0)
        yield "guest"

    monkeypatch.setattr(vng, "boot", fake)
    watch: Any = None  # who is only told of gdb
    with Record(parent, series="s", base="b", kconfig="k") as record:
        made = made_of(record, watch)
        with made.boot(KERNEL, (), boots.Needs(), again=again) as (guest, number):
            assert str(guest) == "guest"
            return number


def test_a_qemu_that_crashes_gets_a_second_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert boot(monkeypatch, tmp_path, [], again=False) == 1
    assert boot(monkeypatch, tmp_path, [QemuDiedError("x")], again=False) == 2
    with pytest.raises(QemuDiedError):
        boot(monkeypatch, tmp_path, [QemuDiedError("x")] * 2, again=False)


def test_a_kernel_that_does_not_boot_gets_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BootError):
        boot(monkeypatch, tmp_path, [BootError("x")], again=False)


def test_a_kernel_that_did_boot_is_brought_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert boot(monkeypatch, tmp_path, [BootError("x")], again=True) == 2
    with pytest.raises(GuestLostError, match="no guest could be brought back: x"):
        boot(monkeypatch, tmp_path, [BootError("x")] * 2, again=True)


class Told:
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def restored(
    monkeypatch: pytest.MonkeyPatch, parent: Path, errors: list[HarnessError], kind: str
) -> tuple[str, list[str]]:
    """Which guest there is in the end, and what was noted, where saving meets `errors`."""

    @contextlib.contextmanager
    def snapshot(self: Any, *_: Any) -> Iterator[tuple[str, int]]:
        if errors:
            raise errors.pop(0)
        yield "restored", 1

    @contextlib.contextmanager
    def booted(*_: Any) -> Iterator[str]:
        yield "booted"

    monkeypatch.setattr(boots.Boots, "_restored", snapshot)
    monkeypatch.setattr(vng, "boot", booted)
    told: Any = Told()
    with Record(parent, series="s", base="b", kconfig="k") as record:
        made = made_of(record, told, kind=kind)
        with made.boot(KERNEL, (), boots.Needs(guest="any"), again=False) as (guest, _):
            return str(guest), told.notes


def test_a_saved_guest_that_does_not_come_back_gets_a_second_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for kind in ("auto", "snapshot"):
        assert restored(monkeypatch, tmp_path, [RestoreError("x")], kind) == ("restored", [])


def test_where_none_comes_back_they_are_booted_unless_that_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for errors in ([RestoreError("x")] * 2, [SaveError("x")]):
        guest, notes = restored(monkeypatch, tmp_path, list(errors), "auto")
        assert guest == "booted"
        assert notes == ["guests are booted under vng from now on: x"]
        with pytest.raises(SaveError):
            restored(monkeypatch, tmp_path, list(errors), "snapshot")


def test_a_kernel_that_does_not_boot_is_not_tried_under_vng(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BootError):
        restored(monkeypatch, tmp_path, [BootError("x")], "auto")
