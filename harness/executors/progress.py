# SPDX-License-Identifier: GPL-2.0-only
"""How far the cells are that run on this machine, as their journals say."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import cache, earlier, recorded
from harness.executors import Progress
from harness.journal import JOURNAL, STAMP

_STAMP_SIZE = 16


class Cells:
    """Cells that run now. Nothing is read before somebody asks how far they are, and then only what
    is new."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._others: set[str] = set()  # directories that are no cell's of ours, or taken

    def begin(self, name: str, argv: Sequence[str]) -> None:
        """One is about to begin, whose run directory is to come."""
        self._cells[name] = Cell(argv)

    def end(self, name: str) -> None:
        """One has ended."""
        self._cells.pop(name, None)

    def progress(self) -> dict[str, Progress]:
        """By name, of those that have a run directory."""
        searched = [cell for cell in self._cells.values() if cell.directory is None]
        if searched:
            self._find(searched)
        found = {}
        for name, cell in self._cells.items():
            with contextlib.suppress(OSError, KeyError, TypeError):  # somebody removed it
                if cell.directory is not None:
                    found[name] = cell.read(cell.directory)
        return found

    def _find(self, searched: list["Cell"]) -> None:
        """Look at the directories that came to be since, each once."""
        oldest, parent = min(cell.since for cell in searched), cache.runs()
        # Names, not paths: of these there may be ten thousands.
        newer = (name for name in os.listdir(parent) if name[:_STAMP_SIZE] >= oldest)  # noqa: PTH208
        for name in sorted(set(newer) - self._others):
            path = parent / name
            if not (argv := recorded.argv_of(path)):
                continue  # its first line is to come
            self._others.add(name)
            cell = next((cell for cell in searched if cell.wants(path, argv)), None)
            if cell is not None:
                cell.directory = path


class Cell:
    """One that runs. `since` is when it began, as its directory's name has it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.since = datetime.now(UTC).strftime(STAMP)
        self.directory: Path | None = None
        self._argv = earlier.plain(argv)
        self._at = 0
        self._tests = 0
        self._kernels = 0
        self._outcomes: dict[tuple[str, str], str] = {}
        self._running: dict[tuple[str, str], None] = {}

    def wants(self, directory: Path, argv: Sequence[str]) -> bool:
        """The directory is this cell's."""
        after = directory.name[:_STAMP_SIZE] >= self.since
        return self.directory is None and after and earlier.plain(argv) == self._argv

    def read(self, directory: Path) -> Progress:
        """Where it is by now."""
        for event in self._events(directory):
            self._take(event)
        return Progress(
            ended=len(self._outcomes),
            planned=self._tests * self._kernels,
            test=next((test for test, _ in reversed(self._running)), ""),
            counts=dict(Counter(self._outcomes.values())),
        )

    def _events(self, directory: Path) -> Iterator[dict[str, Any]]:
        """The lines that are new, and whole."""
        with (directory / JOURNAL).open("rb") as journal:
            journal.seek(self._at)
            whole = journal.read().rpartition(b"\n")
        self._at += len(whole[0]) + len(whole[1])
        for line in whole[0].splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "plan":
                self._tests, self._kernels = len(event["tests"]), len(event["kernels"])
            case "inherit":
                self._kernels -= 1  # it has another's results
            case "start":
                self._running[event["test"], event["kernel"]] = None
            case "result" | "amended":
                about = event["test"], event["kernel"]
                self._running.pop(about, None)
                if event.get("round", 1) == 1:  # reruns are not planned
                    self._outcomes[about] = event["outcome"]
