# SPDX-License-Identifier: GPL-2.0-only
"""Runs pytest tests in a guest one at a time, as the agent asks: a program, never imported.

    python -I -S -u pytest_server.py DIRECTORY SITE...

Importing pytest takes seconds in an emulated guest, so one interpreter runs all Python tests of a
suite, until one of them kills it. DIRECTORY holds the tests, SITE are where pytest and its
dependencies are. $HARNESS_CONTROL is "FD TOKEN", FD the agent's control socket (SOCK_SEQPACKET,
agent/server.c is the other side). A request is "TOKEN NODEID" and, in lines of their own, what the
environment is to hold; the answer "TOKEN STATUS USER_US
SYSTEM_US" with kselftest's status (0 pass, 1 fail, 4 skip) and the processor time that the test
took; the first answer, to the token of the environment, says that pytest is there. Where the
environment has HARNESS_FAIL_NTH, that call of the test's fails (agent/fault.c), and the answer
ends with what was left to count.

What a test prints goes straight to the output, and KTAP around it; a token is in no output.
"""

import contextlib
import faulthandler
import gc
import os
import resource
import sys

DIRECTORY = sys.argv[1]
sys.path[:0] = [DIRECTORY]
sys.path += sys.argv[2:]

gc.disable()  # a tenth of the time to import pytest, and it finds nothing
import pytest  # noqa: E402  (only now can it be found)

gc.freeze()
gc.enable()

PASS, FAIL, SKIP = 0, 1, 4
_REQUEST_MAX = 64 << 10

# Each of these costs an import, or time in every test; none is of use without a terminal.
_UNUSED = (
    "cacheprovider",
    "capture",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "subtests",
    "terminal",
    "threadexception",
    "unittest",
    "unraisableexception",
    "warnings",
)


class Control:
    """The agent's socket. No child that a test starts has it, however it is started."""

    def __init__(self, word: str) -> None:
        # Its number will do: the socket module is slow to import.
        fd, self._token = word.split()
        self._fd = int(fd)
        os.set_inheritable(self._fd, False)
        os.register_at_fork(after_in_child=lambda: os.close(self._fd))
        self._spent = (0.0, 0.0)
        self.fault = Fault(0)

    def answer(self, status: int) -> None:
        """End what was asked for last. The program ends too when a test closed the socket."""
        user, system = (now - then for now, then in zip(_spent(), self._spent, strict=True))
        text = f"{self._token} {status} {round(user * 1e6)} {round(system * 1e6)}"
        if self.fault.nth:
            text += f" {self.fault.left}"
        try:
            os.write(self._fd, text.encode())
        except OSError:
            write("# the test has closed a descriptor that is not its own\n")
            os._exit(FAIL)

    def request(self) -> str:
        """The next node id, empty when the agent is gone."""
        request, *variables = os.read(self._fd, _REQUEST_MAX).decode().split("\n")
        self._token, _, node = request.partition(" ")
        for variable in variables:
            name, _, value = variable.partition("=")
            os.environ[name] = value
        self.fault = Fault(int(os.environ.pop("HARNESS_FAIL_NTH", "0")))
        _reap()
        _reseed()
        self._spent = _spent()
        return node


class Fault:
    """The kernel's counter of our thread: its `nth` call from arm() on fails; 0 for none.

    What we do to end it is counted too: where that is the call that fails, the test had none.
    """

    def __init__(self, nth: int) -> None:
        self.nth = self.left = nth
        self._pid = os.getpid()
        self._fd = os.open("/proc/thread-self/fail-nth", os.O_RDWR) if nth else -1

    def __enter__(self) -> None:
        if self.nth:
            os.write(self._fd, b"%d" % self.nth)

    def __exit__(self, *_: object) -> None:
        if not self.nth or os.getpid() != self._pid:
            return
        try:
            self.left = int(os.pread(self._fd, 32, 0))
            os.write(self._fd, b"0")
        except OSError:
            self.left = max(1, self.left)  # it was this call
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(self._fd)


