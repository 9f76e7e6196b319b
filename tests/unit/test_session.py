# SPDX-License-Identifier: GPL-2.0-only
"""A session with a guest that is made of sockets: what it does when a command does not end."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.console import Console
from harness.guest import BootPlan, autopsy, channel
from harness.guest.qemu import Running
from harness.guest.session import Session
from harness.model import Command, GuestSpec, Loss

NONCE = "0123456789abcdef"
SEEN = ("task/1 is blocked in f",)
HUNG = b"""\
[   12.0] INFO: task t:45 blocked for more than 10 seconds.
[   12.0]       Not tainted 6.12.117 #1
[   12.0] "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
[   12.0] task:t               state:D stack:0     pid:45    tgid:43    ppid:30     flags:0x6
[   12.0] Call Trace:
[   12.0]  <TASK>
[   12.0]  schedule+0x23/0x35
[   12.0]  waits_for_ever+0x40/0x5e
[   12.0]  __x64_sys_io_destroy+0x19/0x8d
[   12.0]  </TASK>
[   12.1] next
"""
PLAN = BootPlan(spec=GuestSpec(), mounts=(), agent=Path("/a"), calibration_us=1, accel="tcg")


class Fake:
    """The other ends: `says` is what comes to the console when a command starts, `obeys` whether
    one ends when it is killed, `alive` whether the agent answers to anything."""

    def __init__(self, tmp_path: Path, *, says: bytes, obeys: bool, alive: bool) -> None:
        self._says, self._obeys, self._alive = says, obeys, alive
        self._console = os.pipe()
        self._agent, self._qmp = socket.socketpair(), socket.socketpair()
        self._directory = tmp_path
        self.asked: list[int] = []

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        process: Any = None
        with Console(self._console[0], self._directory / "console.log", NONCE) as console:
            running = Running(
                process=process,
                console=console,
                agent=self._agent[0],
                qmp=self._qmp[0],
                keys=-1,
                typed=False,
                nonce=NONCE,
                directory=self._directory,
            )
            thread = threading.Thread(target=self._serve, daemon=True)
            thread.start()
            yield Session(running, PLAN, Path("/vmlinux"))
            self._agent[0].close()
            thread.join(10)
        for one in (*self._agent, *self._qmp):
            one.close()

    def _serve(self) -> None:
        reader = channel.FrameReader()
        command = 0
        while chunk := self._agent[1].recv(65536):
            for frame in reader.feed(chunk):
                self.asked.append(frame.kind)
                if frame.kind == channel.Kind.EXEC:
                    command = frame.ident
                    start = f"[   11.0] harness {NONCE}: start {command} t\n".encode()
                    os.write(self._console[1], start + self._says)
                elif frame.kind == channel.Kind.KILL and self._obeys:
                    end = f"[   13.0] harness {NONCE}: end {command}\n".encode()
                    os.write(self._console[1], end)
                    self._exit(command, signal=9)
                elif frame.kind == channel.Kind.READ and self._alive:
                    self._exit(frame.ident)

    def _exit(self, ident: int, signal: int = 0) -> None:
        report = channel._EXIT.pack(*(-1 if signal else 0, signal, *(0,) * 14), (1 << 64) - 1)
        self._agent[1].sendall(channel.pack(channel.Kind.EXIT, ident, report))


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often a guest was looked into; what only QEMU can show is not asked for."""
    found: list[float] = []

    def perform(guest: Session, deadline: float) -> tuple[str, ...]:
        found.append(deadline)
        guest.answers()
        return SEEN

    monkeypatch.setattr(autopsy, "perform", perform)
    for name in ("_LATE_S", "_KILLED_S", "_ALIVE_S", "_LAST_WORDS_S", "_REPORT_S"):
        monkeypatch.setattr(f"harness.guest.session.{name}", 0.3)
    return found


def run(tmp_path: Path, timeout_s: float, **fake: Any) -> tuple[Any, Session, Fake]:
    made = Fake(tmp_path, **{"says": b"", "obeys": False, "alive": True, **fake})
    with made.session() as session:
        return session.run(Command(argv=("t",), timeout_s=timeout_s)), session, made


def test_what_the_kernel_says_of_a_hang_ends_the_wait(tmp_path: Path, looks: list[float]) -> None:
    ended, session, fake = run(tmp_path, 600, says=HUNG)
    assert (ended.loss, session.loss, ended.autopsy) == (Loss.STUCK, Loss.STUCK, SEEN)
    assert [splat.kind for splat in ended.splats] == ["hung-task"]
    assert len(looks) == 1 and ended.duration_s < 60
    assert fake.asked[-1] == channel.Kind.KILL


def test_one_that_ends_of_the_kill_has_ended_and_its_guest_is_of_no_use(tmp_path: Path) -> None:
    ended, session, _ = run(tmp_path, 600, says=HUNG, obeys=True)
    assert (ended.loss, ended.signal, ended.autopsy) == (None, 9, SEEN)
    assert session.loss is Loss.STUCK


@pytest.mark.parametrize(("alive", "loss"), [(True, Loss.STUCK), (False, Loss.SILENT)])
def test_after_the_deadline_a_guest_is_looked_into(
    tmp_path: Path, looks: list[float], alive: bool, loss: Loss
) -> None:
    ended, _, _ = run(tmp_path, 0.2, alive=alive)
    assert (ended.loss, ended.autopsy, ended.splats) == (loss, SEEN, ())
    assert len(looks) == 1


def test_who_is_patient_waits_for_the_deadline(tmp_path: Path, looks: list[float]) -> None:
    fake = Fake(tmp_path, says=HUNG, obeys=False, alive=True)
    with fake.session() as session:
        ended = session.run(Command(argv=("t",), timeout_s=1.5, patient=True))
    assert ended.loss is Loss.STUCK and len(looks) == 1
    assert ended.duration_s >= 1.5, "not when the kernel said so"
