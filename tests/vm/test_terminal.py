# SPDX-License-Identifier: GPL-2.0-only
"""What a person at a terminal does: a shell, Ctrl-C during a build and during a test."""

import contextlib
import os
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect

from tests.vm.conftest import argv, environment
from tests.vm.test_run import events_of


@contextlib.contextmanager
def terminal(*words: str, env: dict[str, str] | None = None) -> Iterator[Any]:
    """A harness on a terminal of its own, 80 columns wide, which is as it was at the end."""
    command = argv(*words)
    child = pexpect.spawn(
        command[0], command[1:], timeout=300, env=env or dict(os.environ), dimensions=(24, 80)
    )
    before = termios.tcgetattr(child.child_fd)
    try:
        yield child
        child.expect(pexpect.EOF)
        with contextlib.suppress(termios.error):  # gone with its last process
            assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close(force=True)


def below(pid: int) -> dict[int, str]:
    """The processes that `pid` started, and those that they did, with the times they began."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1]), fields[19]
    found: dict[int, str] = {}
    while more := {
        child: began
        for child, (parent, began) in parents.items()
        if (parent == pid or parent in found) and child not in found
    }:
        found |= more
    return found


def gone(processes: dict[int, str]) -> None:
    """None of them is left, two seconds from now at the latest."""
    deadline = time.monotonic() + 2

    def left() -> list[int]:
        return [pid for pid, began in processes.items() if began_at(pid) == began]

    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes and not left()


def began_at(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def test_a_shell_a_command_and_the_way_out() -> None:
    # A PATH without the virtual environment: what we start has to be found all the same.
    path = os.pathsep.join(p for p in os.environ["PATH"].split(":") if "/.tox/" not in p)
    with terminal("boot", "--series", "aio-poll", env={**os.environ, "PATH": path}) as child:
        child.expect(r"[#$] ")
        child.sendline("stty size; echo answer-$((40 + 2))")
        child.expect("24 80")
        child.expect("answer-42")
        # Once it runs: the shell itself would take what comes earlier.
        child.sendline("sh -c 'echo begun-$((1 + 1)); exec sleep 1000'")
        child.expect("begun-2")
        child.send("\x03")  # for the sleep in the guest, not for us
        child.sendline("exit 0")
    assert child.exitstatus == 0


def test_ctrl_c_during_a_build_ends_it(tmp_path: Path) -> None:
    # The build of this never ends here; what it did is there for the next time.
    words = ("run", "--series", "aio-poll", "--set", "DEFAULT_HOSTNAME=interrupted")
    with terminal(*words, "--output", str(tmp_path)) as child:
        child.expect(r"\d+/\d+")
        started = below(child.pid)
        child.sendintr()
        child.expect("interrupted")
    assert child.exitstatus == 130
    assert events_of(tmp_path)[-1]["exit"] == 130
    gone(started)


def test_ctrl_c_during_a_test_keeps_the_results(tmp_path: Path, nasty: Path) -> None:
    words = ("run", "--suite", "nasty", "--test", "good-1.sh", "--test", "hang.sh")
    with terminal(*words, "--output", str(tmp_path), env=environment(nasty)) as child:
        child.expect("hang.sh")
        started = below(child.pid)
        child.sendintr()
        child.expect("not run: 1 test")
        child.expect("interrupted")
    assert child.exitstatus == 130
    results = [e for e in events_of(tmp_path) if e["event"] == "result"]
    assert [one["outcome"] for one in results] == ["pass"]
    gone(started)
