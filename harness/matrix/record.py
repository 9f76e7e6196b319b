# SPDX-License-Identifier: GPL-2.0-only
"""The directory of a matrix: its plan and what became of each task, written as it happens.

`$XDG_STATE_HOME/harness/matrices/<utc>-<4 hex>/`: journal.jsonl, logs/, report.html.
The runs of its cells have their own directories, among all others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from harness import cache, journal
from harness.journal import Journal
from harness.model import Ended, Kind, Task

KIND = "matrices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A matrix as its journal tells it. `begun` has the time (ISO 8601) at which each task began
    that did not end; `left_out` what the deadline did not allow; `exit` is None when it was killed
    or goes on. `source` says which file it is of, and what of that was selected."""

    directory: Path
    tasks: tuple[Task, ...]
    ended: Mapping[str, Ended]
    begun: Mapping[str, str]
    left_out: tuple[str, ...]
    source: Mapping[str, str]
    exit: int | None


class MatrixRecord(Journal):
    """An open directory of a matrix. As a context manager it closes its journal."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        (directory / "logs").mkdir(exist_ok=True)

    @classmethod
    def new(cls, tasks: Sequence[Task], source: Mapping[str, str]) -> Self:
        """That of a new matrix."""
        made = cls(journal.new_directory(cache.runs(KIND)))
        made.write("plan", source=dict(source), tasks=[asdict(task) for task in tasks])
        return made

    def log(self, task: Task) -> Path:
        """Where what a task says goes."""
        name = re.sub(r"[^A-Za-z0-9.+_]+", "-", task.name).strip("-")
        number = 0
        while (path := self.path / "logs" / f"{name}{f'.{number}' * bool(number)}.log").exists():
            number += 1  # of a matrix that was interrupted
        return path

    def begin(self, task: Task, cpus: int) -> None:
        """A task begins: without an end after it, it was interrupted."""
        self.write("begin", task=task.name, cpus=cpus)

    def end(self, ended: Ended) -> None:
        """A task has ended, on disk when this returns."""
        self.write("end", **asdict(ended))

    def leave_out(self, tasks: Sequence[Task]) -> None:
        """What the deadline does not allow."""
        self.write("left-out", tasks=[task.name for task in tasks])

    def finish(self, exit_code: int) -> None:
        """All that could be run has ended."""
        self.write("finish", exit=int(exit_code))


def recent() -> list[Path]:
    """The directories of matrices of this user, the newest first, but for those that were killed
    before they had a plan."""
    return journal.recent(cache.runs(KIND), begins="plan")


def find(name: str = "") -> Path:
    """That of a path, a name, its beginning or its end; the newest for no name."""
    return journal.find(name, recent(), what="matrix", hint="`harness matrix` runs one")


def load(directory: Path) -> Told:
    """What the journal says."""
    tasks: tuple[Task, ...] = ()
    source: dict[str, str] = {}
    ended: dict[str, Ended] = {}
    begun: dict[str, str] = {}
    left_out: tuple[str, ...] = ()
    code: int | None = None
    for event in journal.read(directory):
        match event["event"]:
            case "plan":
                tasks = tuple(_task(one) for one in event["tasks"])
                source = event["source"]
            case "begin":
                left_out, code = (), None  # it was gone on with
                begun.setdefault(event["task"], event["time"])
            case "end":
                begun.pop(event["task"], None)
                ended[event["task"]] = _ended(event)
            case "left-out":
                left_out = tuple(event["tasks"])
            case "finish":
                code = event["exit"]
    return Told(
        directory=directory,
        tasks=tasks,
        ended=ended,
        begun=begun,
        left_out=tuple(name for name in left_out if name not in ended),
        source=source,
        exit=code,
    )


def _task(told: Mapping[str, Any]) -> Task:
    known = {key: told[key] for key in Task.__dataclass_fields__ if key in told}
    lists = {key: tuple(told[key]) for key in ("argv", "needs", "kernels") if key in told}
    return Task(**{**known, **lists, "kind": Kind(told["kind"])})


def _ended(event: Mapping[str, Any]) -> Ended:
    known = {key: event[key] for key in Ended.__dataclass_fields__ if key in event}
    return Ended(**{**known, "lost": tuple(event.get("lost", ()))})
