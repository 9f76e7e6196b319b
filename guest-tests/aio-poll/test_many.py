# SPDX-License-Identifier: GPL-2.0-only
"""Several polls of one file: each gets the one event that is its own."""

import socket
from io import FileIO

import aio

COUNT = 12


def test_one_wakeup_completes_all(context: aio.Context, pipe: tuple[FileIO, FileIO]) -> None:
    reader, writer = pipe
    requests = [aio.poll(reader, aio.POLLIN) for _ in range(COUNT)]
    assert context.submit(*requests) == COUNT
    assert context.is_quiet
    writer.write(b"x")
    assert all(result & aio.POLLIN for result in context.results(requests))
    assert context.is_quiet


def test_each_mask_gets_its_own_wakeup(
    context: aio.Context, sockets: tuple[socket.socket, socket.socket]
) -> None:
    one, other = sockets
    reads, hangs_up = aio.poll(one, aio.POLLIN), aio.poll(one, 0)
    context.submit(reads, hangs_up)
    other.send(b"x")
    assert context.event(reads) & (aio.POLLIN | aio.POLLHUP) == aio.POLLIN
    assert context.is_quiet
    other.close()
    assert context.event(hangs_up) & aio.POLLHUP
