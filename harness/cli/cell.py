# SPDX-License-Identifier: GPL-2.0-only
"""The options that describe a cell: series, tree, configuration, guest, tests."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import parser
from harness.errors import UsageError
from harness.model import Cell, FailNth, GuestSpec, Mount, Reruns, Rounds, Series

_TIMEOUT_MAX_S = 7 * 86400.0
_FAIL_NTH_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A series and what it goes on; `notes` say what was chosen or left out."""

    stack: Series
    tree: str
    commit: str | None
    notes: tuple[str, ...]


def add_source(made: argparse.ArgumentParser) -> None:
    """What kernel: series, tree, configuration, compiler."""
    group = made.add_argument_group("what kernel")
    named = group.add_argument(
        "--series",
        metavar="S[,S]",
        help="a name of patches/, a quilt directory, an mbox, - for stdin; several are stacked",
    )
    parser.completes(named, _series_names)
    group.add_argument(
        "--version",
        type=int,
        metavar="N",
        dest="patch_version",
        help="which version of a thread's series (default: the newest)",
    )
    group.add_argument(
        "--pick", metavar="N,A-B", help="only these patches of the series, by number; 0 for none"
    )
    group.add_argument("--range", metavar="A..B", help="these commits of --tree as the series")
    tree = group.add_argument(
        "--tree",
        metavar="NAME|PATH",
        help="kernel tree; a checkout alone is tested with its uncommitted changes",
    )
    parser.completes(tree, _tree_names)
    made.set_defaults(default_tree=None)
    group.add_argument("--commit", metavar="REV", help="this commit of --tree, not its newest")
    fragment = group.add_argument(
        "--kconfig", action="append", metavar="NAME|FILE", help="a fragment more"
    )
    parser.completes(fragment, _fragment_names)
    group.add_argument("--config", type=Path, metavar="FILE", help="start from a whole .config")
    group.add_argument(
        "--set", action="append", default=[], metavar="SYMBOL=V", help="one symbol, over all else"
    )
    group.add_argument("--cc", metavar="GCC", help="compiler (default: gcc)")
    group.add_argument("--llvm", action="store_true", default=None, help="LLVM=1: clang, ld.lld")
    group.add_argument("--arch", help="only this machine's for now")


def add_guest(made: argparse.ArgumentParser) -> None:
    """What guest: its shape and command line."""
    group = made.add_argument_group("what guest")
    group.add_argument("--cpus", type=int, help="processors (default: 1)")
    group.add_argument("--memory", type=int, metavar="MIB", help="memory (default: 512)")
    group.add_argument(
        "--append", action="append", default=[], metavar="WORD", help="kernel command line"
    )
    group.add_argument("--accel", choices=("kvm", "tcg"), help="default: find out what works")
    group.add_argument(
        "--guest",
        choices=("auto", "vng", "snapshot"),
        help="boot with the host's root, or restore a saved one (default: what the tests allow)",
    )
    group.add_argument(
        "--gdb", action="store_true", help="QEMU's gdb stub; says what to type; no timeouts"
    )
    group.add_argument(
        "--qemu",
        action="append",
        default=[],
        metavar="OPTS",
        help="more options for QEMU, as --qemu='-icount shift=0'",
    )
    add_suites(group)


def add_suites(made: Any) -> None:
    """Which suites, whose needs are in the kernel."""
    suite = made.add_argument(
        "--suite", action="append", default=[], metavar="NAME", help="area of guest-tests/"
    )
    parser.completes(suite, _suite_names)


