# SPDX-License-Identifier: GPL-2.0-only
"""Runs one pytest test in a guest without the agent (`harness repro`): a program, never imported.

    python -I -S pytest_once.py NODEID SERVER...

starts the command line SERVER (pytest_server.py) as the agent would, asks it for one test, and
ends with the test's status, or 128 + N when signal N ended the server.
"""

import os
import socket
import sys

_CONTROL_FD = 3
_MESSAGE_MAX = 4096


def answer(control: socket.socket, token: str) -> int | None:
    """The status that the server tells; None when it has ended or spoken out of turn."""
    told = control.recv(_MESSAGE_MAX).decode().split()
    return int(told[1]) if told[:1] == [token] else None


def serve(control: socket.socket, token: str, argv: list[str]) -> None:
    """Become the server."""
    if control.fileno() != _CONTROL_FD:
        os.dup2(control.fileno(), _CONTROL_FD)
    os.set_inheritable(_CONTROL_FD, True)
    os.environ["HARNESS_CONTROL"] = f"{_CONTROL_FD} {token}"
    os.execv(argv[0], argv)


def main(node: str, *server: str) -> int:
    """One test, from the server's start to its answer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first, second = os.urandom(8).hex(), os.urandom(8).hex()
    pid = os.fork()  # noqa: TID251 (of a guest, which has no harness)
    if pid == 0:
        serve(theirs, first, list(server))
    theirs.close()
    if answer(ours, first) == 0:
        ours.send(f"{second} {node}".encode())
        status = answer(ours, second)
        if status is not None:
            return status
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return ended if ended >= 0 else 128 - ended


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
