# SPDX-License-Identifier: GPL-2.0-only
"""The console of a guest: kept whole in a file, scanned for splats as it comes.

pexpect reads it here and nowhere else; nothing waits for a pattern in it.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
from pexpect.fdpexpect import fdspawn

from harness import proc
from harness.model import Splat
from harness.splat import SplatScanner

_CHUNK = 256 << 10
_LINE_MAX = 4096


class Console:
    """Follows the console from the first byte to the last.

    `marks` maps a command's number to the lines (from 1) of its start and end markers in the
    kernel's log; only the agent knows the nonce that makes a line a marker.
    """

    def __init__(self, fd: int, log: Path, nonce: str) -> None:
        self._read: Callable[[int, int], bytes] = fdspawn(
            fd, timeout=None, use_poll=True
        ).read_nonblocking
        self._fd = fd
        self._log = log.open("wb", buffering=0)
        self._scanner = SplatScanner()
        self._marker = re.compile(rb"harness %s: (start|end) (\d+)" % re.escape(nonce.encode()))
        self._partial = b""
        self._line = 0
        self.path = log
        self.splats: list[Splat] = []
        self.marks: dict[int, list[int]] = {}
        self.ended = False
        self._muted = False

    def fileno(self) -> int:
        """For select()."""
        return self._fd

    def pump(self) -> None:
        """Take in what is there; `ended` once nobody writes any more. Does not wait."""
        if self.ended:
            return
        try:
            chunk = self._read(_CHUNK, 0)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self.ended = True
            self.splats += self._scanner.finish()
            return
        self._log.write(chunk)
        self.splats += self._scanner.feed(b"\n" * chunk.count(b"\n") if self._muted else chunk)
        *lines, rest = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._line += 1
            if found := self._marker.search(line):
                self.marks.setdefault(int(found[2]), []).append(self._line)
        self._partial = rest[-_LINE_MAX:]

    @contextlib.contextmanager
    def muted(self) -> Iterator[None]:
        """Within, what comes is kept as ever, but is no splat: it was asked for."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def during(self, ident: int) -> tuple[Splat, ...]:
        """Splats that began between the markers of command `ident`."""
        marks = self.marks.get(ident)
        if not marks:
            return ()
        last = marks[1] if len(marks) > 1 else self._line + 1
        found = [*self.splats, *([self._scanner.pending] if self._scanner.pending else [])]
        return tuple(s for s in found if marks[0] <= s.line_from <= last)

    def outside(self) -> tuple[Splat, ...]:
        """Splats of no command, each with its phase."""
        inside = {id(splat) for ident in self.marks for splat in self.during(ident)}
        return tuple(
            replace(splat, phase=self._phase(splat.line_from))
            for splat in self.splats
            if id(splat) not in inside
        )

    def _phase(self, line: int) -> str:
        starts = [marks[0] for marks in self.marks.values()]
        if not any(start < line for start in starts):
            return "boot"
        return "between" if any(start > line for start in starts) else "teardown"

    def over(self, ident: int) -> bool:
        """The console has come past the end marker of command `ident`."""
        return self.ended or len(self.marks.get(ident, ())) > 1

    @property
    def reporting(self) -> bool:
        """A splat has begun and not ended."""
        return not self.ended and self._scanner.pending is not None

    def tail(self, count: int = 15) -> tuple[str, ...]:
        """The last `count` lines that are not empty, for an error message."""
        with self.path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - 200 * count))
            text = log.read().decode(errors="replace")
        lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
        return tuple([line for line in lines if line][-count:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.close()


def interact(
    argv: list[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    keep_fds: Sequence[int] = (),
) -> int:
    """Give the terminal to `argv` below its guard until it ends; returns its exit status.

    Everything shown is kept in `log`. `env` and `keep_fds` as for proc.spawn().
    """
    theirs, ours = os.pipe()
    kept = (theirs, *keep_fds)
    try:
        for fd in kept:
            os.set_inheritable(fd, True)
        size = shutil.get_terminal_size()
        command = proc.guarded([proc.find(argv[0]), *argv[1:]], theirs)
        child = _Spawn(command, kept, (size.lines, size.columns), env or {})
    finally:
        for fd in keep_fds:
            os.set_inheritable(fd, False)
        os.close(theirs)
    try:
        with log.open("wb") as file:
            child.logfile_read = file
            child.interact()
            child.wait()
    finally:
        os.close(ours)
        child.close(force=True)
    return int(child.exitstatus or 0)


class _Spawn(pexpect.spawn):
    """pexpect closes every descriptor but the terminal's; the guard needs some more."""

    def __init__(
        self,
        command: list[str],
        keep: tuple[int, ...],
        size: tuple[int, int],
        env: Mapping[str, str],
    ) -> None:
        self._keep = keep
        super().__init__(
            command[0],
            command[1:],
            timeout=None,
            dimensions=size,
            env={**proc.environment(), **env},
        )

    def _spawnpty(self, args: list[str], **options: Any) -> Any:
        return super()._spawnpty(args, pass_fds=self._keep, **options)
