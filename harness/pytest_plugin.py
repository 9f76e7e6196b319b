# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for the host's own pytest: `kernel`, with a series, and `guest`, that runs it.

Every pytest run of an environment with harness in it loads this module, so that it imports nothing
but what pytest has imported anyway. The rest comes with the first test that asks for a fixture.
PYTEST_DONT_REWRITE: there is no test's assertion here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.hosted import Hosted, HostedGuest
    from harness.model import Cell, Kernel, Outcome, Result, Splat, Stage, Test

_OPTIONS = {
    "series": "a name of patches/, a quilt directory, an mbox; several with commas",
    "tree": "kernel tree, a name or a path",
    "guest": "one booted guest for all tests (vng, as auto) or a saved one for each (snapshot)",
    "kconfig": "fragments more, with commas",
    "suite": "areas of guest-tests/ whose programs and options the guests have, with commas",
    "accel": "kvm or tcg",
    "cpus": "processors of a guest",
    "memory": "memory of a guest in MiB",
}
_SEVERAL = ("kconfig", "suite")
_PLACES = ("series", "tree", "kconfig")  # in an ini file, paths count from there
_EVERY_S = 20.0
_TEXT_MAX = 40
_OUTPUT_MAX = 4000

_ROOM = pytest.StashKey[contextlib.ExitStack]()
_HOSTED = pytest.StashKey["Hosted"]()
_GUEST = pytest.StashKey["HostedGuest"]()
_REPORTS = pytest.StashKey[list[pytest.TestReport]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The cell that the guests are of; each option is in an ini file, too."""
    group = parser.getgroup("harness", "harness: kernels and guests")
    for name, what in _OPTIONS.items():
        group.addoption(f"--harness-{name}", metavar=name.upper(), help=what)
        parser.addini(f"harness_{name}", f"as --harness-{name}", default="")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    text = "expect_splat(*text): parts of `kind: title`, or /regex/, that the kernel has to report"
    config.addinivalue_line("markers", text)


@pytest.fixture(scope="session")
def _harness_hosted(request: pytest.FixtureRequest) -> Hosted:
    """The session's kernel and guests; an error of theirs is every test's, and is tried once."""
    with _said():
        return _open(request.config, request.session)


@pytest.fixture(scope="session")
def kernel(_harness_hosted: Hosted) -> Kernel:
    """The kernel with the series, from the cache or built now (harness.model.Kernel)."""
    return _harness_hosted.kernel


@pytest.fixture
def guest(_harness_hosted: Hosted, request: pytest.FixtureRequest) -> Iterator[HostedGuest]:
    """A guest that runs the kernel: guest.run(["uname", "-r"]) (harness.hosted.HostedGuest)."""
    item = request.node
    expected = [text for mark in item.iter_markers("expect_splat") for text in mark.args]
    with contextlib.ExitStack() as stack:
        with _said():
            one = stack.enter_context(_harness_hosted.guest(item.nodeid, expected))
        item.stash[_GUEST] = one
        yield one
        if late := one.complaints():
            pytest.fail(late, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """What the fixtures start lives no longer than the loop, however that ends."""
    with contextlib.ExitStack() as room:
        session.config.stash[_ROOM] = room
        done = yield
    hosted = session.config.stash.get(_HOSTED, None)
    if hosted is not None and hosted.stray:
        session.testsfailed += 1  # for the exit status: no test is to blame
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passed on a kernel that complained has failed."""
    one = item.stash.get(_GUEST, None)
    if one is None:
        return (yield)
    try:
        done = yield
    except pytest.skip.Exception:
        if said := one.complaints():
            pytest.fail(said, pytrace=False)
        raise
    except BaseException:
        one.complaints()  # they are in the report, which tells of a worse thing
        raise
    if said := one.complaints() or one.missing():
        pytest.fail(said, pytrace=False)
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the kernel said goes to the report of a test that failed; its result to the record."""
    report = yield
    one = item.stash.get(_GUEST, None)
    if one is None:
        return report
    reports = item.stash.setdefault(_REPORTS, [])
    reports.append(report)
    if report.failed:
        if sum(each.failed for each in reports) == 1:
            one.decode()
        report.sections += _sections(one, call)
    if report.when == "teardown":
        item.config.stash[_HOSTED].add(_result(one, reports))
        del item.stash[_GUEST], item.stash[_REPORTS]
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What was run, where the record is, and what the kernel reported outside of the tests."""
    hosted = config.stash.get(_HOSTED, None)
    if hosted is None:
        return
    from harness.report import text

    run = hosted.run
    terminalreporter.section("harness")
    what = f"{run.series} on {run.base}" if run.series != "base" else run.base
    terminalreporter.line(
        f"{what}: {run.kernel_release}, guests: {run.guest or 'none'}, {run.accel}"
    )
    for splat in run.stray:
        terminalreporter.line(
            f"outside of the tests, boot {splat.boot}: {splat.kind}: {splat.title}"
        )
    terminalreporter.line(f"record: {text.short(run.directory)}")


def _open(config: pytest.Config, session: pytest.Session) -> Hosted:
    """Build the kernel and make room for guests, until the tests are over."""
    from harness import cache, hosted
    from harness.cli import cell

    wanted, parent = _wanted(config)
    room = config.stash[_ROOM]
    record = room.enter_context(cell.open_record(wanted, parent or cache.runs()))
    found = room.enter_context(
        hosted.opened(
            wanted,
            record,
            _Watch(config),
            argv=["pytest", *map(str, config.invocation_params.args)],
            tests=_planned(session),
        )
    )
    config.stash[_HOSTED] = found
    return found


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """A stage that fails is no traceback for whoever writes tests."""
    from harness.errors import HarnessError

    try:
        yield
    except HarnessError as error:
        raise pytest.fail.Exception(_shown(error), pytrace=False) from None


def _shown(error: HarnessError) -> str:
    from harness.report import text

    return text.render_error(error).rstrip()


def _planned(session: pytest.Session) -> list[str]:
    """The tests that are going to have a guest; unknown to one of several processes (xdist)."""
    if hasattr(session.config, "workerinput"):
        return []
    return [one.nodeid for one in session.items if "guest" in getattr(one, "fixturenames", ())]


def _wanted(config: pytest.Config) -> tuple[Cell, Path | None]:
    """The cell of the options, and where its record is to be, as `harness run` takes them."""
    import argparse

    from harness import suites
    from harness.cli import cell, parser
    from harness.errors import UsageError

    made = argparse.ArgumentParser(exit_on_error=False)
    cell.add_source(made)
    cell.add_guest(made)
    made.set_defaults(output=None)
    try:
        arguments = made.parse_args(list(_words(config)))
    except argparse.ArgumentError as error:
        raise UsageError(str(error).replace("argument --", "--harness-")) from None
    parser.settle(arguments)
    places = (config.rootpath, config.invocation_params.dir)
    wanted = cell.from_arguments(arguments, suites.shown(places))
    return wanted, Path(arguments.output) if arguments.output else None


def _words(config: pytest.Config) -> Iterator[str]:
    """The options as harness's command line has them: one that is given, else the ini file's."""
    for name in _OPTIONS:
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


def _sections(one: HostedGuest, call: pytest.CallInfo[None]) -> list[tuple[str, str]]:
    from harness.errors import HarnessError
    from harness.report import text

    found = [("guest output", one.said[-_OUTPUT_MAX:])] if one.said else []
    found += [("kernel splat", _splat(splat)) for splat in one.splats]
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, HarnessError) and (error.lines or error.hint):
        found.append(("harness", _shown(error)))
    return [*found, ("guest console", f"boot {one.boot}: {text.short(one.console)}")]


