# SPDX-License-Identifier: GPL-2.0-only
"""`harness bisect`: which commit, patch or option broke a test."""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import project
from harness.cli import bisections, cell, parser, screen
from harness.errors import ExitCode, NothingRanError, UsageError
from harness.model import Base, Candidate, Cell, Question, Space
from harness.report.text import without_options

if TYPE_CHECKING:
    from harness.bisect.warm import Kernels

# The options that are of the bisection, not of its runs; how many words each takes.
_OWN = {
    "--good": 1,
    "--bad": 1,
    "--patches": 0,
    "--subset": 0,
    "--kconfig-bisect": 2,
    "--confidence": 1,
    "--any-failure": 0,
    "--most-runs": 1,
    "--json": 0,
    "--test": 1,
}


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(
        commands, "bisect", _bisect, "find the commit, patch or option that broke a test"
    )
    bisections.add(made)
    group = made.add_argument_group("what is searched")
    group.add_argument("--good", metavar="REV", help="a commit of --tree that is good")
    group.add_argument("--bad", metavar="REV", help="one that is not (default: the newest)")
    group.add_argument("--patches", action="store_true", help="the patches of --series")
    group.add_argument(
        "--subset", action="store_true", help="the fewest patches of --series that fail"
    )
    group.add_argument(
        "--kconfig-bisect",
        nargs=2,
        type=Path,
        metavar=("GOOD", "BAD"),
        help="the options that differ between two .configs",
    )
    cell.add_source(made)
    cell.add_guest(made)
    group = made.add_argument_group("what fails")
    group.add_argument("--test", metavar="NAME", help="one test of the suites")
    group.add_argument(
        "--command", dest="run_command", metavar="CMD", help="a program of this machine as the test"
    )
    group.add_argument("--timeout", type=float, metavar="S", help="for the test, in seconds")
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME=V", help="for the test's environment"
    )
    group.add_argument(
        "--any-failure", action="store_true", help="not only the one that the bad end shows"
    )
    group = made.add_argument_group("how")
    group.add_argument("--confidence", type=float, default=0.99, metavar="P", help="default: 0.99")
    group.add_argument("--jobs", type=int, metavar="N", help="kernels at once (default: 1)")
    group.add_argument(
        "--most-runs",
        type=int,
        default=100,
        metavar="N",
        help="of a bad end that does not fail, before it is believed (default: 100)",
    )
    group.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="BISECTION",
        help="go on with one that was interrupted (default: the last)",
    )
    made.add_argument("--json", action="store_true", help="one JSON document")


def _bisect(arguments: argparse.Namespace) -> int:
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError("--confidence is a probability from 0.5 to below 1")
    if arguments.most_runs < 1 or (arguments.jobs is not None and arguments.jobs < 1):
        raise UsageError("--jobs and --most-runs want a number above 0")
    if arguments.resume is not None:
        return _resume(arguments)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    """A new bisection."""
    from harness.bisect import options, record

    question, kept = _question(arguments)
    with record.BisectRecord.new(question.space) as made:
        if kept is not None:
            options.keep(made.path, *kept)
        made.ask(question)
        return _go_on(arguments, made)


_CHOSEN = {"--good": ("commit",), "--kconfig-bisect": ("config",)}
_Values = Mapping[str, str]


def _question(arguments: argparse.Namespace) -> tuple[Question, tuple[_Values, _Values] | None]:
    """What is searched, and the two .configs where it is options."""
    wanted = ("good", "patches", "subset", "kconfig_bisect")
    given = [f"--{name.replace('_', '-')}" for name in wanted if getattr(arguments, name)]
    if arguments.bad and not arguments.good:
        raise UsageError("--bad wants --good, a commit of --tree that is good")
    if len(given) != 1:
        raise UsageError(
            f"{' and '.join(given)}: one of them" if given else "what is searched?",
            hint="--tree REPO --good REV [--bad REV], --patches or --subset with --series S, "
            "or --kconfig-bisect GOOD BAD",
        )
    for name in ("range", *_CHOSEN.get(given[0], ("pick",))):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name} is what a bisection with {given[0]} chooses itself")
    if "-" in (arguments.series or "").split(","):
        raise UsageError("--series - is read once, and every step wants it", hint="name a file")
    if arguments.kconfig_bisect:
        return _options(arguments)
    return (_commits if arguments.good else _patches)(arguments), None


def _options(arguments: argparse.Namespace) -> tuple[Question, tuple[_Values, _Values]]:
    from harness import kconfig
    from harness.bisect import options

    good, bad = (kconfig.parse(kconfig.load_config(one).text) for one in arguments.kconfig_bisect)
    place = " and ".join(str(one) for one in arguments.kconfig_bisect)
    end = Candidate(name=str(arguments.kconfig_bisect[0]), title="", value="")
    about = (Space.OPTIONS, "--config", f"the difference of {place}")
    arguments.config = arguments.kconfig_bisect[1]
    return _asked(arguments, about, end, options.between(good, bad)), (good, bad)


def _commits(arguments: argparse.Namespace) -> Question:
    from harness import lineage, tree
    from harness.bisect import commits

    if arguments.tree is None:
        raise UsageError("--good wants --tree: a git checkout")
    tree.checkout(arguments.tree)  # an import has no history, a URL no files
    span = lineage.span(arguments.tree, arguments.good, arguments.bad)
    good, found = commits.between(span)
    place = f"{good.name[:12]}..{found[-1].name[:12]} of {span.base.name}"
    arguments.commit = span.bad
    return _asked(arguments, (Space.COMMITS, "--commit", place), good, found, base=span.base)


