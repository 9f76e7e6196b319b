# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for the host's own pytest: `kernel`, with a series, and `guest`, that runs it.

Every pytest run of an environment with harness in it loads this module, so that it imports nothing
but what pytest has imported anyway. The rest comes with the first test that asks for a fixture.
PYTEST_DONT_REWRITE: there is no test's assertion here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.hosted import Hosted
    from harness.lent import LentGuest
    from harness.model import Kernel

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

_ROOM = pytest.StashKey[contextlib.ExitStack]()
_HOSTED = pytest.StashKey["Hosted"]()
_GUEST = pytest.StashKey["LentGuest"]()
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
        from harness import pytest_cell

        stash = request.config.stash
        stash[_HOSTED] = pytest_cell.opened(request.session, tuple(_OPTIONS), stash[_ROOM])
        return stash[_HOSTED]


@pytest.fixture(scope="session")
def kernel(_harness_hosted: Hosted) -> Kernel:
    """The kernel with the series, from the cache or built now (harness.model.Kernel)."""
    return _harness_hosted.kernel


@pytest.fixture
def guest(_harness_hosted: Hosted, request: pytest.FixtureRequest) -> Iterator[LentGuest]:
    """A guest that runs the kernel: guest.run(["uname", "-r"]) (harness.lent.LentGuest)."""
    item = request.node
    expected = [text for mark in item.iter_markers("expect_splat") for text in mark.args]
    with contextlib.ExitStack() as stack:
        with _said():
            from harness.lent import lent

            one = stack.enter_context(lent(_harness_hosted, item.nodeid, expected))
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
    from harness import pytest_report

    reports = item.stash.setdefault(_REPORTS, [])
    reports.append(report)
    if report.failed:
        if sum(each.failed for each in reports) == 1:
            one.decode()
        error = call.excinfo.value if call.excinfo is not None else None
        report.sections += pytest_report.sections(one, error)
    if report.when == "teardown":
        item.config.stash[_HOSTED].add(pytest_report.result(one, reports))
        del item.stash[_GUEST], item.stash[_REPORTS]
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What was run, where the record is, and what the kernel reported outside of the tests."""
    hosted = config.stash.get(_HOSTED, None)
    if hosted is None:
        return
    from harness import pytest_report

    terminalreporter.section("harness")
    for line in pytest_report.summary(hosted):
        terminalreporter.line(line)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """A stage that fails is no traceback for whoever writes tests."""
    from harness.errors import HarnessError

    try:
        yield
    except HarnessError as error:
        from harness import pytest_report

        raise pytest.fail.Exception(pytest_report.shown(error), pytrace=False) from None
