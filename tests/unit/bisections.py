# SPDX-License-Identifier: GPL-2.0-only
"""Bisections without kernels: an executor that knows the truth and writes the runs' directories."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import cache
from harness.bisect.record import BisectRecord, load
from harness.bisect.run import AnySearch, BisectRun, Underway
from harness.errors import ExitCode
from harness.executors import Capacity, Finished, Order, Progress
from harness.model import (
    Base,
    Candidate,
    Cell,
    GuestSpec,
    Outcome,
    Probed,
    Question,
    Result,
    Rounds,
    Series,
    Space,
    Splat,
    Subtest,
)
from harness.record import Record

TEST = "aio-core/cancel"


def linear(count: int, **more: Any) -> Question:
    """A line of commits c0 ... c<count - 1>; the good end is `good`."""
    found = tuple(
        Candidate(name=f"c{n}", title=f"change {n}", value=f"c{n}", parents=(n - 1,) if n else ())
        for n in range(count)
    )
    made = Question(
        space=Space.COMMITS,
        place="good..c of linux",
        test=TEST,
        argv=("run", "--tree", "linux", "--test", TEST),
        option="--commit",
        good=Candidate(name="good", title="as it was", value="good"),
        candidates=found,
        cwd="/",
    )
    return replace(made, **more)


@dataclass
class World:
    """What kernels do. `culprit` and all after it fail at `rate`; `broken` do not build, `crash`
    with a report of their own, lose their guest (`lost`), fill the disk (`full`), leave no record
    (`silent`); a share of all runs crashes, each in a new way (`stray`). `programs` name those that
    are the same program. `report` is what the culprit's failure is, `mirror` the git directory that
    has the commits."""

    culprit: int
    rate: float = 1.0
    broken: Collection[int] = ()
    crash: Collection[int] = ()
    full: Collection[int] = ()
    silent: Collection[int] = ()
    lost: Collection[int] = ()
    stray: float = 0.0
    programs: dict[int, str] = field(default_factory=dict)
    good_fails: bool = False
    never: bool = False
    seed: int = 0
    report: Splat | None = None
    mirror: Path | None = None

    def number(self, argv: tuple[str, ...]) -> int:
        """Which kernel a command line is for."""
        value = argv[argv.index("--commit") + 1]
        return -1 if value == "good" else int(value[1:])

    def outcome(self, number: int, dice: random.Random) -> Result:
        """One run of the test."""
        made = Result(
            test=TEST, outcome=Outcome.PASS, kernel="base", boot=1, duration_s=0.1, detail=""
        )
        if number in self.lost:
            return replace(made, outcome=Outcome.ERROR, detail="the agent is gone")
        if number in self.crash or (self.stray and dice.random() < self.stray):
            title = "BUG in other" if number in self.crash else f"BUG {dice.random()}"
            report = Splat(kind="bug", title=title, fingerprint=("bug", title))
            return replace(made, outcome=Outcome.CRASH, splats=(report,))
        bad = number >= self.culprit if number >= 0 else self.good_fails
        if not bad or self.never or dice.random() >= self.rate:
            return made
        if self.report is not None:
            return replace(made, outcome=Outcome.CRASH, splats=(self.report,))
        subtests = (Subtest(name="cancels", outcome=Outcome.FAIL),)
        return replace(made, outcome=Outcome.FAIL, detail="1 of 1 failed", subtests=subtests)


class Kernels:
    """An executor of runs in a World. With `lives` it is interrupted after so many waits, before
    (`early`) or after the run that is under way has come to its end."""

    def __init__(self, world: World, *, lives: int | None = None, early: bool = False) -> None:
        self.capacity = Capacity(cpus=2, memory_mib=1 << 20)
        self.orders: list[Order] = []
        self._world = world
        self._queue: list[Order] = []
        self._dice = random.Random(world.seed)
        self._lives = lives
        self._early = early

    resumes = True

    def has(self, kernel: str) -> bool:
        """See executors.Executor."""
        return False

    def start(self, order: Order) -> None:
        """See executors.Executor."""
        self.orders.append(order)
        self._queue.append(order)

    def wait(self, timeout_s: float) -> list[Finished]:
        """See executors.Executor."""
        dies = self._lives is not None and self._lives <= 0
        if dies and self._early:
            raise KeyboardInterrupt
        order = self._queue.pop(0)
        finished = self._run(order)
        if dies:
            raise KeyboardInterrupt
        if self._lives is not None:
            self._lives -= 1
        return [finished]

    def _run(self, order: Order) -> Finished:
        argv = tuple(word for word in order.argv if word != "--resume")
        number = self._world.number(argv)
        if number in self._world.silent:
            return Finished(task=order.task.name, exit=12, duration_s=1.0, document={})
        with Record(cache.runs(), series="base", base="linux", kconfig="base") as record:
            record.cell(_cell(argv), list(argv))
            record.write("plan", kernels=["base"], patches=[""], tests=[TEST], details=[])
            if self._world.mirror is not None:
                record.base(_base(self._world.mirror))
            code = self._test(record, argv, number)
            why = {ExitCode.BUILD: "fs/aio.c: oh", ExitCode.HOST: "no space"}
            error = "" if number in self._world.lost else why.get(code, "")
            record.finish({"exit": int(code), "error": error})
            return Finished(
                task=order.task.name,
                exit=code,
                duration_s=33.0,
                document={"run_dir": str(record.path), "error": error},
            )

    def _test(self, record: Record, argv: tuple[str, ...], number: int) -> ExitCode:
        if number in self._world.broken:
            return ExitCode.BUILD
        if number in self._world.full:
            return ExitCode.HOST
        record.write("stage", name="kernel base", duration_s=30.0)
        record.write("stage", name="run base", duration_s=2.0)
        program = self._world.programs.get(number, f"program {number}")
        record.program("base", program)
        if program in argv[argv.index("--known-programs") + 1].split(","):
            return ExitCode.NOTHING_RAN
        runs = int(argv[argv.index("--repeat") + 1]) if "--repeat" in argv else 1
        for turn in range(1, runs + 1):
            result = replace(self._world.outcome(number, self._dice), round=turn)
            record.result(result)
            if "--until-fail" in argv and result.outcome.bad:
                break
        return ExitCode.HOST if number in self._world.lost else ExitCode.OK

    def progress(self) -> Mapping[str, Progress]:
        return {}

    def __enter__(self) -> "Kernels":
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.clear()


class Nobody:
    """A run.Watch that keeps what it is told."""

    def __init__(self) -> None:
        self.ends: list[Probed] = []

    def begun(self, begun: Any, search: AnySearch) -> None:
        """See run.Watch."""

    def ended(self, probed: Probed, search: AnySearch) -> None:
        """See run.Watch."""
        self.ends.append(probed)

    def look(self, underway: Sequence[Underway], search: AnySearch) -> None:
        """See run.Watch."""


def begin(question: Question) -> Path:
    """The directory of a new bisection."""
    with BisectRecord.new(question.space) as record:
        record.ask(question)
        return record.path


def go_on(path: Path, executor: Kernels) -> tuple[ExitCode, AnySearch]:
    """Run what is left of it."""
    with BisectRecord(path) as record:
        story = BisectRun(record, executor, [Nobody()], load(path))
        return story.run(), story.search


def _cell(argv: tuple[str, ...]) -> Cell:
    return Cell(stack=Series(name="base"), tree="linux", guest=GuestSpec(), rounds=Rounds())


def _base(mirror: Path) -> Base:
    return Base(name="linux", mirror=mirror, commit="c" * 40, tree="d" * 40, version="6.12.0")
