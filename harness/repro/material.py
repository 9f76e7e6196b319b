# SPDX-License-Identifier: GPL-2.0-only
"""The kernel, programs and modules of one test of a recorded run, found again or made again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import cache, context, kernel, modules
from harness.errors import HostError, UsageError
from harness.guest import agent
from harness.guest.agent import Agent
from harness.model import Fragment, Kconfig, Kernel, Mount, Series, Test
from harness.repro.cell import Wanted
from harness.suites import Prepared
from harness.suites.guest_tests import GUEST_DIR, GuestTests, names
from harness.toolchain import Toolchain
from harness.watch import Watch

_COMMAND = "command"  # the suite that --command makes
_LOG = "repro.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What it needs at hand: the kernel, the programs, what the guest sees of modules."""

    wanted: Wanted
    kernel: Kernel
    agent: Agent
    prepared: Prepared
    mounts: tuple[Mount, ...] = ()


def gather(wanted: Wanted, root: Path, watch: Watch) -> Material:
    """All that it needs, from the cache or made again as the run made it. Programs that the cache
    has no more are those of the project `root`; the result's `notes` say what is not the run's.

    UsageError where the suite has no such test any more; BuildError, HostError.
    """
    made = agent.build()
    kept = _kept(wanted)
    prepared = _prepare(wanted, root, kept)
    own = prepared.get(_suite(wanted.test)) or Prepared(tests=(wanted.test,), mounts=())
    test = next((one for one in own.tests if one.name == wanted.test.name), None)
    if test is None:
        raise UsageError(
            f"there is no test {wanted.test.name} any more in {root / 'guest-tests'}",
            hint="check out the project as it was when the run was made",
        )
    built = _kernel(wanted, watch, modules_too=any(p.modules for p in prepared.values()))
    seen = {name: _modules(wanted, one, built) for name, one in prepared.items()}
    notes = list(_kernel_changes(wanted, built))
    if kept is None:
        mounts = [mount for one in prepared.values() for mount in one.mounts]
        mounts += [mount for one in seen.values() for mount in one]
        notes += _changes(wanted, tuple(mounts), made)
    return Material(
        wanted=replace(wanted, test=test if kept is None else wanted.test, notes=tuple(notes)),
        kernel=built,
        agent=made,
        prepared=own,
        mounts=seen.get(_suite(test), ()),
    )


def _kept(wanted: Wanted) -> Path | None:
    """The programs of the test's suite as the run had them, if they are still there."""
    known = wanted.run.mounts.get(wanted.label, {})
    programs = known.get(f"{GUEST_DIR}/{_suite(wanted.test)}")
    return programs if programs is not None and cache.hold(programs) else None


def _prepare(wanted: Wanted, root: Path, kept: Path | None) -> dict[str, Prepared]:
    """The test's suite with its programs of the run; without them all suites of the run, as only
    of all together it is known whether they have changed."""
    log = wanted.run.directory / _LOG
    if kept is not None:
        name = _suite(wanted.test)
        return {name: GuestTests(root, name).prepared(kept, log)}
    return {name: GuestTests(root, name).prepare(log) for name in _suites(wanted, root)}


def _suites(wanted: Wanted, root: Path) -> tuple[str, ...]:
    """Those that the run had, the test's own among them; what is gone of the others is no loss."""
    own, cell, there = _suite(wanted.test), wanted.cell, names(root)
    asked = cell.suites or (() if cell.commands else cell.stack.suites or there)
    return tuple(
        dict.fromkeys(name for name in (*asked, own) if name in there or name == own != _COMMAND)
    )


def _suite(test: Test) -> str:
    return test.name.partition("/")[0]


def _kernel_changes(wanted: Wanted, built: Kernel) -> Iterator[str]:
    recorded = wanted.run.kernels[wanted.label]
    if recorded.image_digest and recorded.image_digest != built.image_digest:
        yield "the kernel had to be built again, and is not byte for byte the one that ran"


def _changes(wanted: Wanted, mounts: tuple[Mount, ...], made: Agent) -> Iterator[str]:
    """What of the programs is not as the run had it, as far as it can be known."""
    recorded = wanted.run.kernels[wanted.label]
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
    if cache.hold(recorded.image) and recorded.config.is_file():
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
    return kernel.find_or_build(
        base,
        Series(name=wanted.cell.stack.name, patches=wanted.patches),
        Kconfig(config_file=config),
        toolchain=_toolchain(wanted),
        build_log=wanted.config.with_name(_LOG),
        progress=watch.build,
        modules=modules_too,
    )


def _toolchain(wanted: Wanted) -> Toolchain:
    return Toolchain(cc=wanted.cell.cc, llvm=wanted.cell.llvm)


def _modules(wanted: Wanted, prepared: Prepared, built: Kernel) -> tuple[Mount, ...]:
    """Where the guest sees the modules of a suite."""
    if prepared.modules is None:
        return ()
    known = wanted.run.mounts.get(wanted.label, {})
    places = {place: known.get(place) for place in prepared.modules.places}
    if all(host is not None and cache.hold(host) for host in places.values()):
        return tuple(Mount(guest=place, host=host) for place, host in places.items() if host)
    if wanted.run.base is None or not built.kbuild.is_dir():
        raise HostError(f"{prepared.modules.name} cannot be built for {built.release} any more")
    target = modules.Target(
        base=wanted.run.base, kernel=built, tools=_toolchain(wanted), name=wanted.cell.stack.name
    )
    made = modules.find_or_build(prepared.modules, target, wanted.run.directory / _LOG)
    return tuple(Mount(guest=place, host=made) for place in prepared.modules.places)
