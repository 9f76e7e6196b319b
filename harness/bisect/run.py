# SPDX-License-Identifier: GPL-2.0-only
"""A bisection being run: steps begin as there is room, what each has shown is written down."""

import contextlib
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness import earlier, recorded
from harness.bisect import evidence, options
from harness.bisect import record as record_of
from harness.bisect.record import Begun, BisectRecord, Told
from harness.bisect.search import Search
from harness.bisect.subset import SubsetSearch
from harness.errors import ExitCode, HostError, UsageError
from harness.executors import Executor, Finished, Order
from harness.model import GOOD, Kind, Probed, Question, Space, Task, Wish

_LOOK_S = 0.5  # how often somebody is shown that time passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """A step that runs: for so many seconds by now."""

    begun: Begun
    since_s: float


AnySearch = Search | SubsetSearch


class Watch(Protocol):
    """Who looks on while a bisection runs."""

    def begun(self, begun: Begun, search: AnySearch) -> None:
        """A step begins."""
        ...

    def ended(self, probed: Probed, search: AnySearch) -> None:
        """A step has ended."""
        ...

    def look(self, underway: Sequence[Underway], search: AnySearch) -> None:
        """Time passes."""
        ...


class BisectRun:
    """The steps of a bisection, those that were told of first."""

    def __init__(
        self, record: BisectRecord, executor: Executor, watches: Sequence[Watch], told: Told
    ) -> None:
        self._record = record
        self._executor = executor
        self._watches = watches
        self._question = told.question
        self._last = told.last_step
        self._left = list(told.begun)
        self._running: dict[str, tuple[Begun, float]] = {}
        self._logs: dict[int, Path] = {}
        self.search = searched(told.question, told.steps, usual_s=record_of.usual_s())

    def run(self) -> ExitCode:
        """Look until it is sure enough, or nothing more can be found out. EndsError, UsageError or
        HostError for what makes that impossible. What still runs at the end is not waited for."""
        for begun in self._left:
            self._again(begun)
        while not self.search.settled:
            while len(self._running) < self._question.jobs:
                wish = self.search.next([one.wish for one, _ in self._running.values()])
                if wish is None:
                    break
                self._begin(wish)
            if not self._running:
                break
            self._wait()
        code = ExitCode.OK if self.search.settled else ExitCode.FAILED
        self._record.finish(code)
        return code

    def _begin(self, wish: Wish) -> None:
        self._last += 1
        argv = command(self._question, wish, self._record.path, self.search.others(wish))
        # Beside another step that is after the same, each still has its own run.
        argv += ("--of-bisection", f"{self._record.path.name}/{self._last}")
        self._record.begin(self._last, wish, argv)
        now = datetime.now(UTC).isoformat()
        self._start(Begun(step=self._last, wish=wish, argv=argv, time=now), argv)

    def _again(self, begun: Begun) -> None:
        """A step that was interrupted, perhaps after its run had come to its end. What ended it
        then, as a full disk, may be gone by now."""
        directory = earlier.newest(begun.argv, begun.time)
        code = recorded.exit_of(directory) if directory else None
        if code is not None and evidence.conclusive(directory, code, self._question.test):
            self._keep(replace(_empty(begun), run_dir=str(directory)), code)
        else:
            self._start(begun, (*begun.argv, "--resume"))

    def _start(self, begun: Begun, argv: tuple[str, ...]) -> None:
        name = str(begun.step)
        cpus = max(1, self._executor.capacity.cpus // self._question.jobs)
        task = Task(name=name, kind=Kind.TEST, argv=argv)
        self._running[name] = begun, time.monotonic()
        log = self._logs[begun.step] = self._record.log(begun.step)
        self._executor.start(Order(task=task, argv=argv, cpus=cpus, log=log))
        for one in self._watches:
            one.begun(begun, self.search)

    def _wait(self) -> None:
        for finished in self._executor.wait(_LOOK_S):
            begun, _ = self._running.pop(finished.task)
            self._end(begun, finished)
        now = time.monotonic()
        underway = [Underway(begun=one, since_s=now - at) for one, at in self._running.values()]
        for one in self._watches:
            one.look(underway, self.search)

    def _end(self, begun: Begun, finished: Finished) -> None:
        said = str(finished.document.get("error", ""))
        directory = str(finished.document.get("run_dir", ""))
        place = Path(directory) if directory else None
        if not evidence.conclusive(place, finished.exit, self._question.test):
            self._stop(begun, finished.exit, said)
        probed = replace(_empty(begun), run_dir=directory, duration_s=finished.duration_s)
        self._keep(probed, finished.exit)

    def _stop(self, begun: Begun, code: int, said: str) -> None:
        """What no other step would do better. The step stays begun, and is gone on with."""
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        log = self._logs[begun.step]
        with contextlib.suppress(OSError, IndexError):
            said = said or log.read_text(errors="replace").strip().splitlines()[-1]
        said = said.removeprefix("harness: ")
        command_line = shlex.join(("harness", *begun.argv))
        if code == ExitCode.USAGE:
            raise UsageError(said or f"not understood: {command_line}", log=log)
        raise HostError(
            f"step {begun.step} ended with {code}: {said or 'without a word'}",
            hint=f"harness bisect --resume {self._record.path.name[-4:]}",
            log=log,
        )

    def _keep(self, probed: Probed, code: int) -> None:
        asked, known = self._question, self.search.signature
        wanted = None if asked.any_failure else known
        probed = evidence.read(probed, code, wanted, asked.test)
        if known is None and probed.failed and not asked.any_failure:
            # Which failure is meant is known by now: others do not count.
            probed = evidence.read(probed, code, probed.signature, asked.test)
        self._record.end(probed)
        self.search.take(probed)
        for one in self._watches:
            one.ended(probed, self.search)


def _empty(begun: Begun) -> Probed:
    return Probed(step=begun.step, number=begun.wish.number, chosen=begun.wish.chosen)


def searched(
    question: Question,
    steps: Iterable[Probed] = (),
    *,
    usual_s: tuple[float, float] | None = None,
) -> AnySearch:
    """What some steps make of a question; `usual_s` as for Search."""
    if question.space is Space.SUBSET:
        return SubsetSearch(question, steps)
    return Search(question, steps, usual_s=usual_s)


def command(
    question: Question, wish: Wish, directory: Path, programs: Sequence[str] = ()
) -> tuple[str, ...]:
    """The arguments of `harness` for what is wished for; `directory` is that of the bisection. A
    kernel that is one of `programs` is built only, but for the ends."""
    value = question.candidate(wish.number).value
    if wish.chosen:
        value = ",".join(str(number + 1) for number in wish.chosen)
    elif question.option == "--config":
        value = str(options.write(directory, question, wish.number))
    between = bool(wish.chosen) or wish.number not in (GOOD, question.bad)
    words = [*question.argv, question.option, value]
    words += ["--known-programs", ",".join(programs) if between else ""]
    if wish.runs > 1:
        words += ["--repeat", str(wish.runs), *["--until-fail"] * between]
    return tuple(words)


def resumable(told: Told) -> Told:
    """A bisection of the past to go on with; UsageError where it came to its answer."""
    if told.exit in (ExitCode.OK, ExitCode.FAILED):
        raise UsageError(
            f"{told.directory.name} came to its end",
            hint=f"harness bisect log {told.name}; harness bisect undo {told.name} STEP",
        )
    return told
