# SPDX-License-Identifier: GPL-2.0-only
"""io_cancel() of polls: it answers EINPROGRESS, and the event comes with no bits in it."""

import errno
from io import FileIO

import aio
import pytest

Pipe = tuple[FileIO, FileIO]


def test_pending_poll_gets_its_event(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    request = aio.poll(reader, aio.POLLIN)
    context.submit(request)
    context.cancel(request)
    assert context.event(request) == 0
    writer.write(b"x")
    assert context.is_quiet


def test_twice_is_refused(context: aio.Context, pipe: Pipe) -> None:
    request = aio.poll(pipe[0], aio.POLLIN)
    context.submit(request)
    context.cancel(request)
    with pytest.raises(OSError) as refused:
        context.cancel(request)
    assert refused.value.errno == errno.EINVAL
    assert context.event(request) == 0
    assert context.is_quiet


def test_others_of_the_file_go_on(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    first, middle, last = (aio.poll(reader, aio.POLLIN) for _ in range(3))
    context.submit(first, middle, last)
    context.cancel(middle)
    assert context.event(middle) == 0
    writer.write(b"x")
    assert all(result & aio.POLLIN for result in context.results([first, last]))
