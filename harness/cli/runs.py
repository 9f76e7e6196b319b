# SPDX-License-Identifier: GPL-2.0-only
"""`harness list`, `harness show` and `harness report`: runs of the past."""

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli import parser, screen
from harness.errors import ExitCode, UsageError
from harness.model import SCHEMA
from harness.report import FORMATS, Options, text


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    listing = parser.command(commands, "list", _list, "the latest runs and what came out")
    listing.add_argument("-n", type=int, default=20, metavar="N", help="how many (default: 20)")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = parser.command(commands, "show", _show, "the report of a run, the last one by default")
    run = show.add_argument("run", nargs="?", default="", metavar="RUN", help="name, end or path")
    parser.completes(run, names)
    show.add_argument("--test", metavar="NAME", help="one test with its whole output")
    show.add_argument("--json", action="store_true", help="the run's JSON document")
    report = parser.command(commands, "report", _report, "runs of the past, for people or programs")
    runs = report.add_argument(
        "run", nargs="*", metavar="RUN", help="name, end or path (default: the last)"
    )
    parser.completes(runs, names)
    formats = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    report.add_argument("--format", choices=tuple(FORMATS), default="text", help=formats)
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="in place of the screen")
    report.add_argument(
        "--origin", default="harness", metavar="NAME", help="kcidb: the CI system that reports"
    )
    report.add_argument(
        "--patch",
        metavar="FILE",
        help="b4: a mail with one patch (- reads it), of which alone is reported",
    )
    kept = parser.group(commands, "runs", "what is kept of runs of the past")
    collect = parser.command(kept, "gc", _collect, "remove run directories by age and size")
    collect.add_argument(
        "--older", metavar="AGE", help="all that began before that, as 30d or 12h (30: days)"
    )
    collect.add_argument(
        "--size", metavar="SIZE", help="the oldest, until the rest is no larger, as 2G"
    )
    collect.add_argument("--keep", type=int, default=1, metavar="N", help="at least the newest N")
    collect.add_argument("--dry-run", action="store_true", help="only say what would go")


def names(**_: Any) -> list[str]:
    """The runs of this user, for shells to complete."""
    from harness import recorded

    return [path.name for path in recorded.recent()]


def _collect(arguments: argparse.Namespace) -> int:
    from harness import cache, retention

    if arguments.older is None and arguments.size is None:
        raise UsageError("runs gc wants --older AGE, --size SIZE, or both")
    if arguments.keep < 0:
        raise UsageError("--keep is 0 or more")
    wish = retention.Wish(
        older_s=None if arguments.older is None else cache.age_s(arguments.older, "--older"),
        limit_bytes=None if arguments.size is None else cache.size_of(arguments.size, "--size"),
        keep=arguments.keep,
    )
    gone = retention.collect(wish, dry_run=arguments.dry_run)
    for entry in gone if arguments.dry_run else ():
        print(f"{entry.path}  {entry.size_bytes / (1 << 20):.1f} MiB")
    size = sum(entry.size_bytes for entry in gone) / (1 << 20)
    said = "would remove" if arguments.dry_run else "removed"
    print(f"{said} {len(gone)} run directories, {size:.0f} MiB; their results stay in the history")
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    from harness import recorded

    for path in recorded.recent()[: arguments.n]:
        one = recorded.load(path)
        counts = Counter(str(row.result.outcome) for row in one.run.rows)
        said = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no result"
        if arguments.json:
            about = {"schema": SCHEMA, "run": path.name, "exit": one.exit, "outcomes": counts}
            print(json.dumps(about))
            continue
        end = "killed" if one.exit is None else f"exit {one.exit}"
        when = one.started[:16].replace("T", " ")
        print(f"{path.name[-4:]}  {when}  {one.run.series[:22]:<22} {end:<8} {said}")
    return ExitCode.OK


def _report(arguments: argparse.Namespace) -> int:
    from harness import recorded
    from harness.report import make

    options = screen.report_options() if arguments.output is None else Options()
    options = replace(options, origin=arguments.origin, patch=_mail(arguments.patch))
    names = arguments.run or _found(options, nothing_is_said=arguments.format == "b4")
    found = dict.fromkeys(recorded.find(name) for name in names)
    runs = [recorded.load(path) for path in found]
    made = make(arguments.format, runs, options)
    put(made, arguments.output)
    return ExitCode.OK


def put(made: bytes, output: Path | None) -> None:
    """A report into a file, or onto the screen."""
    if output is not None:
        _write(output, made)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(made)


def _write(output: Path, made: bytes) -> None:
    """Whole or not at all where it is a file; through what is a device, a pipe or a link."""
    from harness import cache

    try:
        if output.is_symlink() or (output.exists() and not output.is_file()):
            output.write_bytes(made)
            return
        cache.write_whole(output, made)
        mask = os.umask(0)
        os.umask(mask)
        output.chmod(0o666 & ~mask)
    except OSError as error:
        raise UsageError(f"-o {output}: {error.strerror}") from None


def _found(options: Options, *, nothing_is_said: bool) -> list[str]:
    """The runs that are meant where none is named: those with a patch, else the last one."""
    if options.patch is None:
        return [""]
    from harness.report import b4

    found = [str(path) for path in b4.directories_with(options.patch)]
    if not found and not nothing_is_said:
        raise UsageError("no run has this patch")
    return found


def _mail(name: str | None) -> bytes | None:
    if name is None:
        return None
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"--patch {name}: {error.strerror}") from None


def _show(arguments: argparse.Namespace) -> int:
    from harness import record, recorded

    one = recorded.load(recorded.find(arguments.run))
    run = one.run
    if arguments.json:
        code = ExitCode.INTERRUPTED if one.exit is None else one.exit
        print(json.dumps(record.document(run, code), indent=1))
        return ExitCode.OK
    if arguments.test:
        return _show_test(run, arguments.test)
    print(text.report([one], screen.report_options()), end="")
    return ExitCode.OK


def _show_test(run: Any, name: str) -> int:
    from harness import plan

    tests = {row.result.test: row for row in run.rows}
    for test in plan.matching(list(tests), [name]):
        row = tests[test]
        print(f"{test}: {row.result.outcome} {row.result.detail}")
        print(row.result.output, end="" if row.result.output.endswith("\n") else "\n")
        if row.base is not None:
            print(f"on the base: {row.base.outcome} {row.base.detail}")
            print(row.base.output, end="" if row.base.output.endswith("\n") else "\n")
    return ExitCode.OK