def from_arguments(arguments: argparse.Namespace, mounts: tuple[Mount, ...] = ()) -> Cell:
    """The cell that the options describe. UsageError where they contradict each other."""
    from harness import toolchain

    if arguments.arch is not None:
        toolchain.check_arch(arguments.arch)
    source = _source(arguments)
    return Cell(
        stack=source.stack,
        tree=source.tree,
        commit=source.commit,
        notes=source.notes,
        kconfigs=_kconfigs(arguments),
        config=arguments.config,
        settings=tuple(arguments.set),
        cc=arguments.cc or "",
        llvm=bool(arguments.llvm),
        suites=tuple(getattr(arguments, "suite", ())),
        commands=tuple(getattr(arguments, "run_command", ())),
        timeout_s=_timeout(getattr(arguments, "timeout", None)),
        env=tuple(_variable(text) for text in getattr(arguments, "env", ())),
        tests=tuple(getattr(arguments, "test", ())),
        guest=_guest(arguments),
        mounts=mounts,
        with_base=getattr(arguments, "base", False) or getattr(arguments, "each_patch", False),
        fresh_base=getattr(arguments, "fresh_base", False),
        each_patch=getattr(arguments, "each_patch", False),
        accel=getattr(arguments, "accel", None),
        guest_kind=getattr(arguments, "guest", None) or "auto",
        isolation=getattr(arguments, "isolation", None),
        parallel=_parallel(arguments),
        rounds=_rounds(arguments),
        reruns=_reruns(arguments),
        samples=_samples(arguments),
        known_programs=_programs(arguments),
        fail_nth=_fail_nth(arguments),
    )


def _kconfigs(arguments: argparse.Namespace) -> tuple[str, ...]:
    """As asked for, and what faults and the reading of a dump need."""
    named = tuple(arguments.kconfig or ())
    needed = [] if _fail_nth(arguments) is None else ["fault"]
    if getattr(arguments, "dump", False):
        from harness import crash

        crash.check()
        needed.append("debuginfo")
    return (*named, *(name for name in needed if name not in named))


def _fail_nth(arguments: argparse.Namespace) -> FailNth | None:
    """MOST, or A-B of those that a run has shown."""
    text: str | None = getattr(arguments, "fail_nth", None)
    if text is None:
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)", text or str(FailNth().most))
    first, most = (int(found[1] or "1"), int(found[2])) if found else (1, 0)
    if not 1 <= first <= most <= _FAIL_NTH_MAX:
        raise UsageError(f"--fail-nth {text}: expected MOST or A-B, {_FAIL_NTH_MAX} at most")
    others = ("base", "each_patch", "repeat", "until_fail", "keep", "gdb")
    if other := next((name for name in others if getattr(arguments, name, None)), ""):
        raise UsageError(
            f"--fail-nth and --{other.replace('_', '-')} exclude each other",
            hint="the base has a run of its own: --pick 0" if other == "base" else "",
        )
    return FailNth(first=first, most=most)


def _programs(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    text: str | None = getattr(arguments, "known_programs", None)
    return None if text is None else tuple(text.split(","))


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"--env {text}: expected NAME=VALUE")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError(f"--env {text!r} is not UTF-8")
    return name, value


