# SPDX-License-Identifier: GPL-2.0-only
"""Run directories that are old or too many, removed; what they told stays in the history."""

import datetime
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import cache
from harness.history import History
from harness.journal import JOURNAL, STAMP

NIGHT = "nightly.json"
"""In the directory of a matrix that was a night: the newest one stays, to compare with."""
KINDS = ("runs", "boots", "matrices", "bisects")
"""The directories of `$XDG_STATE_HOME/harness` that hold run directories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run directory: when it began (seconds since 1970), the bytes that it takes on disk."""

    path: Path
    began: float
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to go: everything older than `older_s`, and the oldest until the rest is no larger
    than `limit_bytes`; None for no such limit. The newest `keep` stay."""

    older_s: float | None = None
    limit_bytes: int | None = None
    keep: int = 1


def collect(wish: Wish, *, dry_run: bool = False) -> list[Entry]:
    """Remove them, oldest first, and say which. A run that goes on, here or in another process, is
    spared; what others remove meanwhile is no error. The history has read them before."""
    if not dry_run:
        with History() as history:
            history.sync()
    gone = []
    for entry in _chosen(wish):
        if dry_run or _remove(entry.path):
            gone.append(entry)
    return gone


def entries() -> list[Entry]:
    """All run directories that no run is in, the oldest first; not the newest night."""
    found = [entry for kind in KINDS for entry in _entries(cache.runs(kind))]
    found.sort(key=lambda entry: (entry.began, entry.path.name))
    nights = [entry for entry in found if (entry.path / NIGHT).exists()]
    return [entry for entry in found if entry not in nights[-1:]]


def _chosen(wish: Wish) -> list[Entry]:
    every = entries()
    old = every[: max(0, len(every) - wish.keep)]
    before = None if wish.older_s is None else time.time() - wish.older_s
    total = sum(entry.size_bytes for entry in every)
    found = []
    for entry in old:
        too_old = before is not None and entry.began < before
        if not too_old and (wish.limit_bytes is None or total <= wish.limit_bytes):
            continue
        found.append(entry)
        total -= entry.size_bytes
    return found


def _entries(parent: Path) -> Iterator[Entry]:
    for path in parent.iterdir():
        if path.name.startswith(".") or not (path / JOURNAL).exists() or in_use(path):
            continue
        try:
            files = [file.lstat() for file in path.rglob("*")]
            began = _began(path)
        except OSError:  # removed meanwhile
            continue
        yield Entry(path=path, began=began, size_bytes=sum(one.st_blocks * 512 for one in files))


def _began(path: Path) -> float:
    """As its name says, else when it was changed last."""
    try:
        stamp = datetime.datetime.strptime(path.name[:16], STAMP)
    except ValueError:
        return path.stat().st_mtime
    return stamp.replace(tzinfo=datetime.UTC).timestamp()


def in_use(path: Path) -> bool:
    """A run is in this directory: its process holds the journal's lock, which dies with it."""
    try:
        fd = os.open(path / JOURNAL, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _remove(path: Path) -> bool:
    """True when it is gone, or was."""
    if in_use(path):
        return False
    cache.remove(path)
    return not path.exists()
