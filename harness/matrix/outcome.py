# SPDX-License-Identifier: GPL-2.0-only
"""What became of a task, from what its process said and from the record that it wrote."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import earlier, journal, recorded
from harness.errors import ExitCode
from harness.executors import Finished
from harness.model import Ended, Kind, Task, Verdict


def of(task: Task, finished: Finished, *, resumed: bool = False) -> Ended:
    """That of a task whose process has ended."""
    told = finished.document
    if task.kind is Kind.BUILD:
        built = int(finished.exit == 0 and not told.get("cached", True))
        return Ended(
            task=task.name,
            exit=finished.exit,
            duration_s=finished.duration_s,
            built=built,
            cached=int(finished.exit == 0) - built,
            resumed=resumed,
        )
    return Ended(
        task=task.name,
        exit=finished.exit,
        duration_s=finished.duration_s,
        resumed=resumed,
        **_of_document(told),
        **_of_journal(Path(told["run_dir"])) if "run_dir" in told else {},
    )


def found(task: Task, since: str) -> Ended | None:
    """That of a cell whose run came to its end although whoever started it, at `since` (ISO 8601),
    did not see that; None for no such run."""
    wanted = earlier.plain(task.argv)
    for directory in recorded.recent():
        if earlier.plain(recorded.argv_of(directory)) != wanted:
            continue
        told = recorded.load(directory)
        if told.exit in (None, ExitCode.INTERRUPTED) or not _after(told.started, since):
            return None
        document = recorded.document_of(directory)
        return Ended(
            task=task.name,
            exit=told.exit,
            duration_s=_lasted_s(directory),
            **_of_document(document),
            **_of_journal(directory),
        )
    return None


def _of_document(told: Mapping[str, Any]) -> dict[str, Any]:
    results = told.get("results", ())
    return {
        "run_dir": told.get("run_dir", ""),
        "error": told.get("error", ""),
        "cpu_s": told.get("cpu_s", 0.0),
        "counts": dict(Counter(str(one["outcome"]) for one in results)),
        "new": sum(one.get("verdict") in (Verdict.NEW, Verdict.CHANGED) for one in results),
    }


def _of_journal(directory: Path) -> dict[str, Any]:
    events = list(journal.read(directory))
    kernels = [event["cached"] for event in events if event["event"] == "kernel"]
    return {
        "boots": sum(event["event"] == "boot" for event in events),
        "built": kernels.count(False),
        "cached": kernels.count(True),
    }


def _after(time: str, since: str) -> bool:
    return datetime.fromisoformat(time) >= datetime.fromisoformat(since)


def _lasted_s(directory: Path) -> float:
    times = [datetime.fromisoformat(event["time"]) for event in journal.read(directory)]
    return round((times[-1] - times[0]).total_seconds(), 3)
