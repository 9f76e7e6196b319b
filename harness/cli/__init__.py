# SPDX-License-Identifier: GPL-2.0-only
"""The `harness` command: the only room that prints or exits.

Each module here adds its commands to the parser and runs them; rooms below are imported when a
command needs them, so that `harness --help` stays fast.
"""

import argparse
import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from harness import __version__
from harness.cli import (
    bisect,
    boot,
    cache,
    ci,
    history,
    judge,
    machine,
    matrix,
    nightly,
    parser,
    repro,
    run,
    runs,
    screen,
    series,
)
from harness.errors import ExitCode, HarnessError, HostError


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit status of docs/design.md, or git's."""
    if "--bisect-step" not in argv:
        return _main(argv)
    try:
        return run.for_git(_main(argv))
    except SystemExit as ended:  # argparse's
        return run.for_git(ExitCode.USAGE) if ended.code else 0


def _main(argv: Sequence[str]) -> int:
    _handle_signals()
    made = build()
    if "_ARGCOMPLETE" in os.environ:
        from harness.cli import completion

        completion.complete(made)
    arguments = made.parse_args(argv)
    arguments.argv, arguments.parser = list(argv), made
    try:
        parser.settle(arguments)
        return int(arguments.command(arguments))
    except HarnessError as error:
        return screen.complain(error)
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # To `git bisect run` the status of a failure would say that the commit is bad.
        return ExitCode.HOST if "--bisect-step" in argv else ExitCode.FAILED
    except OSError as error:
        from harness import proc

        place = str(error.filename or "a file")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return screen.complain(proc.disk_full(place))
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return screen.complain(HostError(f"{place}: {error.strerror}"))
        return screen.bug()
    except Exception:  # noqa: BLE001 (the last resort: a bug of ours has its own exit code)
        return screen.bug()
    finally:
        logging.getLogger("harness").handlers.clear()


def build() -> argparse.ArgumentParser:
    """The parser with all commands."""
    made = argparse.ArgumentParser(
        prog="harness",
        description="Apply a kernel patch series, build it, boot it, test it, say what it changed.",
        epilog="`harness COMMAND --help` shows the options of a command.",
    )
    made.add_argument("--version", action="version", version=f"harness {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    tests = (run, boot, runs, repro, history, matrix, nightly, bisect, ci)
    every = (*tests, judge, series, cache, machine)
    for module in every:
        module.add(commands)
    return made


def _handle_signals() -> None:
    """The first Ctrl-C (or TERM, HUP) unwinds and keeps what is known; the second ends at once:
    the guards below us then see their pipe close and kill what they guard."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if seen:
            os._exit(ExitCode.INTERRUPTED)
        seen.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
