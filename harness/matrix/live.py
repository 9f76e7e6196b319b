# SPDX-License-Identifier: GPL-2.0-only
"""What a page shows of a matrix while it runs (serve.py serves it)."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import ExitCode
from harness.executors import Progress
from harness.matrix import view
from harness.matrix.record import Told
from harness.matrix.run import State
from harness.matrix.schedule import Grant
from harness.model import SCHEMA, Ended, Kind, Task
from harness.report.html.embed import visible
from harness.report.words import duration

MOST = 100
"""So many tasks that have ended are in one document, the last ones."""

_LOOKS_S = 5.0  # whoever asked within this time is looking


class Live:
    """A run.Watch. What it is told it tells any thread; nothing is found out while nobody asks."""

    def __init__(self) -> None:
        self._report: Path | None = None
        self._name = ""
        self._cells = self._done = self._bad = 0
        self._state: State | None = None
        self._progress: Mapping[str, Progress] = {}
        self._ended: list[dict[str, Any]] = []
        self._asked = float("-inf")
        self._over = False
        self._seen = threading.Event()

    def begin(self, told: Told) -> None:
        """The matrix is this one, of which some may have ended before."""
        self._report, self._name = told.directory / "report.html", told.directory.name[-4:]
        tasks = {task.name: task for task in told.tasks}
        self._cells = sum(task.kind is Kind.TEST for task in told.tasks)
        for name, ended in told.ended.items():
            self._add(tasks[name], ended)

    def begun(self, task: Task, cpus: int) -> None:
        """See run.Watch."""

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        """See run.Watch."""
        self._state = state
        self._add(task, ended)

    def look(self, state: State) -> None:
        """See run.Watch."""
        self._progress = state.progress() if self._watched() else {}
        self._state = state

    def finish(self, timeout_s: float) -> None:
        """Nothing runs any more: whoever looks is told, and may load the last report."""
        self._over = True
        if self._watched():
            self._seen.wait(timeout_s)

    def report(self) -> tuple[str, bytes]:
        """report.html, and which of them it is; nothing where there is none yet."""
        try:
            return (self._version(), self._report.read_bytes()) if self._report else ("", b"")
        except OSError:
            return "", b""

    def document(self, after: int, report: str) -> dict[str, Any]:
        """Where the matrix is, for a page that has so many of the tasks that have ended, and this
        report."""
        self._asked = time.monotonic()
        state, count, version = self._state, len(self._ended), self._version()
        if self._over and report == version:
            self._seen.set()
        return {
            "schema": SCHEMA,
            "name": self._name,
            "cells": self._cells,
            "ended": state.cells_ended if state else self._done,
            "bad": self._bad,
            "said": _said(state),
            "running": self._running(state) if state and not self._over else [],
            "count": count,
            "last": self._ended[max(after, count - MOST) : count],
            "version": version,
            "report": visible(str(self._report or "")),
            "over": self._over,
        }

    def _watched(self) -> bool:
        return time.monotonic() - self._asked < _LOOKS_S

    def _version(self) -> str:
        """Of the report: another one after each time that it was made."""
        try:
            return str(self._report.stat().st_mtime_ns) if self._report else ""
        except OSError:
            return ""

    def _add(self, task: Task, ended: Ended) -> None:
        if task.kind is Kind.BUILD and not ended.exit:
            return  # what people wait for are the cells
        self._done += task.kind is Kind.TEST
        self._bad += task.kind is Kind.TEST and ended.exit != ExitCode.OK
        self._ended.append(
            {
                "name": visible(task.name),
                "kind": task.kind,
                "good": not ended.exit,
                "word": view.word(ended.exit),
                "new": ended.new,
                "counts": view.bad_first(ended.counts),
                "time": duration(ended.duration_s),
                "error": visible(ended.error),
            }
        )

    def _running(self, state: State) -> list[dict[str, Any]]:
        progress = self._progress
        return [_task(*one, progress.get(one[0].task.name)) for one in state.running]


def _task(grant: Grant, since_s: float, progress: Progress | None) -> dict[str, Any]:
    task = grant.task
    left = task.expected_s - since_s
    about: dict[str, Any] = {
        "name": visible(task.name),
        "kind": task.kind,
        "time": duration(since_s),
        "left": f"about {duration(left)} left" if task.known and left > 0 else "",
    }
    if progress is not None:
        about |= {
            "ended": progress.ended,
            "planned": progress.planned,
            "test": visible(progress.test),
            "counts": view.bad_first(progress.counts),
            "worker": visible(progress.worker),
        }
    return about


def _said(state: State | None) -> str:
    """How long it takes, and what waits."""
    if state is None:
        return "The cells are being planned."
    parts = [f"about {duration(state.left_s)} left"]
    if state.cells_waiting:
        parts.append(f"{state.cells_waiting} waiting")
    if state.builds_waiting:
        parts.append(f"{state.builds_waiting} kernels to build")
    return ", ".join([*parts, f"{duration(state.elapsed_s)} by now"])
