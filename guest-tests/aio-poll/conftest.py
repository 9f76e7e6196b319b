# SPDX-License-Identifier: GPL-2.0-only
"""Files to poll, all of them O_NONBLOCK and closed at the end of the test."""

import os
import socket
import tty
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import aio
import pytest


@pytest.fixture
def context() -> Iterator[aio.Context]:
    """An AIO context, destroyed at the end with all that is pending."""
    with aio.Context() as made:
        yield made


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """A pipe's read and write end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with FileIO(read, "r") as reader, FileIO(write, "w") as writer:
        yield reader, writer


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected unix stream sockets."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with one, other:
        yield one, other


@pytest.fixture
def eventfd() -> Iterator[FileIO]:
    """An eventfd that counts nothing yet."""
    with FileIO(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), "r+") as file:
        yield file


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[FileIO]:
    """A FIFO opened O_RDWR: one file on two wait queues."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with FileIO(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), "r+") as file:
        yield file


@pytest.fixture
def pty() -> Iterator[tuple[FileIO, FileIO]]:
    """A raw pseudo-terminal, master and slave: each side is one file on two wait queues."""
    try:
        ends = os.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminals here: {error}")
    for end in ends:
        os.set_blocking(end, False)
    with FileIO(ends[0], "r+") as master, FileIO(ends[1], "r+") as slave:
        tty.setraw(slave.fileno())
        yield master, slave
