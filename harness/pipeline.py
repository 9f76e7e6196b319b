# SPDX-License-Identifier: GPL-2.0-only
"""One cell from its series to its results: the whole story on one page."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness import (
    boots,
    context,
    kconfig,
    kernel,
    known,
    measure,
    menuconfig,
    plan,
    proc,
    reruns,
    slot,
    steps,
    toolchain,
    tree,
    verdict,
)
from harness.boots import Boots, Needs
from harness.builds import Builds, Wanted
from harness.errors import (
    BootError,
    BuildError,
    GuestLostError,
    KconfigError,
    QemuDiedError,
)
from harness.execution import Execution
from harness.guest import Guest, accel, agent
from harness.guest.session import Session
from harness.known import Known
from harness.model import (
    Base,
    Cell,
    Contents,
    Disk,
    Kconfig,
    Kernel,
    Mount,
    Outcome,
    Result,
    Rounds,
    Run,
    Series,
    Settled,
    Splat,
    Step,
    Test,
)
from harness.record import Record
from harness.saved import SavedGuests
from harness.series import touched
from harness.stages import Stages
from harness.suites import Prepared, Suite
from harness.suites.command import Commands
from harness.suites.guest_tests import GuestTests, names
from harness.watch import Watch

_TOOLS = ("git", "make", "gcc", "flex", "bison", "bc", "qemu-system-x86_64", "vng")

Look = Callable[[Guest, Path], None]
"""Called with the guest of the last test and the sources of its kernel, both held meanwhile."""


class CellRun:
    """A cell being run. What is known so far is in `snapshot()`, whenever it stops.

    With `look` the guest and the sources are kept at the end until it returns.
    """

    def __init__(
        self, cell: Cell, root: Path, record: Record, watch: Watch, look: Look | None = None
    ) -> None:
        self._look = look
        self._cell = cell
        self._root = root
        self._record = record
        self._watch = watch
        self._steps = steps.of(cell)
        self._stages = Stages(record, watch)
        self._executions: dict[str, Execution] = {}
        self._own: dict[str, list[Result]] = {}
        self._sources: dict[str, str] = {}
        self._settled: dict[str, Settled] = {}
        self._contexts: dict[str, dict[str, str]] = {}
        self._planned: tuple[Test, ...] = ()
        self._measured: tuple[Test, ...] = ()
        self._base: Base | None = None
        self._builds: Builds | None = None
        self._boots: Boots | None = None
        self._saved = SavedGuests(record, watch)
        self._kconfig = Kconfig()
        self._toolchain = toolchain.Toolchain(cc=cell.cc, llvm=cell.llvm)
        self._mounts: tuple[Mount, ...] = ()
        self._contents: tuple[Contents, ...] = ()
        self._disks: tuple[Disk, ...] = ()
        self._agent = agent.Agent(program=Path(), calibration_us=1)

    def run(self) -> None:
        """The story. Raises StageError (or another HarnessError) when a stage fails."""
        suites = self._prepare()
        every = [self._as_asked(test) for one in suites for test in one.tests]
        self._planned = tests = plan.select(every, self._cell.tests)
        if len(self._steps) > 1 and self._look is None:
            self._measured = tuple(test for test in tests if test.samples > 1)
        boots.check_kind(self._cell.guest_kind, boots.why_unfit((), self._cell.guest), tests)
        self._record.plan(self._steps, tests)
        self._build_all()
        self._choose_guests(tests)
        self._note_contexts(tests)
        assert self._builds is not None
        for step in self._steps:
            if self._inherits(step) or step.label not in self._builds.kernels:
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
        if self._saved.given_up:
            self._note_contexts(tests)  # in other guests than was thought
        self._settle(tests)

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
        assert self._builds is not None
        before = {label: len(one.splats) for label, one in self._executions.items()}
        with self._saved:
            yield
        for step in self._steps:
            execution = self._executions.get(step.label)
            if execution is not None and len(execution.splats) > before[step.label]:
                self._builds.find_places(step, execution)

    def _inherits(self, step: Step) -> bool:
        """True, and its results are those of the step before it, where its kernel is the same
        program."""
        assert self._builds is not None
        built = [one for one in self._steps if one.label in self._builds.kernels]
        if step not in built[1:]:
            return False
        before = built[built.index(step) - 1].label
        dead = any(one.test == verdict.BOOT for one in self._own.get(before, ()))
        if dead or not self._builds.same(before, step.label):
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
        assert self._boots is not None and self._builds is not None
        execution = Execution(
            self._cell,
            self._builds.target(step.label),
            self._boots,
            record=self._record,
            watch=self._watch,
        )
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
            with self._stages.stage(f"run {step.label}") as said, self._saved:
                self._watch.planned(len(tests) * self._cell.rounds.count)
                execution.run(tests, self._keep if self._look is not None and last else None)
                counts = _count(execution.results)
                said.append(f"{counts}, guests: {' and '.join(self._boots.used)}")
        finally:
            self._builds.find_places(step, execution)  # of the report that may be why it ends

    def _known(self, step: Step, tests: Sequence[Test]) -> Known | None:
        """What an earlier run knows of the base, where this one need not look itself."""
        wanted = step.label == "base" and step is not self._steps[-1]
        if not wanted or self._cell.fresh_base or self._cell.rounds != Rounds():
            return None
        contexts = self._contexts[step.label]
        return known.find(step.label, {t.name: contexts[t.name] for t in tests}, self._watch)

    def _note_contexts(self, tests: Sequence[Test]) -> None:
        """Write down what the results depend on."""
        assert self._builds is not None and self._boots is not None
        for label in self._builds.kernels:
            target = self._builds.target(label)
            self._contexts[label] = {
                test.name: context.of(
                    test,
                    target.kernel,
                    (*self._mounts, *target.mounts),
                    cell=self._cell,
                    agent=self._agent.program,
                    accel=self._boots.accel,
                    kind=self._boots.kind_of(Needs.of(test)),
                )
                for test in tests
            }
            self._record.contexts(label, self._contexts[label])

    @contextlib.contextmanager
    def guests(self) -> Iterator[tuple[Kernel, boots.More]]:
        """The kernel with the series, and guests of it, within which the suites' programs are
        mounted and no test is run."""
        self._prepare()
        self._build_all()
        self._choose_guests(())
        assert self._boots is not None and self._builds is not None
        target = self._builds.target(self._steps[-1].label)
        needs = Needs(guest="any" if self._cell.guest_kind == "snapshot" else "vng")
        with self._saved:
            yield target.kernel, partial(self._boots.boot, target.kernel, target.mounts, needs)

    @contextlib.contextmanager
    def guest(self) -> Iterator[Session]:
        """One of guests()."""
        with self.guests() as (_, more), more(again=False) as (booted, _):
            yield booted

    def placed(self, splats: Sequence[Splat]) -> Mapping[Splat, Splat]:
        """What splats of the last step's kernel say of the sources."""
        assert self._builds is not None
        return self._builds.places(self._steps[-1], splats)

    def build_only(self) -> Kernel:
        """The kernel with the series, without a guest."""
        self._prepare()
        assert self._builds is not None
        return self._builds.make(Step(label="tip", stack=self._cell.stack))

    def menuconfig(self, output: Path) -> int:
        """Let the user change the kernel's configuration; see harness.menuconfig.run()."""
        self._prepare()
        assert self._base is not None
        return menuconfig.run(
            self._base,
            self._cell.stack,
            self._kconfig,
            toolchain=self._toolchain,
            output=output,
            log=self._record.path / "menuconfig.log",
        )

    def shell_command(self) -> AbstractContextManager[list[str]]:
        """The vng command for a shell in that guest, to be run within."""
        self._prepare()
        self._build_all()
        assert self._boots is not None and self._builds is not None
        target = self._builds.target(self._steps[-1].label)
        return self._boots.shell_command(target.kernel, target.mounts)

    def _prepare(self) -> list[Prepared]:
        """What costs little and finds most mistakes: the tree, the suites, the fragments."""
        for tool in _TOOLS:
            proc.find(tool)
        with self._stages.stage("tree") as said:
            self._base = tree.resolve(self._cell.tree, self._cell.commit)
            self._record.base(self._base)
            said.append(f"{self._base.name} ({self._base.version}, {self._base.commit[:12]})")
        for note in self._cell.notes:
            self._watch.note(note)
        with self._stages.stage("suites") as said:
            suites: list[Suite] = [GuestTests(self._root, name) for name in self._suite_names()]
            if self._cell.commands:
                suites.append(Commands(self._cell.commands, Path.cwd()))
            self._kconfig = self._configuration(suites)
            log = self._record.path / "programs.log"
            self._agent = agent.build()
            prepared = [suite.prepare(log) for suite in suites]
            self._mounts = tuple(mount for one in prepared for mount in one.mounts)
            self._contents = tuple(one.contents for one in prepared)
            disks = dict.fromkeys(test.disk for one in prepared for test in one.tests)
            self._disks = tuple(disk for disk in disks if disk)
            wanted = Wanted(
                base=self._base,
                series=self._cell.stack.name,
                kconfig=self._kconfig,
                toolchain=self._toolchain,
                modules=tuple(one.modules for one in prepared if one.modules),
            )
            self._builds = Builds(wanted, self._record, self._watch, self._stages)
            said.append(
                ", ".join(
                    f"{s.name} ({len(p.tests)})" for s, p in zip(suites, prepared, strict=True)
                )
            )
        return prepared

    def _build_all(self) -> None:
        assert self._builds is not None
        before: Kernel | None = None
        for step in self._steps:
            try:
                made = self._builds.make(step)
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
        with self._stages.stage("accel") as said:
            found = accel.choose(last.image, self._cell.accel)
            self._boots = Boots(
                spec=self._cell.guest,
                agent=self._agent,
                accel=found.name,
                mounts=(*self._mounts, *self._cell.mounts),
                contents=self._contents,
                record=self._record,
                watch=self._watch,
                saved=self._saved,
                disks=self._disks,
                kind=self._cell.guest_kind,
                unfit=boots.why_unfit(tuple(self._builds.kernels.values()), self._cell.guest),
            )
            said.append(f"{found.name}: {found.why}")

    def _as_asked(self, test: Test) -> Test:
        samples = self._cell.samples or test.samples
        return replace(test, isolation=self._cell.isolation or test.isolation, samples=samples)

    def _choose_guests(self, tests: Sequence[Test]) -> None:
        """Which guests the tests get, said where there is a choice."""
        assert self._boots is not None
        made = self._boots
        boots.check_kind(made.kind, made.unfit, tests)
        kinds = {made.kind_of(Needs.of(test)) for test in tests}
        if made.kind == "auto" and "vng" in kinds:
            bound = next((test.name for test in tests if test.guest == "vng"), "")
            why = made.unfit or f"{bound} needs the host's root"
            self._watch.note(f"guests under vng: {why}")

    def _suite_names(self) -> tuple[str, ...]:
        """As asked for; else none beside --command; else the series'; else all there are."""
        chosen = self._cell.suites
        if not chosen and not self._cell.commands:
            chosen = self._cell.stack.suites or names(self._root)
        return tuple(dict.fromkeys(chosen))

    def _configuration(self, suites: Sequence[Suite]) -> Kconfig:
        wanted = dict.fromkeys((*self._cell.stack.kconfigs, *self._cell.kconfigs))
        config = self._cell.config
        return kconfig.compose(
            self._root,
            (
                *(fragment for suite in suites for fragment in suite.fragments),
                *(kconfig.find_fragment(self._root, name) for name in wanted),
            ),
            config_file=kconfig.load_config(config) if config else None,
            settings=tuple(kconfig.setting(text) for text in self._cell.settings),
        )

    def _keep(self, guest: Guest) -> None:
        assert self._base is not None and self._look is not None and self._builds is not None
        if guest.loss is not None:
            self._watch.note(f"nothing to look at: {guest.loss}")
            return
        tip = self._builds.kernels[self._steps[-1].label]
        with slot.take(self._base, tip.tree) as taken:
            self._look(guest, taken.source)

    def snapshot(self) -> Run:
        """What is known by now: all of it at the end, a part when a stage failed."""
        kernels = self._builds.kernels if self._builds else {}
        columns: dict[str, verdict.Column] = {}
        for step in self._steps:
            columns[step.label] = self._column(step, columns, built=step.label in kernels)
        label = self._steps[-1].label
        shown = self._shown_by_base()
        tested = {result.test for result in columns[label].results}
        last = kernels.get(label)
        patched = self._executions.get(self._sources.get(label, label))
        known = [one for column in columns.values() for one in column.results]
        return Run(
            directory=self._record.path,
            series=self._cell.stack.name,
            base=self._base.name if self._base else self._cell.tree,
            kernel_release=last.release if last else "",
            guest="+".join(self._boots.used) if self._boots else "",
            accel=self._boots.accel if self._boots else "",
            stages=tuple(self._stages.done),
            rows=verdict.table(list(columns.values()), shown, self._settled),
            splats=tuple(splat for one in known for splat in one.splats),
            stray=verdict.marked(patched.stray if patched else (), shown),
            warnings=_of_series(last, self._cell.stack) if last else (),
            unfinished=tuple(t.name for t in self._planned if t.name not in tested),
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


def _of_series(kernel: Kernel, stack: Series) -> tuple[str, ...]:
    """The compiler's warnings in the files that the series touches."""
    files = {file for patch in stack.patches for file in touched(patch)}
    return tuple(line for line in kernel.warnings if line.partition(":")[0] in files)


def _count(results: Sequence[Result]) -> str:
    counts = dict.fromkeys(Outcome, 0)
    for result in results:
        counts[result.outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
