# SPDX-License-Identifier: GPL-2.0-only
"""`harness history`, `harness flakes` and `harness compare`: what runs of the past say together."""

import argparse
import datetime
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.cli import parser, screen
from harness.errors import ExitCode, UsageError
from harness.model import SCHEMA, Outcome
from harness.report import text
from harness.report.paint import fit, outcome_colour, paint, squeeze


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    history = parser.command(commands, "history", _history, "how a test came out in the past")
    history.add_argument("test", nargs="?", metavar="TEST", help="a name, or a glob of names")
    history.add_argument("-n", type=int, default=20, metavar="N", help="how many (default: 20)")
    history.add_argument(
        "--import",
        dest="imported",
        nargs="+",
        default=[],
        metavar="DIR",
        help="read in run directories that another machine made",
    )
    history.add_argument(
        "--prune", type=float, metavar="DAYS", help="forget runs that are older than that"
    )
    history.add_argument("--json", action="store_true", help="one JSON object a line")
    flakes = parser.command(commands, "flakes", _flakes, "tests that do not always come out alike")
    flakes.add_argument("--json", action="store_true", help="one JSON object a line")
    compare = parser.command(commands, "compare", _compare, "what differs between two runs")
    for name, what in (("one", "the run to compare with"), ("other", "the run it is about")):
        compare.add_argument(name, metavar=name.upper(), help=f"{what}: name, end or path")
    compare.add_argument(
        "--new-only", action="store_true", help="exit 1 only for what fails anew in OTHER"
    )
    compare.add_argument("--json", action="store_true", help="one JSON document")


def _history(arguments: argparse.Namespace) -> int:
    from harness.history import History

    with History() as history:
        for place in arguments.imported:
            count = history.add(Path(place))
            print(f"{place}: {count} result{'s' * (count != 1)}", file=sys.stderr)
        if arguments.prune is not None:
            print(f"forgot {history.prune(_days_ago(arguments.prune))} runs", file=sys.stderr)
        if arguments.test is None:
            if arguments.imported or arguments.prune is not None:
                return ExitCode.OK
            raise UsageError("harness history wants a TEST", hint="a glob, as 'aio-poll/*'")
        history.sync()
        found = history.of_test(arguments.test, arguments.n)
    for one in found:
        if arguments.json:
            print(json.dumps({"schema": SCHEMA, **asdict(one)}))
            continue
        colour = screen.colour(sys.stdout)
        shade = outcome_colour(Outcome(one.outcome))
        outcome = paint(f"{one.outcome:<8}", shade, colour=colour)
        where = squeeze(f"{one.series} on {one.tree} ({one.kernel})", 36)
        when = one.at[:16].replace("T", " ")
        what = f"{where:<36}  {squeeze(one.test, 40)}  {fit(one.detail, 60)}"
        print(f"{when}  {one.run[-4:]}  {outcome}  {what}".rstrip())
    if not found:
        print(f"harness: no result of {arguments.test}", file=sys.stderr)
        return ExitCode.NOTHING_RAN
    return ExitCode.OK


def _days_ago(days: float) -> str:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    return then.isoformat(timespec="seconds")


def _flakes(arguments: argparse.Namespace) -> int:
    from harness.history import History

    with History() as history:
        history.sync()
        found = history.flakes()
    if arguments.json:
        for one in found:
            print(json.dumps({"schema": SCHEMA, **asdict(one), "rate": one.failed / one.runs}))
        return ExitCode.OK
    for one in found:
        where = f"{one.series} on {one.tree} ({one.kernel}, {one.release})"
        rate = f"{100 * one.failed / one.runs:3.0f} %  {one.failed} of {one.runs}"
        print(f"{rate:<20}  {squeeze(one.test, 44):<44}  {where}, last {one.last[:10]}")
    if not found:
        print("no test came out both ways on the same kernel")
    return ExitCode.OK


def _compare(arguments: argparse.Namespace) -> int:
    from harness import comparison, record, recorded

    one, other = (recorded.load(recorded.find(name)) for name in (arguments.one, arguments.other))
    run = comparison.of(one.run, other.run)
    code = comparison.exit_code(run, new_only=arguments.new_only)
    if arguments.json:
        print(json.dumps(record.document(run, code), indent=1))
        return code
    print(f"{'base':<12} {one.run.directory.name}\n{run.series:<12} {other.run.directory.name}")
    for line in comparison.differences(one.run.directory, other.run.directory):
        print(line)
    colour, width = screen.colour(sys.stdout), screen.width(sys.stdout)
    print(text.render(run, colour=colour, width=width), end="")
    return code
