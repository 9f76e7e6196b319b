# SPDX-License-Identifier: GPL-2.0-only
"""Reads, writes and syncs of one file beside each other, and what is refused."""

import errno
import os
from io import FileIO
from pathlib import Path

import aio
import pytest


def test_writes_of_one_call_all_land(tmp_path: Path) -> None:
    pieces = [bytes([number]) * 1000 for number in range(32)]
    with aio.Context(32) as context, FileIO(tmp_path / "file", "w+") as file:
        writes = [aio.pwrite(file, piece, 1000 * at) for at, piece in enumerate(pieces)]
        assert context.submit(*writes) == 32
        assert context.results(writes) == [1000] * 32
        reads = [aio.pread(file, 1000, 1000 * at) for at in range(32)]
        assert context.submit(*reads) == 32
        assert context.results(reads) == [1000] * 32
        assert [read.data for read in reads] == pieces


def test_syncs_beside_writes(tmp_path: Path) -> None:
    with aio.Context() as context, FileIO(tmp_path / "file", "w+") as file:
        write = aio.pwrite(file, b"data")
        requests = [write, aio.fsync(file), aio.fsync(file, data_only=True)]
        assert context.submit(*requests) == 3
        assert context.results(requests) == [4, 0, 0]
    assert (tmp_path / "file").read_bytes() == b"data"


def test_short_read_says_how_much(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with aio.Context() as context, FileIO(tmp_path / "file") as file:
        read = aio.pread(file, 10, 3)
        context.submit(read)
        assert context.event(read) == 2
        assert read.data == b"45" + bytes(8)


def test_directory_cannot_be_read(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    try:
        with aio.Context() as context, pytest.raises(OSError) as refused:
            context.submit(aio.pread(number, 1))
    finally:
        os.close(number)
    assert refused.value.errno in (errno.EINVAL, errno.EISDIR)


def test_write_beyond_the_limit(tmp_path: Path) -> None:
    """RLIMIT_FSIZE ends the write where it stands, and a signal tells who submitted it."""
    child = os.fork()
    if not child:
        _write_beyond(tmp_path / "file")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _write_beyond(path: Path) -> None:
    import resource
    import signal

    status = 1
    try:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with aio.Context() as context, FileIO(path, "w") as file:
            inside, outside = aio.pwrite(file, bytes(60), 60), aio.pwrite(file, b"x", 100)
            context.submit(inside, outside)
            status = 0 if context.results([inside, outside]) == [40, -errno.EFBIG] else 2
    finally:
        os._exit(status)
