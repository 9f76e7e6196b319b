# SPDX-License-Identifier: GPL-2.0-only
"""One file on two wait queues, one for data and one for room: either completes the poll.

Kernels without the aio-poll series refuse this: io_submit: EINVAL.
"""

from io import FileIO

import aio


def test_fifo_gets_data(context: aio.Context, fifo: FileIO) -> None:
    request = aio.poll(fifo, aio.POLLIN)
    context.submit(request)
    assert context.is_quiet
    fifo.write(b"x")
    assert context.event(request) & aio.POLLIN
    assert context.is_quiet


def test_fifo_gets_room(context: aio.Context, fifo: FileIO) -> None:
    while fifo.write(bytes(4096)):
        pass
    request = aio.poll(fifo, aio.POLLOUT)
    context.submit(request)
    assert context.is_quiet
    while fifo.read(65536):
        pass
    assert context.event(request) & aio.POLLOUT
    assert context.is_quiet


def test_fifo_poll_is_cancelled_once(context: aio.Context, fifo: FileIO) -> None:
    request = aio.poll(fifo, aio.POLLIN)
    context.submit(request)
    context.cancel(request)
    assert context.event(request) == 0
    fifo.write(b"x")
    assert context.is_quiet


def test_pty_slave_gets_input(context: aio.Context, pty: tuple[FileIO, FileIO]) -> None:
    master, slave = pty
    request = aio.poll(slave, aio.POLLIN)
    context.submit(request)
    assert context.is_quiet
    master.write(b"x")
    assert context.event(request) & aio.POLLIN


def test_pty_hangs_up(context: aio.Context, pty: tuple[FileIO, FileIO]) -> None:
    master, slave = pty
    request = aio.poll(slave, 0)
    context.submit(request)
    assert context.is_quiet
    master.close()
    assert context.event(request) & aio.POLLHUP
