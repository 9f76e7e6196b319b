# SPDX-License-Identifier: GPL-2.0-only
"""What of a recorded run one test on one kernel is made of, found again or made again."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import cache, context, kernel, modules, plan, series
from harness.errors import HostError, UsageError
from harness.guest import agent, machine
from harness.guest.agent import Agent
from harness.model import (
    Cell,
    Fragment,
    GuestSpec,
    Kconfig,
    Kernel,
    Mount,
    Outcome,
    Patch,
    Result,
    Series,
    Test,
)
from harness.recorded import Recorded
from harness.suites import Prepared
from harness.suites.guest_tests import GuestTests, names
from harness.toolchain import Toolchain
from harness.watch import Watch

_COMMAND = "command"  # the suite that --command makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One test on one kernel of a run. `result` is what it came to there, None where it did not
    run; `before` the tests that the same guest had run before it; `notes` what is not as it was."""

    run: Recorded
    test: Test
    label: str
    cell: Cell
    result: Result | None = None
    before: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches of that kernel, in order, as the run directory has them."""
        if self.label == "base" or not (self.run.directory / "patches/series").exists():
            return ()
        every = series.read(self.run.directory / "patches").patches
        return every if self.label == "tip" else every[: int(self.label)]

    @property
    def config(self) -> Path:
        """The kernel's final .config, as the run directory has it."""
        return self.run.directory / "kernels" / self.label / "config"

    @property
    def hosted(self) -> bool:
        """It needs the host's root: there can be no image of its own for its guest."""
        built_in = set(self.config.read_text().splitlines())
        unfit = any(f"{symbol}=y" not in built_in for symbol in machine.NEEDED)
        return unfit or self.test.guest == "vng"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What it needs at hand: the kernel, the programs, what the guest sees of modules."""

    wanted: Wanted
    kernel: Kernel
    agent: Agent
    prepared: Prepared
    mounts: tuple[Mount, ...] = ()


def choose(run: Recorded, pattern: str, label: str = "") -> Wanted:
    """The test that `pattern` names, on the kernel `label` (default: the one that the run is
    about). UsageError where there is none such, or several."""
    label = label or (run.steps[-1] if run.steps else "tip")
    name = run.directory.name
    if not run.tests:
        raise UsageError(f"{name} does not tell how its tests were run", hint="run it again")
    found = plan.matching(list(run.tests), [pattern])
    found = tuple(one for one in found if pattern in (one, one.partition("/")[2])) or found
    if len(found) > 1:
        raise UsageError(f"{pattern} names {len(found)} tests: {', '.join(found[:5])}")
    if label not in run.kernels:
        raise UsageError(f"{name} has no kernel {label}", hint=f"it has {', '.join(run.kernels)}")
    test = run.tests[found[0]]
    results = [one for one in run.results if (one.test, one.kernel) == (test.name, label)]
    result = next((one for one in results if one.outcome.bad), results[-1] if results else None)
    return Wanted(
        run=run,
        test=test,
        label=label,
        cell=_cell(run.cell),
        result=result,
        before=_before(run, result) if result else (),
    )


def _before(run: Recorded, result: Result) -> tuple[str, ...]:
    """The tests that ran in the guest of a result before it."""
    if not result.boot:  # of another run
        return ()
    there = [one for one in run.results if (one.boot, one.kernel) == (result.boot, result.kernel)]
    return tuple(one.test for one in there[: there.index(result)])


def _cell(told: Mapping[str, Any]) -> Cell:
    """The part of a cell that guests and tests depend on."""
    guest = dict(told["guest"])
    lists = {key: tuple(guest[key]) for key in ("cmdline", "qemu")}
    return Cell(
        stack=Series(name=told["stack"]["name"], suites=tuple(told["stack"].get("suites", ()))),
        tree=told["tree"],
        cc=told["cc"],
        llvm=told["llvm"],
        suites=tuple(told["suites"]),
        commands=tuple(told["commands"]),
        timeout_s=told["timeout_s"],
        env=tuple((name, value) for name, value in told["env"]),
        tests=tuple(told["tests"]),
        guest=GuestSpec(**{**guest, **lists, "gdb": False}),
    )


def gather(wanted: Wanted, root: Path, watch: Watch) -> Material:
    """All that it needs, from the cache or made again as the run made it; the tests are those of
    the project `root`. `notes` of the result say what is not what the run had.

    UsageError where the suite has no such test any more; BuildError, HostError.
    """
    with tempfile.TemporaryDirectory(prefix="harness-repro-") as scratch:
        log = Path(scratch) / "build.log"
        made = agent.build()
        suites = {name: GuestTests(root, name) for name in _suites(wanted, root)}
        prepared = {name: suite.prepare(log) for name, suite in suites.items()}
        own = prepared.get(_suite(wanted.test)) or Prepared(tests=(wanted.test,), mounts=())
        test = next((one for one in own.tests if one.name == wanted.test.name), None)
        if test is None:
            raise UsageError(
                f"there is no test {wanted.test.name} any more in {root / 'guest-tests'}",
                hint="check out the project as it was when the run was made",
            )
        built = _kernel(wanted, watch, modules_too=any(p.modules for p in prepared.values()))
        seen = {name: _modules(wanted, one, built, log) for name, one in prepared.items()}
    mounts = [mount for one in prepared.values() for mount in one.mounts]
    mounts += [mount for one in seen.values() for mount in one]
    test = replace(test, isolation=wanted.test.isolation)
    notes = tuple(_changes(wanted, built, tuple(mounts), made))
    return Material(
        wanted=replace(wanted, test=test, notes=notes),
        kernel=built,
        agent=made,
        prepared=own,
        mounts=seen.get(_suite(test), ()),
    )


def _suites(wanted: Wanted, root: Path) -> tuple[str, ...]:
    """Those that the run had, the test's own among them; what is gone of the others is no loss."""
    own, cell, there = _suite(wanted.test), wanted.cell, names(root)
    asked = cell.suites or (() if cell.commands else cell.stack.suites or there)
    return tuple(
        dict.fromkeys(name for name in (*asked, own) if name in there or name == own != _COMMAND)
    )


