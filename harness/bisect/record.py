# SPDX-License-Identifier: GPL-2.0-only
"""The directory of a bisection: its question and each step, written as they happen.

`$XDG_STATE_HOME/harness/bisects/<utc>-<space>-<4 hex>/`: journal.jsonl, logs/, report.html.
The runs of its steps have their own directories, among all others.
"""

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness import cache, journal
from harness.errors import UsageError
from harness.journal import Journal
from harness.model import Candidate, Probed, Question, Signature, Space, Wish

KIND = "bisects"
_PAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A step that began: what was wished for, its command line and the time (ISO 8601)."""

    step: int
    wish: Wish
    argv: tuple[str, ...]
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A bisection as its journal tells it. `begun` are the steps that did not end, `undone` those
    that somebody took back; `exit` is None when it was interrupted or goes on."""

    directory: Path
    question: Question
    steps: tuple[Probed, ...]
    begun: tuple[Begun, ...]
    undone: tuple[int, ...]
    started: str
    exit: int | None
    last_step: int

    @property
    def name(self) -> str:
        """Four digits that name it."""
        return self.directory.name[-4:]


class BisectRecord(Journal):
    """An open directory of a bisection. As a context manager it closes its journal."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        (directory / "logs").mkdir(exist_ok=True)

    @classmethod
    def new(cls, space: Space) -> Self:
        """That of a new one, which has no question yet: its files may need the directory."""
        return cls(journal.new_directory(cache.runs(KIND), space))

    def ask(self, question: Question) -> None:
        """What it is of."""
        self.write("question", **asdict(question))

    def log(self, step: int) -> Path:
        """Where what a step's process says goes."""
        number = 0
        while (path := self.path / "logs" / f"{step:03}{f'.{number}' * bool(number)}.log").exists():
            number += 1  # of one that was interrupted
        return path

    def begin(self, step: int, wish: Wish, argv: Sequence[str]) -> None:
        """A step begins: without an end after it, it was interrupted."""
        self.write("begin", step=step, wish=asdict(wish), argv=list(argv))

    def end(self, probed: Probed) -> None:
        """A step has ended, on disk when this returns."""
        self.write("end", **asdict(probed))

    def undo(self, step: int) -> None:
        """What a step has shown does not count."""
        self.write("undo", step=step)

    def resume(self) -> None:
        """It is gone on with, after a time in which nothing was done."""
        self.write("resume")

    def finish(self, exit_code: int) -> None:
        """It came to an answer, or there is none."""
        self.write("finish", exit=int(exit_code))


def recent() -> list[Path]:
    """The directories of bisections of this user, the newest first, but for those that were killed
    before they had a question."""
    return journal.recent(cache.runs(KIND), begins="question")


def usual_s() -> tuple[float, float] | None:
    """Seconds that a build and a run took in the last bisections; None where that is not known."""
    builds: list[float] = []
    runs: list[float] = []
    for directory in recent()[:_PAST]:
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            steps = load(directory).steps
            builds += [one.build_s for one in steps if one.built]
            counted = ((one.test_s, one.failed + one.passed) for one in steps)
            runs += [test_s / count for test_s, count in counted if count]
    return (statistics.median(builds), statistics.median(runs)) if builds and runs else None


def find(name: str = "") -> Path:
    """That of a path, a name, its beginning or its end; the newest for no name."""
    return journal.find(name, recent(), what="bisection", hint="`harness bisect` begins one")


def load(directory: Path) -> Told:
    """What the journal says."""
    question: Question | None = None
    steps: dict[int, Probed] = {}
    begun: dict[int, Begun] = {}
    undone: list[int] = []
    started, last, code = "", 0, None
    for event in journal.read(directory):
        match event["event"]:
            case "question":
                question, started = _question(event), event["time"]
            case "resume":
                code = None
            case "begin":
                code, last = None, max(last, event["step"])
                begun.setdefault(event["step"], _begun(event))
            case "end":
                begun.pop(event["step"], None)
                steps[event["step"]] = _probed(event)
            case "undo":
                code = None
                undone.append(event["step"])
                steps.pop(event["step"], None)
                begun.pop(event["step"], None)
            case "finish":
                code = event["exit"]
    if question is None:
        raise UsageError(f"{directory} is no bisection: its journal does not begin with a question")
    return Told(
        directory=directory,
        question=question,
        steps=tuple(steps.values()),
        begun=tuple(begun.values()),
        undone=tuple(undone),
        started=started,
        exit=code,
        last_step=last,
    )


def _question(event: Mapping[str, Any]) -> Question:
    known = {key: event[key] for key in Question.__dataclass_fields__ if key in event}
    return Question(
        **{
            **known,
            "space": Space(event["space"]),
            "argv": tuple(event["argv"]),
            "good": _candidate(event["good"]),
            "candidates": tuple(map(_candidate, event["candidates"])),
            "built": tuple(event.get("built", ())),
        }
    )


def _candidate(told: Mapping[str, Any]) -> Candidate:
    return Candidate(**{**told, "parents": tuple(told["parents"])})


def _begun(event: Mapping[str, Any]) -> Begun:
    told = event["wish"]
    wish = Wish(number=told["number"], runs=told["runs"], chosen=tuple(told["chosen"]))
    return Begun(step=event["step"], wish=wish, argv=tuple(event["argv"]), time=event["time"])


def _probed(event: Mapping[str, Any]) -> Probed:
    known = {key: event[key] for key in Probed.__dataclass_fields__ if key in event}
    told = event["signature"]
    lists = {key: tuple(told[key]) for key in ("splat", "subtests")}
    made = Signature(outcome=told["outcome"], **lists)
    return replace(Probed(**known), chosen=tuple(event["chosen"]), signature=made)
