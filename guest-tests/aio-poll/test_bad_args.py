# SPDX-License-Identifier: GPL-2.0-only
"""What IOCB_CMD_POLL refuses, and with which error; it costs the context nothing."""

import errno
from io import FileIO

import aio
import pytest

Pipe = tuple[FileIO, FileIO]


def refusal(context: aio.Context, request: aio.Iocb) -> int:
    """The error of io_submit(), the same more often than the context has room for requests."""
    codes = set()
    for _ in range(50):
        with pytest.raises(OSError) as refused:
            context.submit(request)
        codes.add(refused.value.errno)
    assert context.events() == []
    (code,) = codes
    assert code is not None
    return code


def test_fields_that_mean_nothing(context: aio.Context, pipe: Pipe) -> None:
    for field in ("aio_offset", "aio_nbytes", "aio_rw_flags", "aio_reserved2"):
        request = aio.poll(pipe[0], aio.POLLIN)
        setattr(request.raw, field, 1)
        assert refusal(context, request) == errno.EINVAL, field


def test_events_beyond_sixteen_bits(context: aio.Context, pipe: Pipe) -> None:
    assert refusal(context, aio.poll(pipe[0], aio.POLLIN | 0x10000)) == errno.EINVAL


def test_no_such_file(context: aio.Context) -> None:
    assert refusal(context, aio.poll(-1, aio.POLLIN)) == errno.EBADF


def test_notifies_what_is_no_eventfd(context: aio.Context, pipe: Pipe) -> None:
    assert refusal(context, aio.poll(pipe[0], aio.POLLIN, notify=pipe[1])) == errno.EINVAL
    assert refusal(context, aio.poll(pipe[0], aio.POLLIN, notify=-1)) == errno.EBADF