def _timeout(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds <= _TIMEOUT_MAX_S:
        raise UsageError(f"--timeout {seconds}: expected seconds, {_TIMEOUT_MAX_S:.0f} at most")
    return seconds


def _guest(arguments: argparse.Namespace) -> GuestSpec:
    if not hasattr(arguments, "cpus"):
        return GuestSpec()  # of a command without a guest
    if arguments.cpus < 1 or arguments.memory < 64:
        raise UsageError("a guest has at least one processor and 64 MiB")
    return GuestSpec(
        cpus=arguments.cpus,
        memory_mib=arguments.memory,
        cmdline=tuple(arguments.append),
        gdb=arguments.gdb,
        qemu=tuple(arguments.qemu),
        dump=getattr(arguments, "dump", False),
    )


def _parallel(arguments: argparse.Namespace) -> int | None:
    count: int | None = getattr(arguments, "guests", None)
    if count is not None and count < 1:
        raise UsageError("--jobs wants a number above 0")
    return count


def _samples(arguments: argparse.Namespace) -> int | None:
    count: int | None = getattr(arguments, "samples", None)
    if count is not None and count < 1:
        raise UsageError("--samples wants a number above 0")
    if count is not None and not (arguments.base or arguments.each_patch):
        raise UsageError("--samples compares: it wants --base")
    return count


def _reruns(arguments: argparse.Namespace) -> Reruns:
    most, budget_s = getattr(arguments, "max_reruns", 0), getattr(arguments, "budget", 0.0)
    if most < 0 or budget_s < 0:
        raise UsageError("--max-reruns and --budget are 0 or more")
    return Reruns(most=most, budget_s=budget_s)


def _rounds(arguments: argparse.Namespace) -> Rounds:
    count = getattr(arguments, "repeat", None)
    until_fail = getattr(arguments, "until_fail", False)
    if count is not None and count < 1:
        raise UsageError("--repeat wants a number above 0")
    compared = getattr(arguments, "base", False) or getattr(arguments, "each_patch", False)
    if until_fail and compared and count is None:
        raise UsageError(
            "--until-fail with --base has no end on a base that never fails",
            hint="bound it with --repeat N",
        )
    return Rounds(
        count=count if count is not None else 0 if until_fail else 1,
        until_fail=until_fail,
        fail_fast=getattr(arguments, "fail_fast", False),
    )


def _source(arguments: argparse.Namespace) -> Source:
    """The series, the tree and its commit that the options name."""
    from harness import intake, lineage, series, tree

    place = arguments.tree
    if arguments.commit and (place is None or arguments.range):
        raise UsageError("--commit wants --tree, the tree that has it, and no --range")
    if place is None and (arguments.range or not arguments.series):
        place = arguments.default_tree
    parts = []
    commit = None
    if arguments.range:
        if place is None:
            raise UsageError("--range wants --tree: the checkout whose commits these are")
        made, commit = intake.from_range(place, arguments.range)
        parts.append(made)
    base = tree.base_name(place) if place else None
    for spec in (arguments.series or "").split(","):
        if spec:
            version = arguments.patch_version
            parts.append(intake.load(project.root(), spec, tree=base, version=version))
    if arguments.pick is not None:
        parts = series.pick(parts, arguments.pick)
    parts = series.with_below(project.root(), parts, base)
    notes = [part.note for part in parts if part.note]
    if place is not None:
        if arguments.commit:
            commit = lineage.commit(place, arguments.commit)
        elif not parts:
            changes = intake.from_checkout(place) if intake.has_changes(place) else None
            if changes is not None:
                parts.append(changes)
                commit = changes.base_commit
        elif intake.has_changes(place):
            notes.append(f"uncommitted changes of {place} are left out: there is a series")
    stack = series.stack(parts)
    if place is None:
        choice = intake.choose_base(stack, arguments.default_tree)
        place, commit = choice.tree, choice.commit
        if stack.patches and not stack.bases:
            notes.append(choice.why)
    return Source(stack=stack, tree=place, commit=commit, notes=tuple(notes))


def open_record(cell: Cell, parent: Path) -> Any:
    """A new run directory for the cell below `parent`."""
    from harness.record import Record

    kconfig = "+".join(("base", *(Path(name).stem for name in cell.kconfigs)))
    return Record(
        parent,
        series=cell.stack.name,
        base=Path(cell.tree).resolve().name,
        kconfig=kconfig,
    )


def _series_names(**_: Any) -> list[str]:
    from harness import series

    return list(series.names(project.root()))


def _tree_names(**_: Any) -> list[str]:
    from harness import tree

    return [*tree.added(), *tree.KNOWN]


def _fragment_names(**_: Any) -> list[str]:
    return [path.stem for path in (project.root() / "kconfigs").glob("*.config")]


def _suite_names(**_: Any) -> list[str]:
    from harness.suites import guest_tests

    return list(guest_tests.names(project.root()))
