# SPDX-License-Identifier: GPL-2.0-only
"""Commands of the command line, and where values come from that it does not give."""

import argparse
import os
import re
from collections.abc import Callable
from typing import Any

from harness.cli import screen
from harness.errors import UsageError

Run = Callable[[argparse.Namespace], int]


def command(commands: Any, name: str, function: Run, summary: str) -> argparse.ArgumentParser:
    """One more command, which `function` runs."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,  # an option that comes later would change what a script means
    )
    made.set_defaults(command=function)
    made.add_argument(
        "--color", choices=("auto", "always", "never"), help="default: auto; NO_COLOR is heeded"
    )
    return made


def group(commands: Any, name: str, summary: str) -> Any:
    """A command that has commands of its own."""
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
    return parser.add_subparsers(required=True, metavar="ACTION")


def completes(action: argparse.Action, names: Callable[..., list[str]]) -> None:
    """Let shells complete the option's value with what `names` gives (see cli/completion.py)."""
    vars(action)["completer"] = names


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(option: str, text: str) -> float:
    """`90s`, `30m`, `6h` or `2d` in seconds. UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"{option} {text} is no time", hint="as 90s, 30m, 6h or 2d")
    return float(match[1]) * _UNITS_S[match[2]]


def settle(arguments: argparse.Namespace) -> None:
    """Fill in what was not given from the environment and the configuration files."""
    from harness import config

    values = config.load()
    for name, value in values.items():
        # A series that names its base is not moved by a default.
        option = "default_tree" if name == "tree" else name.replace("-", "_")
        if getattr(arguments, option, ...) is None:
            setattr(arguments, option, value.value)
    screen.choose_colour(getattr(arguments, "color", None) or "auto")
    for name in ("jobs", "cache-size"):
        if name in values:
            os.environ[config.variable(name)] = str(values[name].value)
