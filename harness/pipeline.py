# SPDX-License-Identifier: GPL-2.0-only
"""One cell from its series to its results: the whole story on one page."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from harness import (
    boots,
    kconfig,
    kernel,
    menuconfig,
    modules,
    places,
    plan,
    proc,
    slot,
    symbols,
    toolchain,
    tree,
    verdict,
)
from harness.boots import Boots, Needs
from harness.errors import HarnessError
from harness.execution import Execution, Target
from harness.guest import Guest, accel, agent
from harness.guest.session import Session
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
    Row,
    Run,
    Series,
    Stage,
    Test,
)
from harness.record import Record
from harness.saved import SavedGuests
from harness.series import touched
from harness.suites import Modules, Prepared, Suite
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
        self._stages: list[Stage] = []
        self._executions: dict[str, Execution] = {}
        self._planned: tuple[Test, ...] = ()
        self._base: Base | None = None
        self._kernels: dict[str, Kernel] = {}
        self._boots: Boots | None = None
        self._saved = SavedGuests(record, watch)
        self._kconfig = Kconfig()
        self._toolchain = toolchain.Toolchain(cc=cell.cc, llvm=cell.llvm)
        self._mounts: tuple[Mount, ...] = ()
        self._contents: tuple[Contents, ...] = ()
        self._disks: tuple[Disk, ...] = ()
        self._modules: tuple[Modules, ...] = ()
        self._module_mounts: dict[str, tuple[Mount, ...]] = {}
        self._module_files: dict[str, tuple[tuple[str, Path], ...]] = {}
        self._agent = agent.Agent(program=Path(), calibration_us=1)

    def run(self) -> None:
        """The story. Raises StageError (or another HarnessError) when a stage fails."""
        suites = self._prepare()
        every = [self._isolated(test) for one in suites for test in one.tests]
        self._planned = tests = plan.select(every, self._cell.tests)
        boots.check_kind(self._cell.guest_kind, boots.why_unfit((), self._cell.guest), tests)
        self._record.plan([label for label, _ in self._labels()], tests)
        self._build_all()
        self._choose_guests(tests)
        assert self._boots is not None
        for label, stack in self._labels():
            try:
                self._run_label(label, tests)
            except HarnessError:
                self._find_places(label, stack)  # of the report that may be why
                raise
            self._find_places(label, stack)

    def _run_label(self, label: str, tests: Sequence[Test]) -> None:
        assert self._boots is not None
        with self._stage(f"run {label}") as said, self._saved:
            self._watch.planned(len(tests) * self._cell.rounds.count)
            self._run_tests(label, tests)
            found = _count(self._executions[label].results)
            said.append(f"{found}, guests: {' and '.join(self._boots.used)}")

    @contextlib.contextmanager
    def guest(self) -> Iterator[Session]:
        """A guest with the series, the suites' programs mounted, and no test run in it."""
        self._prepare()
        self._build_all()
        label = self._labels()[-1][0]
        mounts = self._module_mounts.get(label, ())
        kind = self._cell.guest_kind
        self._choose_guests(())
        assert self._boots is not None
        needs = Needs(guest="any" if kind == "snapshot" else "vng")
        made = self._boots.boot(self._kernels[label], mounts, needs, again=False)
        with self._saved, made as (booted, _):
            yield booted

    def build_only(self) -> Kernel:
        """The kernel with the series, without a guest."""
        self._prepare()
        return self._build("tip", self._cell.stack)

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
        label = self._labels()[-1][0]
        assert self._boots is not None
        return self._boots.shell_command(self._kernels[label], self._module_mounts.get(label, ()))

    def _prepare(self) -> list[Prepared]:
        """What costs little and finds most mistakes: the tree, the suites, the fragments."""
        for tool in _TOOLS:
            proc.find(tool)
        with self._stage("tree") as said:
            self._base = tree.resolve(self._cell.tree, self._cell.commit)
            said.append(f"{self._base.name} ({self._base.version}, {self._base.commit[:12]})")
        for note in self._cell.notes:
            self._watch.note(note)
        with self._stage("suites") as said:
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
            self._modules = tuple(one.modules for one in prepared if one.modules)
            said.append(
                ", ".join(
                    f"{s.name} ({len(p.tests)})" for s, p in zip(suites, prepared, strict=True)
                )
            )
        return prepared

    def _build_all(self) -> None:
        labels = self._labels()
        for label, stack in labels:
            self._kernels[label] = self._build(label, stack)
            if self._modules:
                self._build_modules(label)
        with self._stage("accel") as said:
            image = self._kernels[labels[-1][0]].image
            found = accel.choose(image, self._cell.accel)
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
                unfit=boots.why_unfit(tuple(self._kernels.values()), self._cell.guest),
            )
            said.append(f"{found.name}: {found.why}")

    def _isolated(self, test: Test) -> Test:
        return replace(test, isolation=self._cell.isolation or test.isolation)

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

    def _labels(self) -> list[tuple[str, Series]]:
        """The kernels to look at: base before tip, so that the build goes forward."""
        empty = replace(self._cell.stack, name="base", patches=())
        if not self._cell.stack.patches:
            return [("base", empty)]
        base = [("base", empty)] if self._cell.with_base else []
        return [*base, ("tip", self._cell.stack)]

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

    def _build(self, label: str, stack: Series) -> Kernel:
        assert self._base is not None
        directory = self._record.kernel_dir(label)
        with self._stage(f"kernel {label}") as said:
            built = kernel.find_or_build(
                self._base,
                stack,
                self._kconfig,
                toolchain=self._toolchain,
                build_log=directory / "build.log",
                progress=self._watch.build,
                modules=bool(self._modules),
            )
            count = len(stack.patches)
            what = f"+ {count} patch{'es' * (count != 1)}" if count else "unpatched"
            said.append(f"{built.release} {what}{', from the cache' if built.cached else ''}")
        shutil.copyfile(built.config, directory / "config")
        if built.cached:
            shutil.copyfile(built.dir / "build.log", directory / "build.log")
        self._record.kernel(label, built)
        return built

    def _build_modules(self, label: str) -> None:
        """The modules of the suites, for one kernel, and where its guests see them."""
        assert self._base is not None
        base = self._base.name
        target = modules.Target(
            base=self._base,
            kernel=self._kernels[label],
            tools=self._toolchain,
            name=base if label == "base" else f"{self._cell.stack.name} on {base}",
        )
        log = self._record.kernel_dir(label) / "modules.log"
        with self._stage(f"modules {label}") as said:
            mounts, files = [], []
            for one in self._modules:
                built = modules.find_or_build(one, target, log)
                files.append((one.name, built))
                mounts += [Mount(guest=place, host=built) for place in one.places]
                said += sorted(path.name for path in built.iterdir())
            self._module_mounts[label] = tuple(mounts)
            self._module_files[label] = tuple(files)

    def _run_tests(self, label: str, tests: Sequence[Test]) -> None:
        assert self._boots is not None
        target = Target(
            label=label,
            kernel=self._kernels[label],
            mounts=self._module_mounts.get(label, ()),
        )
        execution = Execution(
            self._cell, target, self._boots, record=self._record, watch=self._watch
        )
        self._executions[label] = execution
        wanted = self._look is not None and label == self._labels()[-1][0]
        execution.run(tests, self._keep if wanted else None)

    def _find_places(self, label: str, stack: Series) -> None:
        """Where in the sources the kernel's reports are, if it made any."""
        assert self._base is not None
        execution = self._executions[label]
        if not execution.splats:
            return
        built = symbols.Built(
            base=self._base,
            kernel=self._kernels[label],
            objects=kernel.objects_key(self._kconfig, self._toolchain),
            touched=frozenset(file for patch in stack.patches for file in touched(patch)),
            modules=self._module_files.get(label, ()),
        )
        with self._stage(f"symbols {label}") as said:
            found = places.find(execution.splats, built, stack)
            execution.say_more(found.splats)
            said.append(f"{found.placed} of {found.frames} frames")

    def _keep(self, guest: Guest) -> None:
        assert self._base is not None and self._look is not None
        if guest.loss is not None:
            self._watch.note(f"nothing to look at: {guest.loss}")
            return
        label = self._labels()[-1][0]
        with slot.take(self._base, self._kernels[label].tree) as taken:
            self._look(guest, taken.source)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[list[str]]:
        """Time a stage; the block appends what came out of it."""
        self._watch.stage(name)
        started = time.monotonic()
        said: list[str] = []
        yield said
        stage = Stage(name=name, duration_s=round(time.monotonic() - started, 3))
        self._stages.append(stage)
        self._record.stage(stage)
        self._watch.staged(stage, "; ".join(said))

    def snapshot(self) -> Run:
        """What is known by now: all of it at the end, a part when a stage failed."""
        labels = [label for label, _ in self._labels()]
        results = {label: execution.results for label, execution in self._executions.items()}
        before = results.get("base", ()) if len(labels) > 1 else ()
        shown = self._shown_by_base(labels)
        tip = [verdict.mark(one, shown) for one in results.get(labels[-1], ())]
        table: tuple[Row, ...] = verdict.rows(tip, before)
        tested = {result.test for result in results.get(labels[-1], ())}
        last = self._kernels.get(labels[-1])
        patched = self._executions.get(labels[-1])
        last_stray = patched.stray if patched else ()
        known = [*before, *tip]
        return Run(
            directory=self._record.path,
            series=self._cell.stack.name,
            base=self._base.name if self._base else self._cell.tree,
            kernel_release=last.release if last else "",
            guest="+".join(self._boots.used) if self._boots else "",
            accel=self._boots.accel if self._boots else "",
            stages=tuple(self._stages),
            rows=table,
            splats=tuple(splat for one in known for splat in one.splats),
            stray=verdict.marked(last_stray, shown),
            warnings=last.warnings if last else (),
            unfinished=tuple(t.name for t in self._planned if t.name not in tested),
        )

    def _shown_by_base(self, labels: Sequence[str]) -> frozenset[verdict.Fingerprint]:
        base = self._executions.get("base")
        if base is None or len(labels) == 1:
            return frozenset()
        return verdict.fingerprints(base.results, base.stray)


def _count(results: Sequence[Result]) -> str:
    counts = dict.fromkeys(Outcome, 0)
    for result in results:
        counts[result.outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
