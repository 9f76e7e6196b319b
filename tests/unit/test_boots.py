# SPDX-License-Identifier: GPL-2.0-only
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import boots
from harness.errors import BootError, GuestLostError, HarnessError, QemuDiedError
from harness.guest import vng
from harness.guest.agent import Agent
from harness.model import GuestSpec, Kernel
from harness.record import Record

KERNEL = Kernel(key="k", release="r", tree="t", dir=Path("/k"), cached=True)


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
        made = boots.Boots(
            spec=GuestSpec(),
            agent=Agent(program=Path("/a"), calibration_us=1),
            accel="tcg",
            mounts=(),
            record=record,
            watch=watch,
        )
        with made.boot(KERNEL, (), again=again) as (guest, number):
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
