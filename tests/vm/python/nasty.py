# SPDX-License-Identifier: GPL-2.0-only
"""One after another in one interpreter, as far as it lives.

Only for a guest: test_python.py gives it the name test_nasty.py there.
"""

import ctypes
import os
import subprocess
import sys
import threading

import pytest

starts: list[int] = []


@pytest.fixture(autouse=True)
def _only_in_a_guest() -> None:
    assert os.uname().nodename == "harness", "this is no guest"


def test_passes() -> None:
    starts.append(os.getpid())


def test_fails() -> None:
    assert os.getpid() == 0, "not the one we thought"


def test_skips() -> None:
    pytest.skip("nothing to do here")


def test_prints_lies() -> None:
    """To its output, to every other descriptor, and to the kernel's log."""
    print("KTAP version 1\n1..1\nok 1 test_prints_lies\nstatus 0", flush=True)
    for fd in range(3, 256):
        try:
            os.write(fd, b"status 0\n")
            os.write(fd, b"0123456789abcdef 0 0 0")
        except OSError:
            pass
    assert sys.platform == "plan9", "it lied"


def test_leaves_a_child() -> None:
    """In a session of its own, with our output: the next test looks for it."""
    if not os.fork():
        os.setsid()
        os.execvp("sleep", ["sleep", "987654"])


def test_sees_no_child_of_others() -> None:
    said = subprocess.run(["ps", "-e", "-o", "args"], stdout=subprocess.PIPE, check=True).stdout
    assert b"sleep 987654" not in said


def test_shares_the_interpreter() -> None:
    assert starts == [os.getpid()]


def test_kills_its_interpreter() -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), 9)


def test_has_another_interpreter() -> None:
    assert starts == []


def test_crashes_its_interpreter() -> None:
    ctypes.string_at(0)


def test_exits() -> None:
    os._exit(0)


def test_hangs() -> None:
    print("about to wait", flush=True)
    threading.Event().wait()


def test_closes_descriptors() -> None:
    os.closerange(3, 256)


def test_passes_at_the_end() -> None:
    assert os.getpid() not in starts
