# SPDX-License-Identifier: GPL-2.0-only
"""A file becomes ready while io_submit() is polling it: one event, not none and not two.

The C programs (submit-race and its like) look for the moment with more patience; this one goes
through the same with what a program in Python does, threads that take turns.
"""

import queue
import threading
from io import FileIO

import aio

ROUNDS = 40


def test_becomes_ready_meanwhile(context: aio.Context, pipe: tuple[FileIO, FileIO]) -> None:
    reader, writer = pipe
    turns: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def write() -> None:
        while data := turns.get(timeout=aio.EVENT_TIMEOUT_S):
            writer.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    for _ in range(ROUNDS):
        requests = [aio.poll(reader, aio.POLLIN) for _ in range(4)]
        turns.put(b"x")
        context.submit(*requests)
        assert all(result & aio.POLLIN for result in context.results(requests))
        reader.read(1)
    turns.put(b"")
    thread.join(aio.EVENT_TIMEOUT_S)
    assert context.is_quiet
