# SPDX-License-Identifier: GPL-2.0-only
"""io_pgetevents() waits with a signal mask of its own, and puts the old one back."""

import os
import signal
from collections.abc import Iterator
from io import FileIO

import aio
import pytest


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that came: SIGUSR1 has a handler, and the old mask is put back at the end."""
    came: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    old = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    yield came
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGUSR1, old)


def test_unblocked_signal_ends_the_wait(context: aio.Context, heard: list[int]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    assert not heard
    with pytest.raises(InterruptedError):
        context.events_with_mask((), least=1, timeout_s=aio.EVENT_TIMEOUT_S)
    assert heard == [signal.SIGUSR1]
    assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_blocked_signal_waits_for_the_end(
    context: aio.Context, heard: list[int], pipe: tuple[FileIO, FileIO]
) -> None:
    reader, writer = pipe
    request = aio.poll(reader, aio.POLLIN)
    context.submit(request)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    child = os.fork()
    if not child:
        writer.write(b"x")
        os._exit(0)
    got = context.events_with_mask([signal.SIGUSR1], least=1, timeout_s=aio.EVENT_TIMEOUT_S)
    os.waitpid(child, 0)
    assert [event.address for event in got] == [request.address]
    assert not heard
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert heard == [signal.SIGUSR1]
