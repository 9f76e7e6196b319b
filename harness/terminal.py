# SPDX-License-Identifier: GPL-2.0-only
"""What a person sees while a cell runs: live lines on a terminal, plain lines elsewhere."""

import logging
import shutil
import threading
import time
from typing import TextIO

from harness.model import Result, Stage, Test
from harness.report.paint import outcome_colour, paint

_PLAIN_EVERY_S = 10.0
_LIVE_EVERY_S = 0.1
_BAR = 24
_NOTE = 56  # with the stage's name and time, 80 columns


class Terminal(logging.Handler):
    """Writes to `stream` (standard error); also takes the rooms' log lines as news of the stage
    that is running. `live` is True on a terminal."""

    def __init__(self, stream: TextIO, *, live: bool, colour: bool, quiet: bool = False) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._live = live
        self._colour = colour
        self._quiet = quiet
        self._stage_name = ""
        self._stage_started = 0.0
        self._shown = 0.0
        self._count = self._total = 0
        self._drawing = threading.RLock()  # guests side by side have a thread each

    def stage(self, name: str, note: str = "") -> None:
        """See watch.Watch."""
        self._stage_name, self._stage_started = name, time.monotonic()
        self._shown = self._stage_started
        self._count = self._total = 0
        self._transient(note)

    def staged(self, stage: Stage, note: str) -> None:
        """See watch.Watch."""
        shown = note if len(note) <= _NOTE else f"{note[: _NOTE - 3]}..."
        self._line(f"{stage.name:<12} {shown:<{_NOTE}} {stage.duration_s:>7.1f} s")

    def build(self, done: int, expected: int | None, what: str) -> None:
        """See watch.Watch."""
        now = time.monotonic()
        if now - self._shown < (_LIVE_EVERY_S if self._live else _PLAIN_EVERY_S):
            return
        self._shown = now
        elapsed = now - self._stage_started
        if expected:
            share = min(1.0, done / expected)
            left = elapsed / share - elapsed
            filled = int(share * _BAR)
            bar = "#" * filled + "." * (_BAR - filled)
            text = f"[{bar}] {done}/{expected}"
            if share > 0.02:  # configuring is over by then
                text += f", about {left:.0f} s left"
        else:
            text = f"{done} objects, {elapsed:.0f} s"
        if self._live:
            self._transient(f"{text}  {what}")
        else:
            self._line(f"{self._stage_name:<12} {text}")

    def note(self, text: str) -> None:
        """See watch.Watch."""
        self._line(text)

    def planned(self, count: int) -> None:
        """See watch.Watch."""
        self._total = count

    def started(self, test: Test, kernel: str) -> None:
        """See watch.Watch."""
        self._count += 1
        of = f"/{self._total}" if self._total else ""
        self._transient(f"{self._count}{of} {test.name}")

    def ended(self, result: Result) -> None:
        """See watch.Watch."""
        shot = result.fault is not None and result.fault.injected
        if (self._live or shot) and not result.outcome.bad:
            return  # of shots there are hundreds
        outcome = paint(f"{result.outcome:<8}", outcome_colour(result.outcome), colour=self._colour)
        self._line(f"  {outcome} {result.test} ({result.kernel}) {result.duration_s:.2f} s")

    def emit(self, record: logging.LogRecord) -> None:
        """A room's log line: shown for a moment on a terminal, as a line elsewhere."""
        text = record.getMessage()
        if self._live and record.levelno < logging.WARNING:
            self._transient(text)
        else:
            self._line(f"{self._stage_name:<12} {text}".strip())

    def clear(self) -> None:
        """Take the live line away, for something else to be printed."""
        if self._live and not self._quiet:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _transient(self, text: str) -> None:
        if self._live and not self._quiet:
            width = shutil.get_terminal_size().columns
            line = f"{self._stage_name:<12} {text}"[: width - 1]
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()

    def _line(self, text: str) -> None:
        if self._quiet:
            return
        with self._drawing:
            self.clear()
            self._stream.write(f"{text}\n")
            self._stream.flush()