def _splat(splat: Splat) -> str:
    from harness.report import text

    lines = [f"{splat.kind}: {splat.title}", *(f"  {line}" for line in text.trace_lines(splat))]
    lines += (f"  {line}" for line in splat.text[:_TEXT_MAX])
    if len(splat.text) > _TEXT_MAX:
        lines.append(f"  [{len(splat.text) - _TEXT_MAX} more lines in the console log]")
    return "\n".join(lines)


def _result(one: HostedGuest, reports: list[pytest.TestReport]) -> Result:
    """What set-up, call and teardown came to, together."""
    from harness.model import Outcome

    duration_s = sum(report.duration for report in reports if report.when == "call")
    for report in reports:
        if report.failed:
            return one.result(_blame(one, report), _detail(report), duration_s)
        if report.skipped:
            xfail = getattr(report, "wasxfail", None)
            outcome = Outcome.SKIP if xfail is None else Outcome.XFAIL
            return one.result(outcome, _detail(report) if xfail is None else xfail, duration_s)
    return one.result(Outcome.PASS, "", duration_s)


def _blame(one: HostedGuest, report: pytest.TestReport) -> Outcome:
    """Who failed: the guest, the test, or what is around it."""
    from harness.model import Outcome

    if one.died is not None:
        return one.died.outcome
    return Outcome.FAIL if report.when == "call" or one.splats else Outcome.ERROR


def _detail(report: pytest.TestReport) -> str:
    """The line that says most."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines() or [""]
    return str(lines[0])


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
