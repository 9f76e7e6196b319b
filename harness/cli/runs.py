# SPDX-License-Identifier: GPL-2.0-only
"""`harness list` and `harness show`: runs of the past."""

import argparse
import json
import sys
from collections import Counter
from typing import Any

from harness.cli import parser, screen
from harness.errors import ExitCode
from harness.model import SCHEMA
from harness.report import text


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    listing = parser.command(commands, "list", _list, "the latest runs and what came out")
    listing.add_argument("-n", type=int, default=20, metavar="N", help="how many (default: 20)")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = parser.command(commands, "show", _show, "the report of a run, the last one by default")
    run = show.add_argument("run", nargs="?", default="", metavar="RUN", help="name, end or path")
    parser.completes(run, _names)
    show.add_argument("--test", metavar="NAME", help="one test with its whole output")
    show.add_argument("--json", action="store_true", help="the run's JSON document")


def _names(**_: Any) -> list[str]:
    from harness import recorded

    return [path.name for path in recorded.recent()]


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
    print(f"harness {' '.join(one.argv)}")
    print(
        text.render(run, colour=screen.colour(sys.stdout), width=screen.width(sys.stdout)), end=""
    )
    if one.exit is None:
        print("the harness was killed in the middle of this run, or it still goes on")
    elif one.exit:
        print(f"exit status {one.exit}")
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
