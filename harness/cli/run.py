# SPDX-License-Identifier: GPL-2.0-only
"""`harness run` and `harness watch`."""

import argparse
import contextlib
import json
import os
import queue
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import cache, project
from harness.cli import boot, cell, parser, screen
from harness.errors import ExitCode, HarnessError, UsageError
from harness.report import text


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    run = parser.command(commands, "run", _run, "apply, build, boot, test, and say what came out")
    _add_options(run)
    run.add_argument("--json", action="store_true", help="one JSON document on standard output")
    run.add_argument(
        "--rerun-failed",
        nargs="?",
        const="",
        metavar="RUN",
        help="what did not pass in that run (default: the last one), with its options",
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on with the last run of this command line, which was interrupted",
    )
    run.add_argument(
        "--bisect-step",
        action="store_true",
        help="exit as `git bisect run` expects: 0 good, 1 bad, 125 cannot be tested, 128 stop",
    )
    run.add_argument(
        "--known-programs",
        metavar="DIGEST,...",
        help="note which program the kernel is; do not run it if it is one of these",
    )
    run.add_argument(
        "--of-bisection",
        metavar="NAME/STEP",
        help="whose step it is: `harness bisect` tells its own runs apart by it",
    )
    watch = parser.command(
        commands, "watch", _watch, "run again whenever a patch, a test or the checkout changes"
    )
    _add_options(watch)


def _add_options(made: argparse.ArgumentParser) -> None:
    cell.add_source(made)
    cell.add_guest(made)
    group = made.add_argument_group("what tests")
    group.add_argument(
        "--test", action="append", default=[], metavar="GLOB", help="only the tests that match"
    )
    group.add_argument(
        "--command",
        action="append",
        default=[],
        dest="run_command",
        metavar="CMD",
        help="a program of this machine as a test",
    )
    group.add_argument(
        "--timeout", type=float, metavar="S", help="for each test, in seconds, as it is"
    )
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME=V", help="for the tests' environment"
    )
    group.add_argument(
        "--isolation",
        choices=("test", "suite", "run"),
        help="with whom a test shares its guest (default: what its suite says)",
    )
    group.add_argument(
        "--jobs",
        type=int,
        dest="guests",
        metavar="N",
        help="guests at once (default: as many as there are processors for)",
    )
    group.add_argument("--repeat", type=int, metavar="N", help="run the plan N times")
    group.add_argument("--until-fail", action="store_true", help="repeat until a test fails")
    group.add_argument(
        "--fail-nth",
        nargs="?",
        const="",
        metavar="MOST|A-B",
        help="have each call of each test that can fail do so, one in each run (default: 1000)",
    )
    group.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    group.add_argument(
        "--keep", action="store_true", help="keep sources and guest for a look afterwards"
    )
    group.add_argument(
        "--dump",
        action="store_true",
        help="write the memory of a guest that hangs into the run directory and say what drgn reads"
        " there; adds --kconfig debuginfo, a larger and slower build",
    )
    group.add_argument("--output", metavar="DIR", help="parent of the run directory")
    _add_comparison(made)


def _add_comparison(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("compared with what, and how surely")
    group.add_argument("--base", action="store_true", help="run the unpatched base as well")
    group.add_argument(
        "--fresh-base",
        action="store_true",
        help="run the base again, though results for the same kernel, tests and guest are known",
    )
    group.add_argument(
        "--each-patch", action="store_true", help="run the base and the kernel of each patch"
    )
    group.add_argument(
        "--new-only", action="store_true", help="with --base: exit 1 only for what is new"
    )
    group.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="with --base: run each test N times on both, in turn, to compare its metrics",
    )
    group.add_argument(
        "--max-reruns",
        type=int,
        default=40,
        metavar="N",
        help="with --base: rounds of reruns until a failure is new, flaky, ... (default: 40)",
    )
    group.add_argument(
        "--budget", type=float, default=600.0, metavar="S", help="seconds for reruns (default: 600)"
    )


_GIT = {ExitCode.OK: 0, ExitCode.FAILED: 1}
_GIT |= dict.fromkeys((ExitCode.APPLY, ExitCode.KCONFIG, ExitCode.BUILD, ExitCode.BOOT), 125)
_GIT |= dict.fromkeys((ExitCode.GUEST_LOST, ExitCode.NOTHING_RAN), 125)


def for_git(code: int) -> int:
    """An exit status as `git bisect run` understands it. What is nobody's result ends it: 128."""
    return _GIT.get(ExitCode(code), 128)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.rerun_failed is not None:
        return _rerun(arguments)
    return execute(arguments)


def _rerun(arguments: argparse.Namespace) -> int:
    """The command line of an earlier run, with what is new in this one, for its bad tests."""
    from harness import recorded, verdict

    before = recorded.load(recorded.find(arguments.rerun_failed))
    if before.of_pytest:
        raise UsageError(f"{before.directory.name} is a run of pytest", hint="pytest --last-failed")
    bad = [row.result.test for row in before.run.rows if row.result.outcome.bad or row.first_bad]
    bad = [test for test in bad if test not in verdict.OWN_TESTS]
    bad += before.run.unfinished
    if not bad:
        raise UsageError(f"nothing failed in {before.run.directory.name}")
    argv = text.without_options(before.argv, {"--test": 1, "--json": 0, "--keep": 0})
    asked = arguments.parser.parse_args(before.argv)
    if "-" in (asked.series or "").split(","):  # standard input, which has been read
        argv = text.without_options(argv, {"--series": 1})
        argv += ["--series", str(before.run.directory / "patches")]
    argv += text.without_options(arguments.argv[1:], {"--rerun-failed": -1})
    argv += [word for test in bad for word in ("--test", test)]
    print(f"harness: {shlex.join(['harness', *argv])}", file=sys.stderr)
    made = arguments.parser.parse_args(argv)
    made.argv, made.parser = argv, arguments.parser
    parser.settle(made)
    return execute(made)


