# SPDX-License-Identifier: GPL-2.0-only
"""`harness series`: the series of a project, and bringing others in."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import cache, project
from harness.cli import cell, parser, screen
from harness.errors import ExitCode
from harness.model import Cell


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    inner = parser.group(
        commands, "series", "list, show, check or import series of patches, and what they change"
    )
    parser.command(inner, "list", _series_list, "the series of this project")
    show = parser.command(inner, "show", _series_show, "one series: its patches, what they touch")
    show.add_argument("name")
    check = parser.command(
        inner, "check", _series_check, "does it apply to its bases, and checkpatch"
    )
    check.add_argument("name")
    bring = parser.command(
        inner, "import", _series_import, "write any form of a series as a quilt directory"
    )
    bring.add_argument("spec", metavar="DIR|FILE|-", help="as --series takes it")
    bring.add_argument("name", nargs="?", help="in patches/, or a directory (with a slash)")
    bring.add_argument("--version", type=int, metavar="N", help="which version of a thread's")
    table = parser.command(
        inner, "table", _series_table, "tests x kernels of some runs, as a Markdown table"
    )
    table.add_argument("run", nargs="+", metavar="RUN", help="name, end or path")
    check.add_argument("--build", action="store_true", help="build it on each base as well")


def _series_list(arguments: argparse.Namespace) -> int:
    from harness import series

    root = project.root()
    for name in series.names(root):
        one = series.load(root, name)
        count = len(one.patches)
        print(f"{name:<20} {count:>2} patches  {', '.join(one.bases):<10}  {one.title}")
    return ExitCode.OK


def _series_show(arguments: argparse.Namespace) -> int:
    from harness import series

    one = series.load(project.root(), arguments.name)
    print(f"{one.name}: {one.title}")
    print(f"thread:   {one.thread}")
    if one.after:
        print(f"after:    {', '.join(one.after)}")
    print(f"bases:    {', '.join(one.bases)}")
    print(f"suites:   {', '.join(one.suites)}")
    for patch in one.patches:
        print(f"  {patch.name}: {', '.join(sorted(series.touched(patch)))}")
    for test, reason in one.fails_on_base.items():
        print(f"  fails on the base: {test} ({reason})")
    return ExitCode.OK


def _series_check(arguments: argparse.Namespace) -> int:
    from harness import check

    root = project.root()
    bad = False
    for finding in check.check(root, arguments.name):
        bad |= not finding.good
        print(f"{'ok ' if finding.good else 'BAD'} {finding.what}")
        for line in () if finding.good else finding.lines:
            print(f"    {line}")
    if arguments.build and not bad:
        return _check_build(root, arguments.name)
    return ExitCode.APPLY if bad else ExitCode.OK


def _check_build(root: Path, name: str) -> int:
    from harness import series
    from harness.visit import Visit

    watch = screen.watch()
    for base in series.load(root, name).bases:
        parts = series.with_below(root, [series.load(root, name, base)], base)
        wanted = Cell(stack=series.stack(parts), tree=base)
        with cell.open_record(wanted, cache.runs("boots")) as record:
            built = Visit(wanted, root, record, watch).build()
        print(f"ok  {name} builds on {base}: {built.release}")
        for warning in built.warnings:
            print(f"    {warning}")
    return ExitCode.OK


def _series_table(arguments: argparse.Namespace) -> int:
    from harness import recorded
    from harness.report import table

    runs = [recorded.load(recorded.find(name)).run for name in arguments.run]
    print(table.markdown(runs), end="")
    return ExitCode.OK


def _series_import(arguments: argparse.Namespace) -> int:
    from harness import intake

    root = project.root()
    made = intake.load(root, arguments.spec, version=arguments.version)
    choice = intake.choose_base(made)
    if choice.commit is None:
        made = replace(made, bases=made.bases or (choice.tree,))
    name = arguments.name or made.name
    directory = Path(name) if "/" in name else root / "patches" / name
    intake.write(made, directory)
    if made.note:
        print(made.note)
    print(f"{directory}: {len(made.patches)} patches; {choice.why}")
    print(f"next: harness run --series {name}")
    return ExitCode.OK
