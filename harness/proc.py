# SPDX-License-Identifier: GPL-2.0-only
"""The room that starts processes. Everything runs below a guard and dies with the harness.

The guard is a program of ours (guard.c), compiled when it is not in the cache: a Python would
take thirty times as long to start, before each command and each guest.
"""

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import IO, Self

from harness import cache
from harness.errors import HarnessError, HostError

_GUARD = Path(__file__).with_name("guard.c")
_STOP_DEADLINE_S = 15.0  # the guard gives up on unkillable processes after 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ended: its exit status (128 + N for signal N) and its two streams."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output decoded, without trailing white space."""
        return self.stdout.decode(errors="replace").rstrip()

    @property
    def complaint(self) -> str:
        """Standard error decoded, without trailing white space."""
        return self.stderr.decode(errors="replace").rstrip()


def find(tool: str) -> str:
    """Absolute path of `tool`; HostError when it is not installed."""
    path = which(tool, path=environment()["PATH"])
    if path is None:
        raise HostError(
            f"{tool} is not installed",
            hint="ci/bootstrap installs what is missing; `harness doctor` lists it",
        )
    return path


def environment() -> dict[str, str]:
    """Ours, with the programs of our virtual environment (vng) even where it is not activated."""
    own = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": path if own in path.split(":") else f"{path}:{own}"}


def guarded(argv: Sequence[str], life: int) -> list[str]:
    """The command line that runs `argv` below a guard; `life` is the pipe end it inherits."""
    global _guard
    if _guard is None or not _guard.exists():
        _guard = _build_guard()
    return [str(_guard), str(life), *argv]


_guard: Path | None = None


def _build_guard() -> Path:
    """The guard's program, from the cache or compiled now. HostError where that cannot be."""
    final = cache.root() / "guard" / cache.digest(_GUARD.read_bytes(), platform.machine())
    program = final / "guard"
    if not cache.hold(program):
        with cache.building(final) as work:
            command = [find("gcc"), "-std=gnu11", "-O2", "-Wall"]
            command += ["-o", str(work / "guard"), str(_GUARD)]
            done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60)
            if done.returncode:
                complaint = done.stderr.decode(errors="replace")
                raise HostError(
                    "the guard of processes does not compile",
                    hint="`harness doctor` lists what is missing",
                    lines=tuple(complaint.splitlines()[:5]),
                )
    return program


class Process:
    """A running command below its guard. As a context manager it never outlives the block.

    `stdout` is the read end of the pipe when asked for: it sees end of file when the command
    and all that it started are gone.
    """

    def __init__(self, popen: subprocess.Popen[bytes], life: int) -> None:
        self._popen = popen
        self._life: int | None = life
        self.pid = popen.pid

    @property
    def stdout(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    def wait(self, timeout_s: float) -> int | None:
        """Exit status once all is over, None when the deadline came first."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, argv: Sequence[str], feed: bytes, timeout_s: float) -> Completed:
        """Feed standard input and wait for the end; HostError when the deadline came first."""
        try:
            stdout, stderr = self._popen.communicate(feed, timeout_s)
        except subprocess.TimeoutExpired:
            raise HostError(f"{' '.join(argv[:3])} did not end within {timeout_s:.0f} s") from None
        return Completed(
            argv=tuple(argv), status=self._popen.returncode, stdout=stdout, stderr=stderr
        )

    def terminate(self) -> None:
        """Ask everything below the guard to end (SIGTERM)."""
        if self._life is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._life, b"t")

    def kill(self) -> None:
        """SIGKILL to everything below the guard."""
        life, self._life = self._life, None  # first: another thread may come here too
        if life is not None:
            os.close(life)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if self.wait(_STOP_DEADLINE_S) is None:
            self._popen.kill()
            self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.STDOUT,
    keep_fds: Sequence[int] = (),
) -> Process:
    """Start `argv` below a guard, its output in a pipe. `env` is added to the environment.

    `keep_fds` stay open in the guard, not in the command: a lock passed here is held until the
    last process below the guard is gone, even when the harness is killed.
    """
    command = [find(argv[0]), *argv[1:]]
    theirs, ours = os.pipe()
    try:
        popen = subprocess.Popen(
            guarded(command, theirs),
            cwd=cwd,
            env={**environment(), **(env or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=(theirs, *keep_fds),
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Process(popen, ours)


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    feed: bytes = b"",
    timeout_s: float = 60.0,
    keep_fds: Sequence[int] = (),
) -> Completed:
    """Run a short command to its end and keep its output.

    Raises HostError when the tool is missing, the deadline passes or the disk is full; any other
    failure is for the caller to judge by `status`.
    """
    with spawn(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        keep_fds=keep_fds,
    ) as process:
        done = process.communicate(argv, feed, timeout_s)
    if done.status and b"No space left on device" in done.stderr:
        raise disk_full(argv[0])
    return done


def check(done: Completed, sentence: str) -> Completed:
    """`done` when it succeeded, else a HostError that begins with `sentence`."""
    if done.status:
        last = tuple((done.complaint or done.text).splitlines()[-5:])
        raise HostError(f"{sentence}: {done.argv[0]} ended with {done.status}", lines=last)
    return done


def disk_full(what: str) -> HarnessError:
    """The error for a full disk; `what` is the tool or file that met it."""
    return HostError(
        f"no space left on the disk of the cache, or that of the runs ({what})",
        hint="free some (`harness cache gc --size 0`), or point XDG_CACHE_HOME or XDG_STATE_HOME at"
        " a larger disk; what had a result keeps it",
    )


def lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole decoded lines from chunks of bytes, the last one even when it is not ended."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
