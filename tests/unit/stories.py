# SPDX-License-Identifier: GPL-2.0-only
"""A cell whose guests do at once what a command is named for, in place of visit.Visit."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.guest import Guest
from harness.model import Cell, Command, CommandResult, Frame, Kernel, Loss, Run, Splat
from harness.record import Record

RELEASE = "6.12.7-t"
KERNEL = Kernel(key="k", release=RELEASE, tree="t", dir=Path("/k"), cached=True)
PANIC = Splat(kind="panic", title="sysrq triggered crash", text=("Kernel panic", "Call Trace:"))
WARNING = Splat(kind="warning", title="WARNING in aio_poll", function="aio_poll", line_from=7)
LATE = Splat(kind="hung-task", title="task cat blocked", phase="between", line_from=9)

ANSWERS: dict[str, CommandResult] = {
    "uname": CommandResult(status=0, output=f"{RELEASE}\n".encode()),
    "true": CommandResult(status=0),
    "false": CommandResult(status=1, output=b"what is wrong\n"),
    "sleep": CommandResult(timed_out=True, signal=9, duration_s=60.0),
    "warn": CommandResult(status=0, splats=(WARNING,)),
    "late": CommandResult(status=0),
    "crash": CommandResult(loss=Loss.RESTART, splats=(PANIC,)),
    "reboot": CommandResult(loss=Loss.RESTART),
    "hang": CommandResult(loss=Loss.SILENT),
    "qemu-dies": CommandResult(loss=Loss.QEMU),
    "busy": CommandResult(signal=16, started=False),
    "lost-before": CommandResult(loss=Loss.RESTART, started=False),
}


class Acting:
    """A guest that does what the first word of a command says; `late` is a splat of no command."""

    def __init__(self, story: "Story", number: int) -> None:
        self._story = story
        self.number = number
        self.release, self.slowness, self.accel = RELEASE, 1.0, "tcg"
        self.scratch: dict[str, str] = {}
        self.loss: Loss | None = None
        self._stray: tuple[Splat, ...] = ()

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        self._story.ran.append((self.number, command))
        if command.argv[0] == "interrupted":
            raise TimeoutError("an alarm of the test's")
        ended = ANSWERS[command.argv[0]]
        if command.argv[0] == "late":
            self._stray += (LATE,)
        if command.argv[0] == "lost-before" and self.number > 1:
            ended = CommandResult(status=0)
        self.loss = ended.loss
        return ended

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        return path.encode()

    def find_leaks(self) -> bytes:
        return b""

    def stray_splats(self) -> tuple[Splat, ...]:
        return self._stray

    def abort(self) -> None:
        self.loss = Loss.QEMU


@dataclass
class Story:
    """`fails` is what building raises, `boots` what each boot does before its guest is there."""

    cell: Cell
    record: Record
    fails: HarnessError | None = None
    boots: list[HarnessError | None] = field(default_factory=list)
    ran: list[tuple[int, Command]] = field(default_factory=list)
    up: int = 0

    @contextlib.contextmanager
    def guests(self) -> Iterator[tuple[Kernel, Any]]:
        if self.fails is not None:
            raise self.fails
        yield KERNEL, self._more

    @contextlib.contextmanager
    def _more(self, *, again: bool) -> Iterator[tuple[Guest, int]]:
        number, _ = self.record.new_boot()
        assert again == (number > 1)
        if self.boots and (error := self.boots.pop(0)) is not None:
            raise error
        self.up += 1
        yield Acting(self, number), number
        self.up -= 1

    def snapshot(self) -> Run:
        return Run(
            directory=self.record.path,
            series=self.cell.stack.name,
            base="6.12",
            kernel_release=RELEASE,
            guest="vng",
            accel="tcg",
        )

    def placed(self, splats: Sequence[Splat]) -> Mapping[Splat, Splat]:
        frame = Frame(function="aio_poll", offset=4, size=8, file="fs/aio.c", line=1702)
        return {one: Splat(**{**_fields(one), "frames": (frame,)}) for one in splats}


def _fields(splat: Splat) -> dict[str, Any]:
    return {name: getattr(splat, name) for name in Splat.__dataclass_fields__}
