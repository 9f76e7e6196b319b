# SPDX-License-Identifier: GPL-2.0-only
"""A socket has one wait queue for everything: its polls have to tell the wake-ups apart."""

import socket

import aio
import pytest


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "dgram"])
def test_becomes_readable(context: aio.Context, kind: int) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        request = aio.poll(one, aio.POLLIN)
        context.submit(request)
        assert context.is_quiet
        other.send(b"x")
        assert context.event(request) & (aio.POLLIN | aio.POLLHUP) == aio.POLLIN


def test_tcp_listener_gets_a_connection(context: aio.Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        request = aio.poll(listener, aio.POLLIN)
        context.submit(request)
        assert context.is_quiet
        with socket.create_connection(listener.getsockname(), timeout=aio.EVENT_TIMEOUT_S):
            assert context.event(request) & aio.POLLIN


def test_end_of_input_only_when_asked_for(
    context: aio.Context, sockets: tuple[socket.socket, socket.socket]
) -> None:
    one, other = sockets
    asks, does_not = aio.poll(one, aio.POLLRDHUP), aio.poll(one, 0)
    context.submit(asks, does_not)
    other.shutdown(socket.SHUT_WR)
    assert context.event(asks) & (aio.POLLRDHUP | aio.POLLHUP) == aio.POLLRDHUP
    assert context.is_quiet
