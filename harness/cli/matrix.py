# SPDX-License-Identifier: GPL-2.0-only
"""`harness matrix`: the cells of ci/matrix.yaml, listed and run."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import around, cell, parser, screen
from harness.cli.around import Around
from harness.errors import ExitCode, UsageError
from harness.model import SCHEMA, MatrixCell


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(commands, "matrix", _matrix, "run the cells of ci/matrix.yaml")
    add_options(made)
    other = made.add_argument_group("in place of running it").add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="its cells, each with its command line")
    other.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="MATRIX",
        help="go on with one that was interrupted (default: the last)",
    )
    other.add_argument(
        "--show", nargs="?", const="", metavar="MATRIX", help="what became of one (the last)"
    )
    made.add_argument(
        "--estimate", action="store_true", help="with --list: kernels to build, and how long"
    )


def add_options(made: argparse.ArgumentParser) -> None:
    """Which matrix, and how it is run."""
    made.add_argument("--file", type=Path, metavar="FILE", help="default: ci/matrix.yaml")
    made.add_argument(
        "--select", default="", metavar="KEY=VALUE,...", help="as series=aio-poll,kconfig=debug"
    )
    made.add_argument(
        "--slots", type=int, metavar="N", help="processors to fill (default: all there are)"
    )
    made.add_argument(
        "--deadline",
        metavar="TIME",
        help="as 6h or 30m: begin nothing that would not end by then",
    )
    around.add_options(made)
    made.add_argument("--json", action="store_true", help="one JSON document")


def _matrix(arguments: argparse.Namespace) -> int:
    if arguments.estimate and not arguments.list:
        raise UsageError("--estimate goes with --list")
    if arguments.serve is not None and (arguments.list or arguments.show is not None):
        raise UsageError("--serve is for a matrix that runs")
    check(arguments, resumes=arguments.resume is not None or arguments.show is not None)
    if arguments.list:
        return _list(arguments)
    if arguments.show is not None:
        return _show(arguments)
    with around.serving(arguments) as live:
        return _run(arguments, live) if arguments.resume is None else _resume(arguments, live)


def check(arguments: argparse.Namespace, *, resumes: bool) -> None:
    """UsageError for what would be found wrong later."""
    if arguments.slots is not None and arguments.slots < 1:
        raise UsageError("--slots wants a number above 0")
    _deadline_s(arguments)
    if resumes and (arguments.file or arguments.select):
        raise UsageError("--file and --select are for a new matrix")
    around.check(arguments)


def _deadline_s(arguments: argparse.Namespace) -> float | None:
    text = arguments.deadline
    return parser.seconds("--deadline", text) if text is not None else None


def _run(arguments: argparse.Namespace, live: Any) -> int:
    """A new matrix."""
    from harness.matrix import record

    cells = selected(arguments)[0]
    with around.executing(arguments) as executor:
        plan = planned(asked(arguments, cells), executor)
        with record.MatrixRecord.new(plan.tasks, source(arguments)) as made:
            code = go_on(arguments, made, Around(executor=executor, live=live))
    _tell(arguments, record.load(made.path), code)
    return code


def source(arguments: argparse.Namespace) -> dict[str, str]:
    """What a matrix is of."""
    return {"file": str(_file(arguments)), "select": arguments.select}


def _resume(arguments: argparse.Namespace, live: Any) -> int:
    from harness.matrix import record
    from harness.matrix.run import resumable

    told = resumable(record.load(record.find(arguments.resume)))
    with around.executing(arguments) as executor, record.MatrixRecord(told.directory) as made:
        code = go_on(arguments, made, Around(executor=executor, live=live))
    _tell(arguments, record.load(made.path), code)
    return code


def go_on(arguments: argparse.Namespace, made: Any, within: Around, again: str = "") -> int:
    """Run what is left of a matrix; its exit status. `again` is the command to go on with it."""
    from harness.matrix import record, view
    from harness.matrix.page import Page
    from harness.matrix.run import MatrixRun

    told = record.load(made.path)
    page = Page(made.path / "report.html", told.ended.values())
    tasks = {task.name: task for task in told.tasks}
    terminal, colour = sys.stderr.isatty(), screen.colour(sys.stderr)
    print(f"harness: {made.path}", file=sys.stderr)
    again = again or f"harness matrix --resume {made.path.name[-4:]}"
    again += "".join(f" {word}" for word in around.words(arguments))
    code = ExitCode.INTERRUPTED
    try:
        with view.shown(tasks, live=terminal, colour=colour) as shown:
            watches = [shown, page]
            if within.live is not None:
                within.live.begin(told)
                watches.append(within.live)
            run = MatrixRun(made, within.executor, watches, told)
            code = run.run(_deadline_s(arguments))
    except KeyboardInterrupt:
        pass  # as when a cell was interrupted
    finally:
        stopped = code == ExitCode.INTERRUPTED
        if stopped:
            print(f"harness: interrupted; next: {again}", file=sys.stderr)
        page.write("This matrix was interrupted." if stopped else "")
    return code


def _show(arguments: argparse.Namespace) -> int:
    from harness.matrix import record

    told = record.load(record.find(arguments.show))
    _tell(arguments, told, ExitCode.INTERRUPTED if told.exit is None else told.exit)
    return ExitCode.OK


def _tell(arguments: argparse.Namespace, told: Any, code: int) -> None:
    from harness.matrix import summary

    if arguments.json:
        print(json.dumps(summary.document(told, code), indent=1))
        return
    for line in summary.lines(told, colour=screen.colour(sys.stdout)):
        print(line)
    report = told.directory / "report.html"
    if report.exists():
        print(f"report: {report}")


def _list(arguments: argparse.Namespace) -> int:
    cells, matrix = selected(arguments)
    plan = estimate = None
    if arguments.estimate:
        from harness.matrix import schedule

        with around.executing(arguments) as executor:
            plan = planned(asked(arguments, cells), executor)
            estimate = schedule.estimate(plan.tasks, executor.capacity)
    if arguments.json:
        about: dict[str, Any] = {
            "schema": SCHEMA,
            "cells": [{"name": one.name, **asdict(one), "command": one.command} for one in cells],
            "left_out": [{"name": one.cell.name, "reason": one.reason} for one in matrix.left_out],
        }
        if plan is not None and estimate is not None:
            about |= {"estimate": asdict(estimate), **asdict(plan)}
        print(json.dumps(about, indent=1))
        return ExitCode.OK
    width = max((len(one.name) for one in cells), default=0)
    if plan is not None:
        _print_plan(plan, estimate)
        return ExitCode.OK
    for one in cells:
        print(f"{one.name:<{width}}  {one.command}")
    if not arguments.select:
        for gone in matrix.left_out:
            print(f"{gone.cell.name:<{width}}  left out: {gone.reason}")
    print(f"{len(cells)} cells" + (f" of {len(matrix.cells)}" if arguments.select else ""))
    return ExitCode.OK


def _print_plan(plan: Any, made: Any) -> None:
    from harness.report.words import duration

    width = max((len(task.name) for task in plan.tasks), default=0)
    for task in plan.tasks:
        sure = "" if task.known else "  (never seen)"
        print(f"{task.kind:<5}  {task.name:<{width}}  {task.expected_s:>7.1f} s{sure}")
    for name, why in plan.troubles:
        print(f"{name}: {why}")
    guessed = sum(not task.known for task in plan.tasks)
    print(
        f"{plan.kernels} kernels, {plan.cached} of them in the cache; "
        f"about {duration(made.total_s)} ({made.total_s:.0f} s), "
        f"critical path {made.critical_s:.0f} s"
        + (f"; {guessed} of {len(plan.tasks)} guessed" if guessed else "")
    )


def asked(arguments: argparse.Namespace, cells: Sequence[MatrixCell]) -> list[Any]:
    """The cells with what their command lines stand for."""
    from harness.matrix.plan import Asked

    return [Asked(cell=one, wanted=_wanted(arguments, one)) for one in cells]


def planned(asked: Sequence[Any], executor: Any) -> Any:
    """The tasks of cells, with what they wait for where `executor` runs them."""
    from harness.matrix import past, plan

    screen.watch()
    with tempfile.TemporaryDirectory(prefix="harness-matrix-") as scratch:
        return plan.make(
            asked, project.root(), Path(scratch) / "programs.log", past.newest(), executor.has
        )


def _wanted(arguments: argparse.Namespace, one: MatrixCell) -> Any:
    """What the command line of a cell stands for."""
    made = arguments.parser.parse_args(list(one.argv))
    parser.settle(made)
    return cell.from_arguments(made)


def selected(arguments: argparse.Namespace) -> tuple[tuple[MatrixCell, ...], Any]:
    """The cells that are asked for, and the whole matrix."""
    from harness.matrix import file

    matrix = file.load(_file(arguments), project.root())
    return file.select(matrix.cells, arguments.select), matrix


def _file(arguments: argparse.Namespace) -> Path:
    return arguments.file or project.root() / "ci/matrix.yaml"
