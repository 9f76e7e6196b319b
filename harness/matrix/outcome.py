# SPDX-License-Identifier: GPL-2.0-only
"""What became of a task, from what its process said and from the record that it wrote."""

import contextlib
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import earlier, journal, recorded
from harness.errors import ExitCode
from harness.executors import Finished
from harness.model import Ended, Kind, Task, Verdict

_KILLED = (128 + signal.SIGKILL, 128 + signal.SIGTERM)  # by whoever runs the machine


def of(task: Task, finished: Finished, *, since: str, resumed: bool = False) -> Ended:
    """That of a task whose process has ended, which began at `since` (ISO 8601)."""
    told = finished.document
    code, error = _exit(finished.exit)
    ended = Ended(
        task=task.name,
        exit=code,
        duration_s=finished.duration_s,
        error=finished.error or error,
        resumed=resumed,
        worker=finished.worker,
        lost=finished.lost,
    )
    if task.kind is Kind.BUILD:
        built = int(finished.exit == 0 and not told.get("cached", True))
        return replace(ended, built=built, cached=int(finished.exit == 0) - built)
    if "run_dir" in told:
        directory = Path(told["run_dir"])
        known = replace(ended, **_of_document(told), **_of_journal(directory))
        return replace(known, error=known.error or ended.error)
    # It died without a word, as of a machine without memory; what it had recorded is there.
    left = earlier.newest(task.argv, since)
    return replace(ended, run_dir=str(left), **_of_journal(left)) if left else ended


def _exit(status: int) -> tuple[ExitCode, str]:
    """The exit status of a `harness`, and why it is not one of docs/design.md."""
    with contextlib.suppress(ValueError):
        return ExitCode(status), ""
    if status in _KILLED:
        return ExitCode.HOST, f"killed by signal {status - 128}: is there memory enough?"
    return ExitCode.BUG, f"harness ended with {status}"


def found(task: Task, since: str) -> Ended | None:
    """That of a cell whose run came to its end although whoever started it, at `since` (ISO 8601),
    did not see that; None for no such run."""
    directory = earlier.newest(task.argv, since)
    code = recorded.exit_of(directory) if directory else None
    if directory is None or code in (None, ExitCode.INTERRUPTED):
        return None
    return Ended(
        task=task.name,
        exit=code,
        duration_s=_lasted_s(directory),
        resumed=True,  # perhaps: its time says nothing
        **_of_document(recorded.document_of(directory)),
        **_of_journal(directory),
    )


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


def _lasted_s(directory: Path) -> float:
    times = [datetime.fromisoformat(event["time"]) for event in journal.read(directory)]
    return round((times[-1] - times[0]).total_seconds(), 3)
