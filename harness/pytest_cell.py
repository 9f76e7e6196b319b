# SPDX-License-Identifier: GPL-2.0-only
"""From the options of the host's pytest to a kernel and its guests (docs/pytest.md)."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import cache, hosted, suites
from harness.cli import cell, parser
from harness.errors import UsageError
from harness.hosted import Hosted
from harness.model import Cell, Result, Stage, Test

_SEVERAL = ("kconfig", "suite")
_PLACES = ("series", "tree", "kconfig")  # in an ini file, paths count from there
_EVERY_S = 20.0


def opened(session: pytest.Session, names: Sequence[str], room: contextlib.ExitStack) -> Hosted:
    """The kernel that the options of these names describe, and its guests, as long as `room` is
    open. HarnessError as of `harness run`."""
    config = session.config
    wanted, parent = _wanted(config, names)
    record = room.enter_context(cell.open_record(wanted, parent or cache.runs()))
    argv = ["pytest", *map(str, config.invocation_params.args)]
    made = hosted.opened(wanted, record, _Watch(config), argv=argv, tests=_planned(session))
    return room.enter_context(made)


def _planned(session: pytest.Session) -> list[str]:
    """The tests that are going to have a guest; unknown to one of several processes (xdist)."""
    if hasattr(session.config, "workerinput"):
        return []
    return [one.nodeid for one in session.items if "guest" in getattr(one, "fixturenames", ())]


def _wanted(config: pytest.Config, names: Sequence[str]) -> tuple[Cell, Path | None]:
    """The cell of the options, and where its record is to be, as `harness run` takes them."""
    made = argparse.ArgumentParser(exit_on_error=False)
    cell.add_source(made)
    cell.add_guest(made)
    made.set_defaults(output=None)
    try:
        arguments = made.parse_args(list(_words(config, names)))
    except argparse.ArgumentError as error:
        raise UsageError(str(error).replace("argument --", "--harness-")) from None
    parser.settle(arguments)
    places = (config.rootpath, config.invocation_params.dir)
    wanted = cell.from_arguments(arguments, suites.shown(places))
    return wanted, Path(arguments.output) if arguments.output else None


def _words(config: pytest.Config, names: Sequence[str]) -> Iterator[str]:
    """The options as harness's command line has them: one that is given, else the ini file's."""
    for name in names:
        value = config.getoption(f"--harness-{name}") or _from_ini(config, name)
        for one in value.split(",") if name in _SEVERAL else [value]:
            if one:
                yield f"--{name}={one}"


def _from_ini(config: pytest.Config, name: str) -> str:
    value = str(config.getini(f"harness_{name}"))
    if name not in _PLACES or config.inipath is None:
        return value
    beside = config.inipath.parent
    return ",".join(str(beside / one) if _is_path(one) else one for one in value.split(","))


def _is_path(place: str) -> bool:
    return "/" in place and "://" not in place


class _Watch:
    """See harness.watch.Watch: a build that takes its time says so, past pytest's capture."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._next = time.monotonic() + 1.0
        self._stage = ""

    def stage(self, name: str, note: str = "") -> None:
        self._stage = name

    def staged(self, stage: Stage, note: str) -> None:
        pass

    def build(self, done: int, expected: int | None, what: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            of = f" of {expected}" if expected else ""
            self.note(f"{self._stage}: objects built: {done}{of}")

    def note(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None:
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                reporter.ensure_newline()
                reporter.write_line(f"harness: {text}")

    def planned(self, count: int) -> None:
        pass

    def started(self, test: Test, kernel: str) -> None:
        pass

    def ended(self, result: Result) -> None:
        pass
