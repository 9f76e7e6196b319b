# SPDX-License-Identifier: GPL-2.0-only
"""`harness repro`: one test of a run of the past, for a machine without the harness."""

import argparse
import sys
from pathlib import Path
from typing import Any

from harness import project
from harness.cli import parser, runs, screen
from harness.errors import ExitCode


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(
        commands, "repro", _repro, "one test of a run, to be run where there is no harness"
    )
    run = made.add_argument("run", metavar="RUN", help="name, end or path")
    parser.completes(run, runs.names)
    made.add_argument("test", metavar="TEST", help="its name, or a glob that only it matches")
    made.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR|FILE",
        help="a directory that is not there, or an archive: FILE.tar.gz, FILE.tar.zst",
    )
    made.add_argument(
        "--kernel", default="", metavar="LABEL", help="base, 0001, tip (default: the run's last)"
    )


def _repro(arguments: argparse.Namespace) -> int:
    from harness import recorded, repro

    run = recorded.load(recorded.find(arguments.run))
    wanted = repro.choose(run, arguments.test, arguments.kernel)
    output = arguments.output or Path(repro.default_name(wanted))
    watch = screen.watch()
    made = repro.make(wanted, output, project.root(), watch)
    watch.clear()
    for note in made.wanted.notes:
        print(f"harness: {note}", file=sys.stderr)
    print(f"{output}: {wanted.test.name} on {made.kernel.release} ({wanted.label})")
    if output.is_dir():
        print(f"next: {output / 'run.sh'}")
    return ExitCode.OK
