# SPDX-License-Identifier: GPL-2.0-only
"""Polls of an eventfd, and polls that signal one when they complete (IOCB_FLAG_RESFD)."""

import struct
from io import FileIO

import aio

ONE = struct.pack("=Q", 1)


def count(eventfd: FileIO) -> int:
    """What it has counted since the last time."""
    return int(struct.unpack("=Q", eventfd.read(8) or bytes(8))[0])


def test_becomes_readable(context: aio.Context, eventfd: FileIO) -> None:
    request = aio.poll(eventfd, aio.POLLIN)
    context.submit(request)
    assert context.is_quiet
    eventfd.write(ONE)
    assert context.event(request) & aio.POLLIN


def test_counts_completions(
    context: aio.Context, eventfd: FileIO, pipe: tuple[FileIO, FileIO]
) -> None:
    reader, writer = pipe
    requests = [aio.poll(reader, aio.POLLIN, notify=eventfd) for _ in range(5)]
    context.submit(*requests)
    aio.settle()
    assert count(eventfd) == 0
    writer.write(b"x")
    context.results(requests)
    aio.settle()
    assert count(eventfd) == 5


def test_signals_the_file_that_is_polled(context: aio.Context, eventfd: FileIO) -> None:
    for _ in range(10):
        request = aio.poll(eventfd, aio.POLLIN, notify=eventfd)
        context.submit(request)
        eventfd.write(ONE)
        assert context.event(request) & aio.POLLIN
        aio.settle()
        assert count(eventfd) == 2, "ours and the kernel's"
