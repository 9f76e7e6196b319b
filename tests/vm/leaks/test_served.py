# SPDX-License-Identifier: GPL-2.0-only
"""What stays with the interpreter is its own; what does not is left behind."""

import ctypes
import mmap
import os
import socket

KEPT: list[object] = []


def test_keeps_files_open() -> None:
    KEPT.extend(os.open("/proc/self/exe", os.O_RDONLY) for _ in range(5))


def test_keeps_a_file_mapped() -> None:
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    KEPT.append(mmap.mmap(fd, 4096, access=mmap.ACCESS_READ))
    os.close(fd)


def test_keeps_what_proc_does_not_show() -> None:
    """A file that is in flight in a socket has no descriptor."""
    ends = socket.socketpair()
    fd = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(ends[0], [b"x"], [fd])
    os.close(fd)
    KEPT.extend(ends)


def test_leaves_a_segment() -> None:
    assert ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0


def test_after_it() -> None:
    assert os.getpid()
