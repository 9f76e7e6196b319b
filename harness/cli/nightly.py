# SPDX-License-Identifier: GPL-2.0-only
"""`harness nightly`: the matrix against the last night."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from harness.cli import around, matrix, parser, screen
from harness.cli.around import Around
from harness.errors import ExitCode, UsageError


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(
        commands, "nightly", _nightly, "fetch the trees, run the matrix, say what is new"
    )
    matrix.add_options(made)
    made.add_argument(
        "--resume", action="store_true", help="go on with the last night, which was interrupted"
    )


def _nightly(arguments: argparse.Namespace) -> int:
    from harness.matrix import nightly

    matrix.check(arguments, resumes=arguments.resume)
    before = nightly.nights()
    with around.serving(arguments) as live:
        with around.executing(arguments) as executor:
            within = Around(executor=executor, live=live)
            night, code = _run(arguments, before, within)
        if code == ExitCode.INTERRUPTED:
            return code
        return _tell(arguments, night, [one for one in before if one.exit is not None])


def _run(arguments: argparse.Namespace, before: Any, within: Around) -> tuple[Any, int]:
    """The night, or what is left of the last one, which is no longer among those `before`."""
    from harness.matrix import nightly, record

    if arguments.resume:
        if not before or before[0].exit is not None:
            raise UsageError("no night was interrupted", hint="leave --resume out to begin one")
        night = before.pop(0)
        made = record.MatrixRecord(night.directory)
    else:
        cells, _ = matrix.selected(arguments)
        asked = matrix.asked(arguments, cells)
        applied = []
        for one in nightly.check(asked, [one for one in before if one.exit is not None]):
            applied.append(one)
            for line in nightly.applied_lines([one]):
                print(f"harness: {line}", file=sys.stderr)
        plan = matrix.planned(asked, within.executor)
        made = record.MatrixRecord.new(plan.tasks, matrix.source(arguments))
        night = nightly.Night(directory=made.path, applied=tuple(applied))
        night.write()
    with made:
        return night, matrix.go_on(arguments, made, within, "harness nightly --resume")


def _tell(arguments: argparse.Namespace, night: Any, before: Any) -> int:
    """What the night comes to, on the page too."""
    from harness.matrix import nightly, record, summary
    from harness.matrix.page import Page

    told = record.load(night.directory)
    night = nightly.judge(night, told, before)
    night.write()
    page = Page(night.directory / "report.html", told.ended.values())
    *shown, last = nightly.lines(night)
    page.write("; ".join([last, *(line for line in shown if line.startswith("new:"))]))
    if arguments.json:
        about = summary.document(told, int(night.exit or 0))
        said = asdict(night)
        about |= {key: said[key] for key in ("applied", "new", "fixed")}
        print(json.dumps(about, indent=1))
    else:
        for line in summary.lines(told, colour=screen.colour(sys.stdout)):
            print(line)
        print(f"compared with {before[0].directory.name}" if before else "the first night")
        print(*shown, last, f"report: {page.path}", sep="\n")
    return int(night.exit or 0)
