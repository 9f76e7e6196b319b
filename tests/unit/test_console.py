# SPDX-License-Identifier: GPL-2.0-only
import os
from pathlib import Path

import pytest

from harness.console import Console

NONCE = "0123456789abcdef"
CONSOLES = Path(__file__).parents[1] / "data/consoles"
PANIC = CONSOLES / "panic.txt"
WARNING = CONSOLES / "6.12-plain-warn.txt"


def feed(tmp_path: Path, data: bytes, size: int) -> Console:
    """A console that got `data` in pieces of `size` and then its end."""
    reader, writer = os.pipe()
    with Console(reader, tmp_path / "console.log", NONCE) as console:
        for at in range(0, len(data), size):
            os.write(writer, data[at : at + size])
            console.pump()
        os.close(writer)
        while not console.ended:
            console.pump()
    os.close(reader)
    return console


def marked(ident: int, body: bytes) -> bytes:
    start = f"[    1.000000] harness {NONCE}: start {ident} s/t\r\n".encode()
    end = f"[    2.000000] harness {NONCE}: end {ident}\r\n".encode()
    return start + body + end


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_console_is_kept_whole(tmp_path: Path, size: int) -> None:
    data = b"first\xff\x00 byte\r\n" + marked(1, b"x" * 5000 + b"\r\n") + b"no end of line"
    console = feed(tmp_path, data, size)
    assert (tmp_path / "console.log").read_bytes() == data
    assert console.marks == {1: [2, 4]}
    assert console.tail(1) == ("no end of line",)


@pytest.mark.parametrize("size", [3, 4096])
def test_a_splat_belongs_to_the_command_that_ran(tmp_path: Path, size: int) -> None:
    splat = PANIC.read_bytes().partition(b"\n")[2]
    data = marked(1, b"quiet\r\n") + f"harness {NONCE}: start 2 s/u\r\n".encode() + splat
    console = feed(tmp_path, data, size)
    assert console.during(1) == ()
    assert [s.kind for s in console.during(2)] == ["panic"]
    assert console.over(1) and console.over(2)


def test_a_splat_of_no_command_has_a_phase(tmp_path: Path) -> None:
    recorded = WARNING.read_bytes()
    start, end = recorded.index(b"[    1.698"), recorded.index(b"[    1.966")

    def warning(function: str) -> bytes:
        return recorded[start:end].replace(b"breaker_warn", function.encode())

    tests = [marked(n, warning(f"in_{n}")) + warning(f"after_{n}") for n in (2, 3)]
    console = feed(tmp_path, warning("first") + b"".join(tests), 100)
    assert [(s.function, s.phase) for s in console.outside()] == [
        ("first", "boot"),
        ("after_2", "between"),
        ("after_3", "teardown"),
    ]
    assert [s.function for s in console.during(3)] == ["in_3"]


def test_a_marker_needs_the_nonce(tmp_path: Path) -> None:
    console = feed(tmp_path, b"harness fedcba9876543210: end 1\r\n", 4096)
    assert console.marks == {}
