# SPDX-License-Identifier: GPL-2.0-only
"""`harness bisect log`, `replay`, `undo`, `visualize`, `report`: bisections of the past."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import parser, runs, screen
from harness.errors import ExitCode, UsageError
from harness.report.text import short

FORMATS = {
    "text": "for a terminal",
    "html": "one page",
    "mail": "a report for the mailing list, ready for a mail client",
}


def add(bisect: argparse.ArgumentParser) -> None:
    """The commands below `harness bisect`, which can do without one."""
    kept = bisect.add_subparsers(
        title="of a bisection of the past (default: the last one)", metavar="[ACTION]"
    )
    _named(parser.command(kept, "log", _log, "a line for each step"))
    replay = parser.command(
        kept, "replay", _replay, "each step, and what was known after it; runs nothing"
    )
    _named(_json(replay))
    undo = parser.command(kept, "undo", _undo, "forget what a step has shown")
    undo.add_argument("what", nargs="+", metavar="[BISECTION] STEP", help="the number of the step")
    _named(parser.command(kept, "visualize", _visualize, "which is the culprit, as bars"))
    report = parser.command(kept, "report", _report, "the answer, for people")
    _named(_json(report))
    formats = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    report.add_argument("--format", choices=tuple(FORMATS), default="text", help=formats)
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="in place of the screen")


def _json(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """--json, which counts before the name of the command as well."""
    what = argparse.SUPPRESS
    made.add_argument("--json", action="store_true", default=what, help="one JSON document")
    return made


def _named(made: argparse.ArgumentParser) -> None:
    what = made.add_argument(
        "bisection", nargs="?", default="", metavar="BISECTION", help="name, end or path"
    )
    parser.completes(what, names)


def names(**_: Any) -> list[str]:
    """The bisections of this user, for shells to complete."""
    from harness.bisect import record

    return [path.name for path in record.recent()]


def keep(directory: Path, *, found: bool, notice: str) -> None:
    """Write what stays of a bisection beside its journal: the page, and where it has `found` the
    culprit the bundle. What cannot be made is said."""
    from harness.bisect import answer, bundle, record
    from harness.bisect.page import Page

    if found:
        watch = screen.watch(quiet=True)
        said = bundle.make(answer.of(record.load(directory)), project.root(), watch)
        watch.clear()
        if said:
            print(f"harness: no reproducer bundle: {said}", file=sys.stderr)
    try:
        Page(directory).write(notice)
    except OSError as error:
        print(f"harness: no report.html: {error.strerror}", file=sys.stderr)


def tell(told: Any, code: int, *, as_json: bool) -> None:
    """The answer on standard output."""
    from harness.bisect import answer, text

    found = answer.of(told)
    if as_json:
        print(json.dumps(answer.document(found, code), indent=1))
        return
    width, colour = screen.width(sys.stdout), screen.colour(sys.stdout)
    for line in text.lines(found, width=width, colour=colour):
        print(line)
    if (page := told.directory / "report.html").exists():
        print(f"report: {short(page)}")


def _loaded(arguments: argparse.Namespace) -> Any:
    from harness.bisect import record

    return record.load(record.find(arguments.bisection))


def _log(arguments: argparse.Namespace) -> int:
    from harness.bisect import replay

    for line in replay.log(_loaded(arguments)):
        print(line)
    return ExitCode.OK


def _replay(arguments: argparse.Namespace) -> int:
    from harness.bisect import replay

    told = _loaded(arguments)
    code = replay.exit_of(told)
    if arguments.json:
        print(json.dumps(replay.document(told, code), indent=1))
        return code
    for line in replay.lines(told):
        print(line)
    print()
    tell(told, code, as_json=False)
    return code


def _visualize(arguments: argparse.Namespace) -> int:
    from harness.bisect import bars

    size = bars.Size(width=screen.width(sys.stdout), height=screen.height(sys.stdout))
    for line in bars.lines(_loaded(arguments), size, colour=screen.colour(sys.stdout)):
        print(line)
    return ExitCode.OK


def _undo(arguments: argparse.Namespace) -> int:
    from harness.bisect import record

    *names, step = arguments.what
    if not step.isdigit() or len(names) > 1:
        raise UsageError("undo wants the number of a step", hint="harness bisect undo [NAME] STEP")
    told = record.load(record.find(names[0] if names else ""))
    if int(step) not in {one.step for one in told.steps} | {one.step for one in told.begun}:
        raise UsageError(f"{told.directory.name} has no step {step}")
    with record.BisectRecord(told.directory) as made:
        made.undo(int(step))
    again = f"harness bisect --resume {told.name}"
    keep(told.directory, found=False, notice=f"Step {step} was taken back; next: {again}")
    print(f"step {step} is forgotten; next: {again}")
    return ExitCode.OK


def _report(arguments: argparse.Namespace) -> int:
    from harness.bisect import answer

    found = answer.of(_loaded(arguments))
    runs.put(_made(found, arguments).encode(errors="replace"), arguments.output)
    return ExitCode.OK


def _made(found: Any, arguments: argparse.Namespace) -> str:
    """The report in the format that is wanted."""
    if arguments.json:
        from harness.bisect import answer, replay

        made = answer.document(found, replay.exit_of(found.told))
        return json.dumps(made, indent=1) + "\n"
    if arguments.format == "mail":
        from harness.bisect import mail

        return mail.report(found)
    if arguments.format == "html":
        from harness.bisect import page

        return page.page(found)
    from harness.bisect import text

    plain = arguments.output is not None
    width = 100 if plain else screen.width(sys.stdout)
    lines = text.lines(found, width=width, colour=not plain and screen.colour(sys.stdout))
    return "".join(f"{line}\n" for line in lines)
