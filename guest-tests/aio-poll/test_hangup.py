# SPDX-License-Identifier: GPL-2.0-only
"""POLLHUP and POLLERR complete a poll that did not ask for them, as poll(2) has it."""

import socket
from io import FileIO

import aio


def test_writer_closes(context: aio.Context, pipe: tuple[FileIO, FileIO]) -> None:
    reader, writer = pipe
    request = aio.poll(reader, 0)
    context.submit(request)
    assert context.is_quiet
    writer.close()
    assert context.event(request) == aio.POLLHUP


def test_reader_closes(context: aio.Context, pipe: tuple[FileIO, FileIO]) -> None:
    reader, writer = pipe
    request = aio.poll(writer, 0)
    context.submit(request)
    assert context.is_quiet
    reader.close()
    assert context.event(request) == aio.POLLERR


def test_peer_closes(context: aio.Context, sockets: tuple[socket.socket, socket.socket]) -> None:
    one, other = sockets
    request = aio.poll(one, 0)
    context.submit(request)
    other.close()
    assert context.event(request) & aio.POLLHUP
