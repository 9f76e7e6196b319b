# SPDX-License-Identifier: GPL-2.0-only
"""`harness series`: the series of a project, and bringing others in."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cache, project
from harness.cli import cell, parser, screen
from harness.errors import ExitCode
from harness.model import SCHEMA, Cell

if TYPE_CHECKING:
    from harness.apply_bisect import Broken
    from harness.lineage import Span


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
    _add_broken(inner)
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


def _add_broken(inner: Any) -> None:
    made = parser.command(
        inner, "broken", _series_broken, "since which upstream commit does it not apply"
    )
    made.add_argument("spec", metavar="NAME|DIR|FILE", help="as --series takes it")
    made.add_argument("--tree", required=True, metavar="NAME|PATH|URL", help="with its history")
    made.add_argument("--good", required=True, metavar="REV", help="a commit to which it applied")
    made.add_argument("--bad", metavar="REV", help="default: the tree's newest commit")
    made.add_argument("--json", action="store_true", help="one JSON document")


def _series_broken(arguments: argparse.Namespace) -> int:
    from harness import apply_bisect, intake, lineage, series, tree

    root, name = project.root(), tree.base_name(arguments.tree)
    own = intake.load(root, arguments.spec, tree=name)
    stack = series.stack(series.with_below(root, [own], name))
    span = lineage.span(arguments.tree, arguments.good, arguments.bad)
    found = apply_bisect.find(span, stack)
    if arguments.json:
        about = asdict(found) if found else {"commit": None}
        ends = {"series": stack.name, "tree": arguments.tree, "good": span.good, "bad": span.bad}
        print(json.dumps({"schema": SCHEMA, **ends, **about}))
    elif found is None:
        print(f"{stack.name} applies to {span.bad[:12]} of {arguments.tree}: nothing is broken")
    else:
        _show_broken(stack.name, found)
        print(f"next: {_show_command(arguments.tree, span, found)}")
    return ExitCode.OK if found else ExitCode.FAILED


def _show_broken(name: str, found: Broken) -> None:
    print(f"{name} does not apply since {found.commit[:12]} ({found.subject})")
    print(f"  by {found.author}, {found.date}")
    why = f"does not apply: {found.where}" if found.where else "is already applied there"
    print(f"  {found.patch} {why}")
    if found.never:
        print(f"  a merge: it never applied to the side of {found.never[:12]}")
    print(
        f"  {found.checks} checks in {found.duration_s:.1f} s; {found.commits} commits, "
        f"{found.suspects} of them change its files"
    )


def _show_command(name: str, span: Span, found: Broken) -> str:
    """What shows the change, in the user's own repository where there is one."""
    from harness import tree

    place = tree.added().get(name, name)
    where = ["-C", place] if "://" not in place else [f"--git-dir={span.base.mirror}"]
    merge = ["-m", "--first-parent"] if len(found.parents) > 1 else []
    return shlex.join(["git", *where, "show", *merge, found.commit[:12], "--", *found.files])


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