def execute(arguments: argparse.Namespace) -> int:
    """One run from its options to its report; returns the exit status."""
    from harness import earlier, host, verdict
    from harness.history import note
    from harness.pipeline import CellRun
    from harness.record import document

    as_json = getattr(arguments, "json", False)
    if as_json and arguments.keep:
        raise UsageError("--keep wants a person, --json a program: one of them")
    wanted = cell.from_arguments(arguments)
    argv = text.without_options(arguments.argv, {"--resume": 0})
    watch = screen.watch()
    known = None
    parent = Path(arguments.output) if arguments.output else cache.runs()
    if getattr(arguments, "resume", False) and not (known := earlier.of(argv, parent)):
        watch.note("no run of this command line was interrupted: this one begins anew")
    error: HarnessError | None = None
    interrupted = False
    with cell.open_record(wanted, parent) as record:
        record.cell(wanted, argv)
        look = _look if arguments.keep else None
        story = CellRun(wanted, project.root(), record, watch, look=look, earlier=known)
        try:
            story.run()
        except HarnessError as caught:
            error = caught
        except KeyboardInterrupt:
            interrupted = True
        watch.clear()
        run = story.snapshot()
        if error is not None:
            code = error.exit_code
        elif interrupted:
            code = ExitCode.INTERRUPTED
        else:
            code = verdict.exit_code(run, new_only=arguments.new_only)
        said = error.message if error else "interrupted" if interrupted else ""
        made = document(run, code, said) | {"cpu_s": round(host.used_s(), 2)}
        record.finish(made)
    note(record.path)
    if as_json:
        print(json.dumps(made, indent=1))
    elif error is None or run.rows:
        print(
            text.render(run, colour=screen.colour(sys.stdout), width=screen.width(sys.stdout)),
            end="",
        )
        if again := text.rerun_command(run, argv, width=screen.width(sys.stdout)):
            print(f"rerun:  {again}")
    elif error.log is not None:
        print(f"record: {text.short(run.directory)}", file=sys.stderr)
    if error is not None:
        screen.complain(error, run.directory)
    elif interrupted:
        print("harness: interrupted; what was known by then is recorded", file=sys.stderr)
        print(f"next:   {shlex.join(['harness', *argv, '--resume'])}", file=sys.stderr)
    return code


def _look(guest: Any, source: Path) -> None:
    """Commands for the guest, a line each, until the end of standard input."""
    print(f"\nsources: {source}\nconsole: {guest.console.path}", file=sys.stderr)
    print("the guest is kept: a command a line runs in it, Ctrl-D ends", file=sys.stderr)
    while True:
        print("guest# ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        status = boot.run_in(guest, ("/bin/sh", "-c", line), Path("/"))
        if guest.loss is not None:
            return
        if status:
            print(f"status {status}", file=sys.stderr)


def _watch(arguments: argparse.Namespace) -> int:
    """Run, wait for a change, run again, until Ctrl-C."""
    places = _watched(arguments)
    with _changes(places) as changes:
        while True:
            try:
                execute(arguments)
            except HarnessError as error:
                screen.complain(error)
            shown = ", ".join(os.path.relpath(place) for place in places)
            print(f"harness: waiting for a change in {shown}; Ctrl-C ends", file=sys.stderr)
            names = sorted({Path(path).name for _, path in _await(changes)})
            print(f"harness: {', '.join(names[:4])} changed", file=sys.stderr)


Changes = queue.SimpleQueue[Any]


@contextlib.contextmanager
def _changes(places: Sequence[Path]) -> Iterator[Changes]:
    """Sets of changed files, from now on, also while a run is under way."""
    from watchfiles import watch

    found: Changes = queue.SimpleQueue()
    stop = threading.Event()

    def look() -> None:
        for changed in watch(*places, stop_event=stop, raise_interrupt=False):
            found.put(changed)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(10)


def _await(changes: Changes) -> set[Any]:
    """All changes up to now, and at least one."""
    found = set(changes.get())
    with contextlib.suppress(queue.Empty):
        while True:
            found |= changes.get_nowait()
    return found


def _watched(arguments: argparse.Namespace) -> list[Path]:
    """What a change of which asks for another run: each directory once, none inside another."""
    from harness import series

    root = project.root()
    names = [name for name in (arguments.series or "").split(",") if name]
    places = [root / "kconfigs", *(Path(name) for name in names)]
    own = [series.load(root, name) for name in names if name in series.names(root)]
    places += [root / "patches" / one.name for one in series.with_below(root, own)]
    if arguments.suite or not arguments.run_command:
        places.append(root / "guest-tests")
    places += [Path(line.split()[0]) for line in arguments.run_command if line.strip()]
    if tree := arguments.tree or (not arguments.series and arguments.default_tree):
        places.append(Path(tree))
    found = {place.resolve() for place in places if place.exists()}
    return sorted(one for one in found if not found & set(one.parents))
