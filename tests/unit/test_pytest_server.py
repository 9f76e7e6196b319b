# SPDX-License-Identifier: GPL-2.0-only
"""The server's side of the protocol in agent/server.c, on the host and with real pytest."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ktap
from harness.model import Outcome
from harness.suites import python_tests

DEADLINE_S = 30.0
TESTS = """
import os, signal, subprocess, sys, threading
import pytest

def test_passes():
    assert True

def test_fails():
    number = 41
    assert number == 42, "50% of an answer"

def test_skips():
    pytest.skip("no 100% luck")

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False

@pytest.fixture
def broken():
    raise ValueError("nothing to stand on")

def test_set_up(broken):
    pass

@pytest.mark.parametrize("letter", ["a#b"])
def test_letter(letter):
    assert letter

def test_lies():
    for fd in range(3, 256):
        try:
            os.write(fd, b"0000000000000000 0 0 0")
            os.write(fd, b"status 0\\n")
        except OSError:
            pass
    print("KTAP version 1\\n1..1\\nok 1 test_lies\\nstatus 0")
    assert False, "caught"

def test_fork_comes_back():
    os.fork()

def sockets():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass  # it was the directory itself
    return [link for link in links if link.startswith("socket:")]

def test_children_know_nothing():
    assert len(sockets()) == 1
    assert "HARNESS_CONTROL" not in os.environ
    said = subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, check=True)
    assert b"socket:" not in said.stdout
    child = os.fork()
    if not child:
        os._exit(len(sockets()))
    assert os.waitpid(child, 0)[1] == 0

def test_exits():
    os._exit(7)

def test_aborts():
    os.abort()

def test_closes_everything():
    os.closerange(3, 256)

def test_hangs():
    threading.Event().wait()
"""


class Agent:
    """What agent/server.c does, with the server as a child."""

    def __init__(self, directory: Path) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(DEADLINE_S)
        control = f"{theirs.fileno()} first"
        self._output = directory / "output"
        with theirs, self._output.open("ab") as output:
            self.process = subprocess.Popen(
                python_tests.command(directory),
                cwd=directory,
                env={"HARNESS_CONTROL": control, "PATH": os.environ["PATH"]},
                pass_fds=[theirs.fileno()],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.ready = self._socket.recv(4096)
        self._calls = 0

    def ask(self, test: str) -> None:
        self._calls += 1
        os.truncate(self._output, 0)
        self._socket.send(f"token{self._calls} test_file.py::{test}".encode())

    def call(self, test: str) -> tuple[int | None, str]:
        """The status of the first answer with the right token, None for the server's death."""
        self.ask(test)
        while answer := self._socket.recv(4096):
            token, _, rest = answer.decode().partition(" ")
            if token == f"token{self._calls}":
                return int(rest.split()[0]), self.output
        self.process.wait(DEADLINE_S)
        return None, self.output

    @property
    def output(self) -> str:
        return self._output.read_text()

    def close(self) -> None:
        self._socket.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tests")
    (made / "test_file.py").write_text(TESTS)
    python_tests.add_server(made)
    return made


@pytest.fixture(scope="module")
def lasting(directory: Path) -> Iterator[Agent]:
    """One server for all tests that leave it alive."""
    agent = Agent(directory)
    yield agent
    agent.close()


@pytest.fixture
def agent(directory: Path) -> Iterator[Agent]:
    made = Agent(directory)
    yield made
    made.close()


def test_it_says_when_it_is_ready(lasting: Agent) -> None:
    token, status, user_us, system_us = lasting.ready.decode().split()
    assert (token, status) == ("first", "0")
    assert int(user_us) > 0 and int(system_us) >= 0


@pytest.mark.parametrize(
    ("test", "status", "outcome", "detail"),
    [
        ("test_passes", 0, Outcome.PASS, ""),
        ("test_fails", 1, Outcome.FAIL, "test_fails: test_file.py:10: AssertionError: 50% of an "),
        ("test_skips", 4, Outcome.SKIP, "no 100% luck"),
        ("test_is_expected_to_fail", 0, Outcome.PASS, ""),
        ("test_set_up", 1, Outcome.FAIL, "test_set_up: test_file.py:21: in setup: ValueError: no"),
        ("test_letter[a#b]", 0, Outcome.PASS, ""),
        ("test_gone", 1, Outcome.FAIL, "test_gone: there is no such test in the guest"),
        ("test_lies", 1, Outcome.FAIL, ""),
        ("test_fork_comes_back", 0, Outcome.PASS, ""),
        ("test_children_know_nothing", 0, Outcome.PASS, ""),
    ],
)
def test_an_answer_and_ktap(
    lasting: Agent, test: str, status: int, outcome: Outcome, detail: str
) -> None:
    assert lasting.call(test)[0] == status, lasting.output
    told = ktap.parse(lasting.output)
    assert told.outcome is outcome, lasting.output
    assert told.detail.startswith(detail)


def test_a_file_that_does_not_import_fails_its_tests(directory: Path, agent: Agent) -> None:
    (directory / "test_broken.py").write_text("import no_such_module\n")
    agent._socket.send(b"t test_broken.py::test_a")
    assert agent._socket.recv(4096).decode().split()[:2] == ["t", "1"]
    assert "No module named 'no_such_module'" in agent.output


@pytest.mark.parametrize(
    ("test", "code"),
    [("test_exits", 7), ("test_aborts", -signal.SIGABRT), ("test_closes_everything", 1)],
)
def test_a_test_that_ends_the_server_leaves_what_was_printed(
    agent: Agent, test: str, code: int
) -> None:
    status, output = agent.call(test)
    assert status is None
    assert agent.process.returncode == code
    assert output.startswith("KTAP version 1\n1..1\n")


def test_a_hanging_test_gives_no_answer(agent: Agent) -> None:
    agent.ask("test_hangs")
    agent._socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        agent._socket.recv(4096)


def test_it_ends_with_its_agent(agent: Agent) -> None:
    agent._socket.close()
    agent.process.wait(DEADLINE_S)
    assert agent.process.returncode is not None
