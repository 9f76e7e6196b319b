# SPDX-License-Identifier: GPL-2.0-only
"""A poll of a pipe's end waits while the end is not ready, and completes once when it is."""

from io import FileIO
from pathlib import Path

import aio

Pipe = tuple[FileIO, FileIO]


def test_becomes_readable(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    request = aio.poll(reader, aio.POLLIN)
    context.submit(request)
    assert context.is_quiet
    writer.write(b"x")
    assert context.event(request) & aio.POLLIN
    writer.write(b"x")
    assert context.is_quiet, "a poll completes once"


def test_becomes_writable(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    while writer.write(bytes(4096)):
        pass
    request = aio.poll(writer, aio.POLLOUT)
    context.submit(request)
    assert context.is_quiet
    while reader.read(65536):
        pass
    assert context.event(request) & aio.POLLOUT


def test_is_ready_at_once(context: aio.Context, pipe: Pipe) -> None:
    reader, writer = pipe
    writer.write(b"x")
    ready, waits = aio.poll(reader, aio.POLLIN | aio.POLLPRI), aio.poll(reader, aio.POLLPRI)
    context.submit(ready, waits)
    assert context.event(ready, 0.0) == aio.POLLIN
    assert context.is_quiet


def test_reads_and_writes_go_on_beside_it(context: aio.Context, pipe: Pipe, tmp_path: Path) -> None:
    waits = aio.poll(pipe[0], aio.POLLIN)
    with (tmp_path / "file").open("wb+", buffering=0) as file:
        write, sync = aio.pwrite(file, b"some bytes", 5), aio.fsync(file)
        context.submit(waits, write)
        assert context.event(write) == 10
        context.submit(sync)
        assert context.event(sync) == 0
        read, ready = aio.pread(file, 100), aio.poll(file, aio.POLLIN)
        context.submit(read, ready)
        assert context.results([read, ready]) == [15, aio.POLLIN]
        assert read.data[:15] == bytes(5) + b"some bytes"
