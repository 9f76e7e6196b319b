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
    kconfig,
    kernel,
    menuconfig,
    modules,
    plan,
    proc,
    slot,
    toolchain,
    tree,
    verdict,
)
from harness.boots import Boots
from harness.guest import accel, agent
from harness.guest.session import Session
from harness.model import (
    Base,
    Cell,
    Command,
    CommandResult,
    Disk,
    Kconfig,
    Kernel,
    Mount,
    Outcome,
    Result,
    Row,
    Run,
    Series,
    Splat,
    Stage,
    Test,
)
from harness.record import Record
from harness.suites import Modules, Prepared, Suite
from harness.suites.command import Commands
from harness.suites.guest_tests import GuestTests, names
from harness.suites.judge import judge
from harness.watch import Watch

_TOOLS = ("git", "make", "gcc", "flex", "bison", "bc", "qemu-system-x86_64", "vng")
_DAY_S = 86400.0
_RETRIES = 2  # of a test before which the guest was lost


Look = Callable[[Session, Path], None]
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
        self._results: dict[str, list[Result]] = {}
        self._planned: tuple[Test, ...] = ()
        self._stray: dict[str, list[Splat]] = {}
        self._base: Base | None = None
        self._kernels: dict[str, Kernel] = {}
        self._boots: Boots | None = None
        self._kconfig = Kconfig()
        self._toolchain = toolchain.Toolchain(cc=cell.cc, llvm=cell.llvm)
        self._mounts: tuple[Mount, ...] = ()
        self._disks: tuple[Disk, ...] = ()
        self._modules: tuple[Modules, ...] = ()
        self._module_mounts: dict[str, tuple[Mount, ...]] = {}
        self._agent = agent.Agent(program=Path(), calibration_us=1)

    def run(self) -> None:
        """The story. Raises StageError (or another HarnessError) when a stage fails."""
        suites = self._prepare()
        every = [test for one in suites for test in one.tests]
        self._planned = tests = plan.select(every, self._cell.tests)
        self._record.plan([label for label, _ in self._labels()], tests)
        self._build_all()
        for label, _ in self._labels():
            with self._stage(f"run {label}") as said:
                self._watch.planned(len(tests) * self._cell.rounds.count)
                self._run_tests(label, tests)
                said.append(_count(self._results[label]))

    @contextlib.contextmanager
    def guest(self) -> Iterator[Session]:
        """A guest with the series, the suites' programs mounted, and no test run in it."""
        self._prepare()
        self._build_all()
        label = self._labels()[-1][0]
        with self._boot(label) as (booted, _):
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
                record=self._record,
                watch=self._watch,
                disks=self._disks,
            )
            said.append(f"{found.name}: {found.why}")

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
            mounts = []
            for one in self._modules:
                built = modules.find_or_build(one, target, log)
                mounts += [Mount(guest=place, host=built) for place in one.places]
                said += sorted(path.name for path in built.iterdir())
            self._module_mounts[label] = tuple(mounts)

    def _run_tests(self, label: str, tests: Sequence[Test]) -> None:
        """Run the plan on one kernel, in as many guests as it takes."""
        results = self._results.setdefault(label, [])
        queue = plan.Queue(tests, self._cell.rounds)
        retries = 0
        while queue.next is not None:
            with self._boot(label) as (guest, boot):
                while (test := queue.next) is not None:
                    ended = self._run_command(guest, test, label, boot)
                    if ended.loss is not None and not ended.started and retries < _RETRIES:
                        retries += 1  # an earlier test's late damage: not this one's fault
                        break
                    retries = 0
                    result = self._judge(test, ended, label, boot=boot, number=queue.round)
                    results.append(result)
                    queue.done(result)
                    if ended.loss is not None or guest.loss is not None or _wedged(result):
                        break
                    if queue.next is not None and not plan.may_share(test, queue.next):
                        break
                self._stray.setdefault(label, []).extend(guest.stray_splats())
                if queue.next is None and label == self._labels()[-1][0]:
                    self._keep(guest, label)

    def _keep(self, guest: Session, label: str) -> None:
        assert self._base is not None
        if self._look is None:
            return
        if guest.loss is not None:
            self._watch.note(f"nothing to look at: {guest.loss}")
            return
        with slot.take(self._base, self._kernels[label].tree) as taken:
            self._look(guest, taken.source)

    def _boot(self, label: str) -> AbstractContextManager[tuple[Session, int]]:
        assert self._boots is not None
        mounts = self._module_mounts.get(label, ())
        again = bool(self._results.get(label))
        return self._boots.boot(self._kernels[label], mounts, again=again)

    def _run_command(self, guest: Session, test: Test, label: str, boot: int) -> CommandResult:
        self._watch.started(test, label)
        self._record.start(test.name, kernel=label, boot=boot)
        scratch = (("SCRATCH_DEV", guest.scratch[test.disk.name]),) if test.disk else ()
        command = Command(
            argv=test.argv,
            cwd=test.cwd,
            env=(*scratch, *self._cell.env),
            timeout_s=self._timeout_s(test, guest.slowness),
            label=test.name,
            server=test.server,
        )
        return guest.run(command)

    def _timeout_s(self, test: Test, slowness: float) -> float:
        if self._cell.guest.gdb:
            return _DAY_S  # somebody may sit at a breakpoint
        if self._cell.timeout_s is not None:
            return self._cell.timeout_s  # what a person says is meant as said
        return test.timeout_s * slowness

    def _judge(
        self, test: Test, ended: CommandResult, label: str, *, boot: int, number: int
    ) -> Result:
        result = replace(judge(test, ended, kernel=label, boot=boot), round=number)
        if label == "base" and self._cell.stack.patches:
            result = verdict.expect_failure(result, self._cell.stack.fails_on_base)
        self._record.result(result)
        self._watch.ended(result)
        return result

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
        table: tuple[Row, ...] = verdict.rows(
            self._results.get(labels[-1], ()),
            self._results.get("base", ()) if len(labels) > 1 else (),
        )
        tested = {result.test for result in self._results.get(labels[-1], ())}
        last = self._kernels.get(labels[-1])
        known = [one for results in self._results.values() for one in results]
        return Run(
            directory=self._record.path,
            series=self._cell.stack.name,
            base=self._base.name if self._base else self._cell.tree,
            kernel_release=last.release if last else "",
            guest="vng",
            accel=self._boots.accel if self._boots else "",
            stages=tuple(self._stages),
            rows=table,
            splats=tuple(splat for one in known for splat in one.splats),
            stray=self._new_stray(labels),
            warnings=last.warnings if last else (),
            unfinished=tuple(t.name for t in self._planned if t.name not in tested),
        )

    def _new_stray(self, labels: Sequence[str]) -> tuple[Splat, ...]:
        """Splats outside of all tests, less those that the base shows too."""
        before = {s.fingerprint for label in labels[:-1] for s in self._stray.get(label, ())}
        return tuple(s for s in self._stray.get(labels[-1], ()) if s.fingerprint not in before)


def _wedged(result: Result) -> bool:
    """The guest answers, but its kernel reported something that it does not recover from."""
    return result.outcome is Outcome.CRASH or any(splat.fatal for splat in result.splats)


def _count(results: Sequence[Result]) -> str:
    counts = dict.fromkeys(Outcome, 0)
    for result in results:
        counts[result.outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
