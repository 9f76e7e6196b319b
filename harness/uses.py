# SPDX-License-Identifier: GPL-2.0-only
"""Who uses what, by name: locks that die with the process that has them.

Each name is a byte of one file, which is locked (open file description locks, fcntl(2)): shared by
those who use what has the name, alone by who removes it. So a process that uses a thousand things
has one descriptor for them, and to ask for a lock disturbs nobody.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import HostError

_LOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid
_CLAIMED_S = 60.0


class Uses:
    """The names that this process uses, and the file that others see it by; for all threads.

    `works` is False where the file system has no such locks: then everything may be used, and what
    others use is not known.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._counts: Counter[str] = Counter()
        self._mutex = threading.RLock()
        try:
            self._ask("")
            self.works = True
        except OSError:
            self.works = False

    def hold(self, name: str, there: Callable[[], bool] = lambda: True) -> bool:
        """Use what has that name until let_go(), as often as this, or the end of the process. Not
        used, and False, where `there` says then that it is gone."""
        with self._mutex:
            deadline = time.monotonic() + _CLAIMED_S
            while self.works and not self._set(name, fcntl.F_RDLCK):
                if time.monotonic() > deadline:
                    raise HostError(f"{name} has been in removal for {_CLAIMED_S:.0f} s")
                time.sleep(0.001)  # poll: who removes it renames it, which takes no longer
            self._counts[name] += 1
            if there():
                return True
            self.let_go(name)
            return False

    def let_go(self, name: str) -> None:
        """End one hold()."""
        with self._mutex:
            self._counts[name] -= 1
            if self._counts[name] > 0:
                return
            del self._counts[name]
            if self.works:
                self._set(name, fcntl.F_UNLCK)

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Nobody begins to use it within the block, which has to be short; False where somebody
        does, in this process or another one."""
        with self._mutex:
            mine = not self._counts[name] and self.works and self._set(name, fcntl.F_WRLCK)
            try:
                yield mine
            finally:
                if mine:
                    self._set(name, fcntl.F_UNLCK)

    def used(self, name: str) -> bool:
        """Somebody uses it, in this process or another one."""
        with self._mutex:
            return bool(self._counts[name]) or (self.works and self._ask(name))

    def close(self) -> None:
        """Let go of all names."""
        with self._mutex:
            self._counts.clear()
            os.close(self._fd)

    def _set(self, name: str, kind: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _pack(name, kind))
        except (BlockingIOError, PermissionError):  # fcntl(2): EAGAIN or EACCES
            return False
        return True

    def _ask(self, name: str) -> bool:
        """Another process has a lock on it."""
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, _pack(name, fcntl.F_WRLCK))
        kind: int = struct.unpack(_LOCK, answer)[0]
        return kind != fcntl.F_UNLCK


def _pack(name: str, kind: int) -> bytes:
    at = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 2
    return struct.pack(_LOCK, kind, os.SEEK_SET, at, 1, 0)