def _patches(arguments: argparse.Namespace) -> Question:
    from harness import intake, series, tree
    from harness.bisect import patches

    if not arguments.series:
        raise UsageError("whose patches? --series S")
    base = tree.base_name(arguments.tree) if arguments.tree else None
    root, names = project.root(), arguments.series.split(",")
    version = arguments.patch_version
    parts = [intake.load(root, name, tree=base, version=version) for name in names if name]
    good, found = patches.of(series.stack(parts))
    space = Space.SUBSET if arguments.subset else Space.PATCHES
    return _asked(arguments, (space, "--pick", arguments.series), good, found)


def _asked(
    arguments: argparse.Namespace,
    about: tuple[Space, str, str],
    good: Candidate,
    found: Sequence[Candidate],
    *,
    base: Base | None = None,
) -> Question:
    """The question, once its test has been found; `base` is the tree whose commits they are."""
    space, option, place = about
    kernels = _kernels(arguments)
    test = _test(kernels, arguments.test)
    argv = without_options(arguments.argv[1:], {**_OWN, "--jobs": 1, "--color": 1})
    if arguments.test:
        argv += ["--test", test]
    if base is None:
        argv = _pinned(arguments, kernels.cell, argv)
    return Question(
        space=space,
        place=place,
        test=test,
        argv=("run", *argv),
        option=option,
        good=good,
        candidates=tuple(found),
        cwd=str(Path.cwd()),
        confidence=arguments.confidence,
        any_failure=arguments.any_failure,
        jobs=arguments.jobs or 1,
        most_runs=arguments.most_runs,
        built=kernels.built(base, found) if base else (),
    )


def _pinned(arguments: argparse.Namespace, cell: Cell, argv: list[str]) -> list[str]:
    """The command line for the tree as it is now: a branch may move on while steps are taken."""
    from harness import intake, tree

    if not arguments.series and not arguments.commit and intake.has_changes(cell.tree):
        raise UsageError(
            f"{cell.tree} has uncommitted changes, which may change while steps are taken",
            hint="commit them, or leave them out with --commit HEAD",
        )
    base = tree.resolve(cell.tree, cell.commit)
    if base.imported:
        return argv
    rest = without_options(argv, {"--tree": 1, "--commit": 1})
    return [*rest, "--tree", cell.tree, "--commit", base.commit]


def _kernels(arguments: argparse.Namespace) -> "Kernels":
    """What is known of the kernels before anything is built; compiles the suites' programs."""
    from harness import ready
    from harness.bisect.warm import Kernels

    if bool(arguments.test) == bool(arguments.run_command):
        raise UsageError("which failure? --test NAME or --command CMD")
    commands = [arguments.run_command] if arguments.run_command else []
    made = argparse.Namespace(**{**vars(arguments), "run_command": commands, "test": []})
    wanted = cell.from_arguments(made)
    with tempfile.TemporaryDirectory(prefix="harness-bisect-") as scratch:
        suites = ready.suites_of(wanted, project.root())
        prepared = [one.prepare(Path(scratch) / "programs.log") for one in suites]
    return Kernels(cell=wanted, prepared=prepared, root=project.root())


def _test(kernels: "Kernels", wanted: str | None) -> str:
    """The name of the test. UsageError where there is none, or more than one."""
    from harness import plan

    every = [test for one in kernels.prepared for test in one.tests]
    try:
        names = [one.name for one in plan.select(every, [wanted] if wanted else [])]
    except NothingRanError as error:
        raise UsageError(error.message, hint=error.hint) from None
    if len(names) > 1:
        raise UsageError(f"--test {wanted} is {len(names)} tests: {', '.join(names[:4])}")
    return names[0]


def _resume(arguments: argparse.Namespace) -> int:
    from harness.bisect import record
    from harness.bisect.run import resumable

    told = resumable(record.load(record.find(arguments.resume)))
    if told.question.cwd != str(Path.cwd()):
        raise UsageError(f"{told.directory.name} began in {told.question.cwd}: go on from there")
    own = {"--resume": -1, "--jobs": 1, "--json": 0, "--color": 1}
    if others := without_options(arguments.argv[1:], own):
        raise UsageError(
            f"{shlex.join(others)}: a bisection goes on as it began, but for --jobs and --json"
        )
    with record.BisectRecord(told.directory) as made:
        made.resume()
        return _go_on(arguments, made)


def _go_on(arguments: argparse.Namespace, made: Any) -> int:
    """Take what steps are left; the exit status."""
    from harness.bisect import record, view
    from harness.bisect.page import Page
    from harness.bisect.run import BisectRun
    from harness.executors.local import Local

    told = record.load(made.path)
    if arguments.jobs:
        told = replace(told, question=replace(told.question, jobs=arguments.jobs))
    live = screen.width(sys.stderr) if sys.stderr.isatty() else 0
    shown = view.Shown(sys.stderr, width=live, colour=screen.colour(sys.stderr))
    print(f"harness: {made.path}", file=sys.stderr)
    code, notice = ExitCode.INTERRUPTED, "This bisection ended with an error."
    page = Page(made.path)
    try:
        with Local() as executor:
            story = BisectRun(made, executor, [shown, page], told)
            shown.line(view.plan(story.search))
            code, notice = story.run(), ""
    except KeyboardInterrupt:
        again = f"harness bisect --resume {made.path.name[-4:]}"
        notice = f"This bisection was interrupted; next: {again}"
        print(f"harness: interrupted; next: {again}", file=sys.stderr)
    finally:
        bisections.keep(made.path, found=code == ExitCode.OK, notice=notice)
    bisections.tell(record.load(made.path), code, as_json=arguments.json)
    return code
