# SPDX-License-Identifier: GPL-2.0-only
"""A small parent for what the harness starts: `python -I -S guard.py LIFE_FD ARGV...`

It is a child subreaper, so no process below it can escape, however it forks or which session it
makes. LIFE_FD is a pipe whose other end only the harness holds: a byte `t` asks for SIGTERM to
all below, end of file (the harness closed it, or died, even by SIGKILL) for SIGKILL. When the
command ends, what it left behind is killed as well. Exit status: the command's, 128 + N for
signal N. Never imported; uses the standard library only, as it starts without site, and little of
it, as every import is a millisecond of every process that the harness starts.
"""

import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_KILL_DEADLINE_S = 10.0


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _parents() -> dict[int, int]:
    """pid -> parent pid of every process; zombies left out (they need a wait, not a signal)."""
    parents = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 (pathlib costs 5 ms here)
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
                # The command name may hold anything, so count fields from its last bracket.
                state, ppid = stat.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            parents[int(entry)] = int(ppid)
    return parents


def _descendants() -> list[int]:
    parents = _parents()
    found = {os.getpid()}
    while True:
        more = {pid for pid, ppid in parents.items() if ppid in found and pid not in found}
        if not more:
            return sorted(found - {os.getpid()})
        found |= more


def _signal_all(number: int) -> int:
    pids = _descendants()
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass
    return len(pids)


def _kill_all() -> None:
    """Kill until nothing is left: a killed parent's children come to us, so look again."""
    deadline = time.monotonic() + _KILL_DEADLINE_S
    while _signal_all(signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.002)  # poll: the kernel needs a moment to tear them down
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return  # whoever is below us is our child, or was its parent's


def _start(argv: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def main(life: int, argv: list[str]) -> int:
    """Run `argv` and see to its end; returns the exit status for the harness."""
    os.set_inheritable(life, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    child = _start(argv)
    poll = select.poll()
    exited = os.pidfd_open(child)
    poll.register(exited, select.POLLIN)
    poll.register(life, select.POLLIN)
    status = int(signal.SIGKILL)  # as waitpid would give it, should the harness go first
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if exited in ready:
            status = os.waitpid(child, 0)[1]
            break
        if life in ready:
            if not os.read(life, 16):
                break
            _signal_all(signal.SIGTERM)
    _kill_all()
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
