# SPDX-License-Identifier: GPL-2.0-only
"""`harness matrix`: the cells of ci/matrix.yaml."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import parser
from harness.errors import ExitCode
from harness.model import SCHEMA


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(commands, "matrix", _matrix, "what ci/matrix.yaml consists of")
    made.add_argument(
        "--list", action="store_true", required=True, help="its cells, each with its command line"
    )
    made.add_argument("--file", type=Path, metavar="FILE", help="default: ci/matrix.yaml")
    made.add_argument(
        "--select", default="", metavar="KEY=VALUE,...", help="as series=aio-poll,kconfig=debug"
    )
    made.add_argument("--json", action="store_true", help="one JSON document")


def _matrix(arguments: argparse.Namespace) -> int:
    from harness import matrixfile

    root = project.root()
    matrix = matrixfile.load(arguments.file or root / "ci/matrix.yaml", root)
    cells = matrixfile.select(matrix.cells, arguments.select)
    if arguments.json:
        about = {
            "schema": SCHEMA,
            "cells": [{"name": one.name, **asdict(one), "command": one.command} for one in cells],
            "left_out": [{"name": one.cell.name, "reason": one.reason} for one in matrix.left_out],
        }
        print(json.dumps(about, indent=1))
        return ExitCode.OK
    width = max((len(one.name) for one in cells), default=0)
    for one in cells:
        print(f"{one.name:<{width}}  {one.command}")
    if not arguments.select:
        for gone in matrix.left_out:
            print(f"{gone.cell.name:<{width}}  left out: {gone.reason}")
    print(f"{len(cells)} cells" + (f" of {len(matrix.cells)}" if arguments.select else ""))
    return ExitCode.OK
