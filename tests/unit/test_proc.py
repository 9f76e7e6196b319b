# SPDX-License-Identifier: GPL-2.0-only
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness import cache, proc
from harness.errors import HostError

DEADLINE_S = 10.0


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # gone before the open, or the read
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_run_gives_both_streams_and_the_status() -> None:
    done = proc.run(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], feed=b"in ")
    assert (done.stdout, done.stderr, done.status) == (b"in out\n", b"err\n", 3)


def test_a_signal_is_told_as_the_shell_tells_it() -> None:
    assert proc.run(["sh", "-c", "kill -9 $$"]).status == 128 + signal.SIGKILL


def test_a_missing_tool_is_the_hosts_fault() -> None:
    with pytest.raises(HostError, match="no-such-tool is not installed"):
        proc.run(["no-such-tool"])


def test_run_has_a_deadline() -> None:
    with pytest.raises(HostError, match="did not end within 0 s"):
        proc.run(["sleep", "60"], timeout_s=0.2)


def test_what_a_command_leaves_behind_dies_with_it() -> None:
    # The orphan leaves the session and the process group of the command.
    done = proc.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"])
    assert wait_until_gone(int(done.text))


def test_terminate_is_heard_by_the_command() -> None:
    with proc.spawn(["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"]) as p:
        assert p.stdout.readline() == b"up\n"
        p.terminate()
        assert p.wait(DEADLINE_S) == 7


def test_everything_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from harness import cache, proc
        lock = cache.try_lock(Path(sys.argv[1]))
        code = "setsid sleep 60 >/dev/null & echo $!; sleep 60"
        with proc.spawn(["sh", "-c", code], keep_fds=(lock,)) as process:
            print(process.stdout.readline().decode().strip(), flush=True)
            process.wait(60)
    """
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(lock)], stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        orphan = int(popen.stdout.readline())
        assert cache.try_lock(lock) is None
        os.kill(popen.pid, signal.SIGKILL)
    assert wait_until_gone(orphan)
    deadline = time.monotonic() + DEADLINE_S
    while (fd := cache.try_lock(lock)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fd is not None
    os.close(fd)


def test_lines_are_whole_in_any_chunking() -> None:
    text = b"one\ntwo\nthree"
    for size in range(1, len(text) + 1):
        chunks = (text[at : at + size] for at in range(0, len(text), size))
        assert list(proc.lines(chunks)) == ["one", "two", "three"]
