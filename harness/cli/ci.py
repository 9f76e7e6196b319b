# SPDX-License-Identifier: GPL-2.0-only
"""`harness ci`: what CI services and systemd want to have of the nightly."""

import argparse
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import parser
from harness.errors import ExitCode, UsageError

TARGETS = ("github", "gitlab", "systemd")


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    inner = parser.group(commands, "ci", "write what CI services and systemd run each night")
    made = parser.command(inner, "render", _render, "write the nightly of a service")
    made.add_argument("target", choices=TARGETS)
    made.add_argument("--check", action="store_true", help="only fail when it is out of date")
    made.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: where the service looks for it; systemd: the .service, a .timer beside it",
    )
    made.add_argument("--file", type=Path, metavar="MATRIX", help="default: ci/matrix.yaml")


def _render(arguments: argparse.Namespace) -> int:
    from harness import render
    from harness.matrix import file as matrixfile

    root = project.root()
    if not (root / "ci/bootstrap").is_file():
        raise UsageError(f"{root}: no ci/bootstrap there, with which all that is rendered begins")
    wish = render.Wish(
        target=arguments.target,
        root=root,
        matrix=_absolute(arguments.file) or root / "ci/matrix.yaml",
        output=_absolute(arguments.output) or root / render.TARGETS[arguments.target],
    )
    made = render.files(wish, matrixfile.load(wish.matrix, root).cells)
    if arguments.check:
        render.check(wish, made)
    else:
        render.write(made)
    said = "is up to date" if arguments.check else "written"
    for one in made:
        print(f"{wish.shown(one.path)}: {said}")
    return ExitCode.OK


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path.cwd() / path
