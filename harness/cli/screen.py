# SPDX-License-Identifier: GPL-2.0-only
"""What goes to the terminal: errors, colours, and who shows a running cell."""

import logging
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError
from harness.report import Options, text

_choice = "auto"


def choose_colour(choice: str) -> None:
    """auto (a terminal, and no NO_COLOR), always or never, for the rest of this command."""
    global _choice
    _choice = choice


def colour(stream: Any) -> bool:
    """Whether to write colours to `stream` (https://no-color.org)."""
    if _choice != "auto":
        return _choice == "always"
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def complain(error: HarnessError, record: Path | None = None) -> int:
    """Show a failed stage or bad input; returns its exit status. `record` was shown before."""
    live = sys.stderr.isatty()
    shown = text.render_error(
        error,
        colour=colour(sys.stderr),
        width=width(sys.stderr) if live else 1000,
        record=record if live else None,
    )
    print(shown, end="", file=sys.stderr)
    return error.exit_code


def bug() -> int:
    """Show the exception that is being handled as a bug of ours."""
    traceback.print_exc()
    print("harness: a bug in harness: please report it with the lines above", file=sys.stderr)
    return ExitCode.BUG


def watch(*, quiet: bool = False) -> Any:
    """A terminal.Terminal on standard error that also takes the rooms' log lines."""
    from harness.terminal import Terminal

    live = sys.stderr.isatty()
    terminal = Terminal(sys.stderr, live=live, colour=colour(sys.stderr), quiet=quiet)
    log = logging.getLogger("harness")
    log.setLevel(logging.INFO)
    log.handlers[:] = [terminal]
    return terminal


def report_options() -> Options:
    """How reports on standard output look."""
    return Options(colour=colour(sys.stdout), width=width(sys.stdout))


def width(stream: Any) -> int:
    """Columns for a report: those of the terminal, 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns if stream.isatty() else 100


def height(stream: Any) -> int:
    """Lines of the terminal, 0 where there is none."""
    return shutil.get_terminal_size((100, 24)).lines if stream.isatty() else 0
