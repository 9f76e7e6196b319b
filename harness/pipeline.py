# SPDX-License-Identifier: GPL-2.0-only
"""One cell from its series to its results: the whole story on one page."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness import (
    apply,
    boots,
    context,
    failnth,
    kernel,
    known,
    measure,
    plan,
    reruns,
    slot,
    steps,
    verdict,
)
from harness.boots import Needs
from harness.earlier import Earlier, Found
from harness.errors import (
    BootError,
    BuildError,
    GuestLostError,
    KconfigError,
    QemuDiedError,
)
from harness.execution import Execution
from harness.guest import Guest
from harness.known import Known
from harness.model import (
    Cell,
    Kernel,
    Outcome,
    Result,
    Rounds,
    Run,
    Settled,
    Step,
    Test,
)
from harness.ready import Ready
from harness.record import Record
from harness.watch import Watch

Look = Callable[[Guest, Path], None]
"""Called with the guest of the last test and the sources of its kernel, both held meanwhile."""


class CellRun:
    """A cell being run. What is known so far is in `snapshot()`, whenever it stops.

    With `look` the guest and the sources are kept at the end until it returns; what is known of
    `earlier` is not run again.
    """

    def __init__(
        self,
        cell: Cell,
        root: Path,
        record: Record,
        watch: Watch,
        *,
        look: Look | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        self._look = look
        self._earlier = earlier or Earlier()
        self._cell = cell
        self._record = record
        self._watch = watch
        self._ready = Ready(cell, root, record, watch)
        self._stages = self._ready.stages
        self._steps = steps.of(cell)
        self._executions: dict[str, Execution] = {}
        self._own: dict[str, list[Result]] = {}
        self._sources: dict[str, str] = {}
        self._settled: dict[str, Settled] = {}
        self._contexts: dict[str, dict[str, str]] = {}
        self._planned: tuple[Test, ...] = ()
        self._measured: tuple[Test, ...] = ()

    def run(self) -> None:
        """The story. Raises StageError (or another HarnessError) when a stage fails."""
        suites = self._ready.prepare()
        every = [self._as_asked(test) for one in suites for test in one.tests]
        self._planned = tests = plan.select(every, self._cell.tests)
        if len(self._steps) > 1 and self._look is None:
            self._measured = tuple(test for test in tests if test.samples > 1)
        boots.check_kind(self._cell.guest_kind, boots.why_unfit((), self._cell.guest), tests)
        self._record.plan(self._steps, tests)
        self._build_all()
        if self._is_known():
            return
        self._ready.choose_guests(tests)
        self._note_contexts(tests)
        for step in self._steps:
            if self._inherits(step) or step.label not in self._ready.builds.kernels:
                continue
            try:
                self._run_step(step, tests)
            except (BootError, GuestLostError) as error:
                if isinstance(error, QemuDiedError):
                    raise  # the host's fault
                if self._cell.each_patch:
                    self._failed(verdict.BOOT, step, error.message)
                if not step.between:
                    raise
        self._measure()
        if self._ready.saved.given_up:
            self._note_contexts(tests)  # in other guests than was thought
        self._settle(tests)

    def _is_known(self) -> bool:
        """Write down which program the last kernel is. True where whoever asked knows what it
        does."""
        if self._cell.known_programs is None:
            return False
        label = self._steps[-1].label
        program = self._ready.builds.program(label)
        self._record.program(label, program)
        if program not in self._cell.known_programs:
            return False
        self._watch.note(f"{label} is a program that was run before: it is not run")
        return True

    def _measure(self) -> None:
        """Run the tests whose figures are compared, on base and patched in turn."""
        ends = [self._steps[0].label, self._steps[-1].label]
        labels = [label for label in ends if label in self._executions]
        if self._measured and labels:
            with self._more_runs():
                measure.measure(self._measured, labels, self._executions, self._stages)

    def _settle(self, tests: Sequence[Test]) -> None:
        """Run again what failed, until it is known whether that is of the series."""
        if not self._cell.reruns.most or "base" not in self._executions:
            return
        rows = self.snapshot().rows
        doubtful = reruns.doubts(rows, tests, self._sources, self._executions)
        judge = reruns.Judge(self._executions, self._record, self._stages)
        self._settled = judge.settled  # known as far as it got, should it be interrupted
        with self._more_runs():
            judge.settle(doubtful, self._cell.reruns)

    @contextlib.contextmanager
    def _more_runs(self) -> Iterator[None]:
        """Tests run once more; then what the kernels reported meanwhile gets its places."""
        before = {label: len(one.splats) for label, one in self._executions.items()}
        with self._ready.saved:
            yield
        for step in self._steps:
            execution = self._executions.get(step.label)
            if execution is not None and len(execution.splats) > before[step.label]:
                self._ready.builds.find_places(step, execution)

    def _inherits(self, step: Step) -> bool:
        """True, and its results are those of the step before it, where its kernel is the same
        program."""
        built = [one for one in self._steps if one.label in self._ready.builds.kernels]
        if step not in built[1:]:
            return False
        before = built[built.index(step) - 1].label
        dead = any(one.test == verdict.BOOT for one in self._own.get(before, ()))
        if dead or not self._ready.builds.same(before, step.label):
            return False
        before = self._sources.get(before, before)  # the one that ran
        self._sources[step.label] = before
        self._record.inherit(step.label, before)
        with self._stages.stage(f"run {step.label}") as said:
            said.append(f"the same program as {before}'s: its results")
        if (before, step.label) == ("base", "tip"):
            self._watch.note("the series changes nothing in this kernel: is what it touches built?")
        return True

    def _failed(self, test: str, step: Step, why: str) -> None:
        """A step does not build, adds warnings or does not boot: that is a result of its patch."""
        result = Result(test=test, outcome=Outcome.FAIL, kernel=step.label, detail=why)
        self._record.result(result)
        self._watch.ended(result)
        self._own.setdefault(step.label, []).append(result)

    def _run_step(self, step: Step, tests: Sequence[Test]) -> None:
        execution = Execution(
            self._cell,
            self._ready.builds.target(step.label),
            self._ready.boots,
            record=self._record,
            watch=self._watch,
            earlier=partial(self._known_of_test, step.label),
        )
        execution.go_on_from(self._earlier.stray(step.label, self._contexts[step.label]))
        self._executions[step.label] = execution
        last = step is self._steps[-1]
        if not step.between:
            tests = [test for test in tests if test not in self._measured]
        if not tests:
            return
        if found := self._known(step, tests):
            with self._stages.stage(f"run {step.label}") as said:
                execution.adopt(tests, found)
                said.append(f"{_count(execution.results)}, known from run {found.run[-4:]}")
            return
        try:
            with self._stages.stage(f"run {step.label}") as said, self._ready.saved:
                count = 0 if self._cell.fail_nth else len(tests) * self._cell.rounds.count
                self._watch.planned(count)
                execution.run(tests, self._keep if self._look is not None and last else None)
                counts = _count(execution.results)
                said.append(f"{counts}, guests: {' and '.join(self._ready.boots.used)}")
        finally:
            self._ready.builds.find_places(step, execution)  # of the report that may be why it ends
        self._ready.builds.find_sites(step, execution)

    def _known_of_test(self, label: str, test: str, number: int) -> Found | None:
        """What a run that was interrupted knows of a test's round."""
        return self._earlier.result(label, test, number, self._contexts[label][test])

    def _known(self, step: Step, tests: Sequence[Test]) -> Known | None:
        """What an earlier run knows of the base, where this one need not look itself."""
        wanted = step.label == "base" and step is not self._steps[-1]
        if not wanted or self._cell.fresh_base or self._cell.rounds != Rounds():
            return None
        contexts = self._contexts[step.label]
        return known.find(step.label, {t.name: contexts[t.name] for t in tests}, self._watch)

    def _note_contexts(self, tests: Sequence[Test]) -> None:
        """Write down what the results depend on."""
        for label in self._ready.builds.kernels:
            target = self._ready.builds.target(label)
            mounts = (*self._ready.mounts, *target.mounts)
            self._contexts[label] = {
                test.name: context.of(
                    test,
                    target.kernel,
                    mounts,
                    cell=self._cell,
                    agent=self._ready.agent.program,
                    accel=self._ready.boots.accel,
                    kind=self._ready.boots.kind_of(Needs.of(test)),
                )
                for test in tests
            }
            self._record.contexts(label, self._contexts[label], mounts)

    def _build_all(self) -> None:
        if not self._cell.each_patch:
            apply.apply(self._ready.base, self._cell.stack)  # before the base is built for nothing
        before: Kernel | None = None
        for step in self._steps:
            try:
                made = self._ready.builds.make(step)
            except (BuildError, KconfigError) as error:
                if self._cell.each_patch:
                    self._failed(verdict.BUILD, step, "; ".join((error.message, *error.lines[:1])))
                if not step.between:
                    raise
                continue
            if before is not None and (added := kernel.added_warnings(before, made)):
                more = f" and {len(added) - 1} more" if len(added) > 1 else ""
                self._failed(verdict.BUILD, step, f"a new compiler warning: {added[0]}{more}")
            before = last = made
        self._ready.find_accel(last)

    def _as_asked(self, test: Test) -> Test:
        samples = self._cell.samples or test.samples
        alone = "test" if self._cell.fail_nth else ""  # a guest for each shot
        isolation = alone or self._cell.isolation or test.isolation
        return replace(test, isolation=isolation, samples=samples)

    def _keep(self, guest: Guest) -> None:
        assert self._look is not None
        if guest.loss is not None:
            self._watch.note(f"nothing to look at: {guest.loss}")
            return
        tip = self._ready.builds.kernels[self._steps[-1].label]
        with slot.take(self._ready.base, tip.tree) as taken:
            self._look(guest, taken.source)

    def snapshot(self) -> Run:
        """What is known by now: all of it at the end, a part when a stage failed."""
        columns: dict[str, verdict.Column] = {}
        for step in self._steps:
            columns[step.label] = self._column(
                step, columns, built=step.label in self._ready.kernels
            )
        label = self._steps[-1].label
        shown = self._shown_by_base()
        tested = {result.test for result in columns[label].results}
        patched = self._executions.get(self._sources.get(label, label))
        known = [one for column in columns.values() for one in column.results]
        return replace(
            self._ready.run(label),
            rows=verdict.table(list(columns.values()), shown, self._settled),
            splats=tuple(splat for one in known for splat in one.splats),
            stray=verdict.marked(patched.stray if patched else (), shown),
            unfinished=tuple(t.name for t in self._planned if t.name not in tested),
            sites=failnth.sites(patched.results, patched.places, patched.stray) if patched else (),
        )

    def _column(
        self, step: Step, earlier: Mapping[str, verdict.Column], *, built: bool
    ) -> verdict.Column:
        """What one step came to."""
        source = self._sources.get(step.label, "")
        execution = self._executions.get(step.label)
        results = execution.results if execution else []
        if source:
            results = list(verdict.inherited(earlier[source].results, step.label))
        return verdict.Column(
            label=step.label,
            patch=step.patch,
            results=(*self._own.get(step.label, ()), *results),
            inherited=source,
            built=built,
        )

    def _shown_by_base(self) -> frozenset[verdict.Fingerprint]:
        base = self._executions.get("base")
        if base is None or len(self._steps) == 1:
            return frozenset()
        return verdict.fingerprints(base.results, base.stray)


def _count(results: Sequence[Result]) -> str:
    counts = dict.fromkeys(Outcome, 0)
    for result in results:
        counts[result.outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
