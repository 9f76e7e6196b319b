# SPDX-License-Identifier: GPL-2.0-only
"""What a cell needs before its first test: the tree, programs, configuration, kernels, guests."""

from collections.abc import Sequence
from pathlib import Path

from harness import boots, cache, kconfig, proc, toolchain, tree
from harness.boots import Boots, Needs
from harness.builds import Builds, Wanted
from harness.guest import accel, agent
from harness.model import Base, Cell, Contents, Disk, Kconfig, Kernel, Mount, Run, Series, Test
from harness.record import Record
from harness.saved import SavedGuests
from harness.series import touched
from harness.stages import Stages
from harness.suites import Prepared, Suite
from harness.suites.command import Commands
from harness.suites.guest_tests import GuestTests, names
from harness.watch import Watch

_TOOLS = ("git", "make", "gcc", "flex", "bison", "bc", "qemu-system-x86_64", "vng")


class Ready:
    """A cell being made ready, stage by stage: prepare(), then kernels by `builds`, then guests."""

    def __init__(self, cell: Cell, root: Path, record: Record, watch: Watch) -> None:
        self._cell = cell
        self._root = root
        self._record = record
        self._watch = watch
        self._base: Base | None = None
        self._builds: Builds | None = None
        self._boots: Boots | None = None
        self._contents: tuple[Contents, ...] = ()
        self._disks: tuple[Disk, ...] = ()
        self.mounts: tuple[Mount, ...] = ()
        self.agent = agent.Agent(program=Path(), calibration_us=1)
        self.kconfig = Kconfig()
        self.toolchain = toolchain.Toolchain(cc=cell.cc, llvm=cell.llvm)
        self.stages = Stages(record, watch)
        self.saved = SavedGuests(record, watch)

    @property
    def base(self) -> Base:
        """The tree, once prepare() has found it."""
        assert self._base is not None
        return self._base

    @property
    def builds(self) -> Builds:
        """What makes the kernels, after prepare()."""
        assert self._builds is not None
        return self._builds

    @property
    def boots(self) -> Boots:
        """What makes the guests, after find_accel()."""
        assert self._boots is not None
        return self._boots

    @property
    def kernels(self) -> dict[str, Kernel]:
        """Those that were built by now."""
        return self._builds.kernels if self._builds else {}

    def prepare(self) -> list[Prepared]:
        """What costs little and finds most mistakes: the tree, the suites, the fragments."""
        for tool in _TOOLS:
            proc.find(tool)
        with self.stages.stage("tree") as said:
            self._base = tree.resolve(self._cell.tree, self._cell.commit)
            if not cache.hold(self._base.mirror):  # removed in this instant, unused for long
                self._base = tree.resolve(self._cell.tree, self._cell.commit)
            self._record.base(self._base)
            said.append(f"{self._base.name} ({self._base.version}, {self._base.commit[:12]})")
        for note in self._cell.notes:
            self._watch.note(note)
        with self.stages.stage("suites") as said:
            suites = suites_of(self._cell, self._root)
            self.kconfig = configuration(self._cell, self._root, suites)
            self.agent = agent.build()
            log = self._record.path / "programs.log"
            prepared = [suite.prepare(log) for suite in suites]
            counts = [len(one.tests) for one in prepared]
            named = zip(suites, counts, strict=True)
            said.append(", ".join(f"{suite.name} ({count})" for suite, count in named))
        self._take(prepared)
        return prepared

    def _take(self, prepared: Sequence[Prepared]) -> None:
        self.mounts = tuple(mount for one in prepared for mount in one.mounts)
        self._contents = tuple(one.contents for one in prepared)
        disks = dict.fromkeys(test.disk for one in prepared for test in one.tests)
        self._disks = tuple(disk for disk in disks if disk)
        wanted = Wanted(
            base=self.base,
            series=self._cell.stack.name,
            kconfig=self.kconfig,
            toolchain=self.toolchain,
            modules=tuple(one.modules for one in prepared if one.modules),
        )
        self._builds = Builds(wanted, self._record, self._watch, self.stages)

    def find_accel(self, kernel: Kernel) -> None:
        """Find out what carries guests, by a kernel of them."""
        with self.stages.stage("accel") as said:
            found = accel.choose(kernel.image, self._cell.accel)
            self._boots = Boots(
                spec=self._cell.guest,
                agent=self.agent,
                accel=found.name,
                mounts=(*self.mounts, *self._cell.mounts),
                contents=self._contents,
                record=self._record,
                watch=self._watch,
                saved=self.saved,
                disks=self._disks,
                kind=self._cell.guest_kind,
                unfit=boots.why_unfit(tuple(self.kernels.values()), self._cell.guest),
            )
            said.append(f"{found.name}: {found.why}")

    def choose_guests(self, tests: Sequence[Test]) -> None:
        """Which guests the tests get, said where there is a choice."""
        made = self.boots
        boots.check_kind(made.kind, made.unfit, tests)
        kinds = {made.kind_of(Needs.of(test)) for test in tests}
        if made.kind == "auto" and "vng" in kinds:
            bound = next((test.name for test in tests if test.guest == "vng"), "")
            why = made.unfit or f"{bound} needs the host's root"
            self._watch.note(f"guests under vng: {why}")

    def run(self, label: str) -> Run:
        """What reports say of a cell, without its results; its kernel is that of a step."""
        last = self.kernels.get(label)
        return Run(
            directory=self._record.path,
            series=self._cell.stack.name,
            base=self._base.name if self._base else self._cell.tree,
            kernel_release=last.release if last else "",
            guest="+".join(self._boots.used) if self._boots else "",
            accel=self._boots.accel if self._boots else "",
            stages=tuple(self.stages.done),
            warnings=_of_series(last, self._cell.stack) if last else (),
        )


def suites_of(cell: Cell, root: Path) -> list[Suite]:
    """As asked for; else none beside --command; else the series'; else all there are."""
    chosen = cell.suites
    if not chosen and not cell.commands:
        chosen = cell.stack.suites or names(root)
    suites: list[Suite] = [GuestTests(root, name) for name in dict.fromkeys(chosen)]
    if cell.commands:
        suites.append(Commands(cell.commands, Path.cwd()))
    return suites


def configuration(cell: Cell, root: Path, suites: Sequence[Suite]) -> Kconfig:
    """What the suites need of the kernel, what the series wants, what was asked for."""
    wanted = dict.fromkeys((*cell.stack.kconfigs, *cell.kconfigs))
    return kconfig.compose(
        root,
        (
            *(fragment for suite in suites for fragment in suite.fragments),
            *(kconfig.find_fragment(root, name) for name in wanted),
        ),
        config_file=kconfig.load_config(cell.config) if cell.config else None,
        settings=tuple(kconfig.setting(text) for text in cell.settings),
    )


def _of_series(kernel: Kernel, stack: Series) -> tuple[str, ...]:
    """The compiler's warnings in the files that the series touches."""
    files = {file for patch in stack.patches for file in touched(patch)}
    return tuple(line for line in kernel.warnings if line.partition(":")[0] in files)
