# SPDX-License-Identifier: GPL-2.0-only
"""IOCB_CMD_POLL of a pipe's ends."""

import os

import aio


def test_becomes_readable() -> None:
    read, write = os.pipe()
    with aio.Context() as context:
        request = aio.poll(read, aio.POLLIN)
        assert context.submit(request) == 1
        assert context.events() == []
        os.write(write, b"x")
        assert context.event(request) & aio.POLLIN