class Server:
    """The plugin that takes the place of pytest's own loop and terminal."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._pid = os.getpid()
        self._items: dict[str, pytest.Item] = {}
        self._collected: dict[str, list[pytest.CollectReport]] = {}
        self._reports: list[pytest.TestReport | pytest.CollectReport] = []

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """What pytest reads everywhere and only its terminal plugin has."""
        group = parser.getgroup("server")
        group.addoption("--verbose", type=int, default=0)
        group.addoption("--tb", dest="tbstyle", default="short")
        group.addoption("--fulltrace", action="store_true")
        group.addoption("--showlocals", action="store_true")
        group.addoption("--capture", default="no")
        group.addoption("--usepdb", action="store_true")

    def pytest_collection(self, session: pytest.Session) -> bool:
        """Nothing yet: a file is collected when a test of it is asked for."""
        return True

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer until the agent is gone."""
        self._control.answer(PASS)
        while node := self._control.request():
            status = self._run(session, node)
            if os.getpid() != self._pid:
                os._exit(status)  # a child of a test has come out of it
            self._control.answer(status)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep it: what is wrong with a file is wrong with its tests."""
        self._reports.append(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports on set-up, call and teardown."""
        self._reports.append(report)

    def _run(self, session: pytest.Session, node: str) -> int:
        file, _, name = node.partition("::")
        write("KTAP version 1\n1..1\n")
        self._reports.clear()
        if node not in self._items:
            self._items |= {item.nodeid: item for item in collect(session, file)}
        item = self._items.get(node)
        if item is not None:
            self._reports.clear()
            with self._control.fault:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        elif not any(report.failed or report.skipped for report in self._reports):
            self._reports.clear()
        status, text = judge(self._reports)
        if os.getpid() == self._pid:
            write(text % name.replace("#", "\\#"))
        return status


def collect(session: pytest.Session, file: str) -> list[pytest.Item]:
    """The tests of a file. session.perform_collect() would look at all else in DIRECTORY too,
    which takes longer than most tests."""
    directory = pytest.Dir.from_parent(session, path=session.path)
    module = pytest.Module.from_parent(directory, path=session.path / file)
    items = list(session.genitems(module))
    hook = session.config.hook
    hook.pytest_collection_modifyitems(session=session, config=session.config, items=items)
    return items


def judge(reports: list["pytest.TestReport | pytest.CollectReport"]) -> tuple[int, str]:
    """Status and KTAP of what was reported on a test; the text has a %s for its name."""
    failed = [report for report in reports if report.failed]
    if failed or not reports:
        said = "".join(map(describe, failed)) or "# there is no such test in the guest\n"
        return FAIL, said.replace("%", "%%") + "not ok 1 %s\n"
    for report in reports:
        if report.skipped:
            expected = getattr(report, "wasxfail", None)
            if expected is not None:
                return PASS, f"ok 1 %s # XFAIL {one_line(expected)}\n"
            return SKIP, f"ok 1 %s # SKIP {one_line(why_skipped(report))}\n"
    return PASS, "ok 1 %s\n"


def describe(report: "pytest.TestReport | pytest.CollectReport") -> str:
    """A failure as diagnostic lines. The last one is place and message: what a report shows."""
    lines = [line for line in report.longreprtext.splitlines() if line.strip()]
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        place = f"{os.path.basename(crash.path)}:{crash.lineno}"  # noqa: PTH119 (pathlib is slow)
        phase = "" if report.when == "call" else f"in {report.when}: "
        lines.append(f"{place}: {phase}{crash.message.strip().partition(chr(10))[0]}")
    return "".join(f"# {line}\n" for line in lines)


def why_skipped(report: "pytest.TestReport | pytest.CollectReport") -> str:
    """The reason alone, of (path, line, "Skipped: reason")."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return reason.removeprefix("Skipped: ")


def one_line(text: str) -> str:
    """`text` fit for a result line, and for the % that follows."""
    return " ".join(text.split()).replace("%", "%%")


def write(text: str) -> None:
    """All of `text` to the output, past what a test has made of sys.stdout."""
    data = text.encode(errors="replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        os._exit(FAIL)  # a test has closed it: the next one gets another interpreter


def _spent() -> tuple[float, float]:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime for one in both), sum(one.ru_stime for one in both)


def _reap() -> None:
    """Take leave of the children that a test left and the agent killed."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _reseed() -> None:
    """A guest that was saved after the import would see the same numbers at every restore."""
    if "random" in sys.modules:
        sys.modules["random"].seed()


def main() -> int:
    """Serve until the agent is gone."""
    faulthandler.enable()
    control = Control(os.environ.pop("HARNESS_CONTROL"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ["-c", os.devnull, "--rootdir", DIRECTORY]
    for name in _UNUSED:
        arguments += ["-p", f"no:{name}"]
    return int(pytest.main(arguments, [Server(control)]))


if __name__ == "__main__":
    raise SystemExit(main())
