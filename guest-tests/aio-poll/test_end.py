# SPDX-License-Identifier: GPL-2.0-only
"""Polls are pending when their context is destroyed or their process ends."""

import errno
import os
import signal
from io import FileIO

import aio
import pytest

Pipe = tuple[FileIO, FileIO]


def test_destroy_with_pending_polls(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    doomed = aio.Context()
    requests = [aio.poll(reader, aio.POLLIN) for _ in range(8)]
    doomed.submit(*requests)
    doomed.destroy()
    writer.write(b"x")
    request = aio.poll(reader, aio.POLLIN)
    context.submit(request)
    assert context.event(request) & aio.POLLIN


def test_destroyed_context_is_gone(pipe: Pipe) -> None:
    doomed = aio.Context()
    doomed.destroy()
    with pytest.raises(OSError) as refused:
        doomed.submit(aio.poll(pipe[0], aio.POLLIN))
    assert refused.value.errno == errno.EINVAL


@pytest.mark.parametrize("killed", [False, True], ids=["exits", "killed"])
def test_process_ends_with_pending_polls(context: aio.Context, pipe: Pipe, killed: bool) -> None:
    reader, writer = pipe
    request = aio.poll(reader, aio.POLLIN)
    context.submit(request)
    child = os.fork()
    if not child:
        requests = [aio.poll(reader, aio.POLLIN) for _ in range(8)]
        taken = aio.Context().submit(*requests)
        os.kill(os.getpid(), signal.SIGKILL if killed else 0)
        os._exit(0 if taken == 8 else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (-signal.SIGKILL if killed else 0)
    assert context.is_quiet
    writer.write(b"x")
    assert context.event(request) & aio.POLLIN
