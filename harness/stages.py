# SPDX-License-Identifier: GPL-2.0-only
"""The stages of a run: timed, recorded, and told to whoever looks on."""

import contextlib
import time
from collections.abc import Iterator

from harness.model import Stage
from harness.record import Record
from harness.watch import Watch


class Stages:
    """`done` are those that ended well, in their order."""

    def __init__(self, record: Record, watch: Watch) -> None:
        self._record = record
        self._watch = watch
        self.done: list[Stage] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Time a stage; the block appends what came out of it."""
        self._watch.stage(name)
        started = time.monotonic()
        said: list[str] = []
        yield said
        stage = Stage(name=name, duration_s=round(time.monotonic() - started, 3))
        self.done.append(stage)
        self._record.stage(stage)
        self._watch.staged(stage, "; ".join(said))