def _suite(test: Test) -> str:
    return test.name.partition("/")[0]


def _changes(
    wanted: Wanted, built: Kernel, mounts: tuple[Mount, ...], made: Agent
) -> Iterator[str]:
    """What is not as the run had it, as far as it can be known."""
    recorded = wanted.run.kernels[wanted.label]
    if recorded.image_digest and recorded.image_digest != built.image_digest:
        yield "the kernel had to be built again, and is not byte for byte the one that ran"
    known = wanted.run.contexts.get(wanted.label, {}).get(wanted.test.name, "")
    same = {
        context.of(
            wanted.test,
            recorded,
            mounts,
            cell=wanted.cell,
            agent=made.program,
            accel=wanted.run.run.accel,
            kind=kind,
        )
        for kind in ("snapshot", "vng")
    }
    if wanted.cell.commands:
        yield "the program is the one that is at its place today"
    elif not known:
        yield "the run does not tell what it depended on: the programs may be others than its own"
    elif known not in same:
        yield (
            "the guest tests, the modules, the agent or QEMU are not those of the run:"
            " the programs here are today's"
        )


def _kernel(wanted: Wanted, watch: Watch, *, modules_too: bool) -> Kernel:
    """The kernel of the run, built again where the cache has it no more."""
    recorded = wanted.run.kernels[wanted.label]
    if recorded.image.is_file() and recorded.config.is_file():
        cache.touch(recorded.dir)
        return recorded
    base = wanted.run.base
    if base is None or not base.mirror.is_dir() or not wanted.config.is_file():
        raise HostError(
            f"the kernel {recorded.release} of {wanted.run.directory.name} is not in the cache"
            " any more, nor is what it was built of",
            hint=f"run it again: harness {' '.join(wanted.run.argv)}",
        )
    watch.note(f"the kernel {recorded.release} is not in the cache any more: it is built again")
    # From what make was left with, not the fragments that led there: they may be others today.
    config = Fragment(name=f"{wanted.label}'s config", text=wanted.config.read_text())
    watch.stage("kernel")
    with tempfile.TemporaryDirectory(prefix="harness-repro-") as scratch:
        return kernel.find_or_build(
            base,
            Series(name=wanted.cell.stack.name, patches=wanted.patches),
            Kconfig(config_file=config),
            toolchain=_toolchain(wanted),
            build_log=Path(scratch) / "build.log",
            progress=watch.build,
            modules=modules_too,
        )


def _toolchain(wanted: Wanted) -> Toolchain:
    return Toolchain(cc=wanted.cell.cc, llvm=wanted.cell.llvm)


def _modules(wanted: Wanted, prepared: Prepared, built: Kernel, log: Path) -> tuple[Mount, ...]:
    """Where the guest sees the modules of a suite."""
    if prepared.modules is None:
        return ()
    if wanted.run.base is None or not built.kbuild.is_dir():
        raise HostError(f"{prepared.modules.name} cannot be built for {built.release} any more")
    target = modules.Target(
        base=wanted.run.base, kernel=built, tools=_toolchain(wanted), name=wanted.cell.stack.name
    )
    made = modules.find_or_build(prepared.modules, target, log)
    return tuple(Mount(guest=place, host=made) for place in prepared.modules.places)


def outcome(result: Result | None) -> str:
    """What it came to, in a few words."""
    if result is None:
        return "did not run"
    said = "" if result.outcome is Outcome.PASS else result.detail
    return f"{result.outcome}: {said}" if said else str(result.outcome)
