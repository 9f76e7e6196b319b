# SPDX-License-Identifier: GPL-2.0-only
"""Entries of the cache that are unused for long, or too large together, removed."""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from harness import cache, stock
from harness.stock import Entry

BY_AGE = ("mirrors", "tarballs", "applied", "toolchain", "accel", "build-sizes")
"""Parts that go by age alone: what was downloaded or imported, and what takes no room."""

_ABANDONED_S = 3600.0  # what a run that was killed had begun to make


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to go: everything not used for `older_s`, and what was used least recently until
    the cache is no larger than `limit_bytes`; None for no such limit."""

    older_s: float | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What went, the least recently used first, and how large the rest of the cache is."""

    gone: tuple[Entry, ...]
    left_bytes: int

    @property
    def freed_bytes(self) -> int:
        """What went takes up no more."""
        return sum(entry.size_bytes for entry in self.gone)


def collect(wish: Wish, *, dry_run: bool = False) -> Collected:
    """Remove them, but none that is in use, here or in another process, or was since this began to
    look. What others remove meanwhile is no error."""
    if not dry_run:
        _sweep()
    every = [entry for part in stock.look() for entry in part.entries]
    return _collect(every, wish, dry_run=dry_run)


def evict(part: str, limit_bytes: int) -> int:
    """Remove the entries of one part that were used least recently until the rest fits; returns
    how many."""
    _sweep()
    wish = Wish(limit_bytes=limit_bytes)
    return len(_collect(list(stock.entries(part)), wish, dry_run=False).gone)


def _collect(every: list[Entry], wish: Wish, *, dry_run: bool) -> Collected:
    before = None if wish.older_s is None else time.time() - wish.older_s
    left = sum(entry.size_bytes for entry in every)
    gone = []
    # Objects are of no use without their slot, which was used with them.
    for entry in sorted(every, key=lambda entry: (entry.used, entry.part == "slots")):
        too_old = before is not None and entry.used < before
        too_much = wish.limit_bytes is not None and left > wish.limit_bytes
        if not (too_old or (too_much and entry.part not in BY_AGE)) or entry.in_use:
            continue
        if dry_run or _remove(entry):
            gone.append(entry)
            left -= entry.size_bytes
    return Collected(gone=tuple(gone), left_bytes=left)


def _remove(entry: Entry) -> bool:
    """True when it is gone."""
    if entry.part == "ccache":
        entry.path.unlink(missing_ok=True)
        return True
    if entry.part == stock.OBJECTS:
        return _remove_of_slot(entry, entry.path.parent.parent)
    if entry.part == "slots":
        return _remove_of_slot(entry, entry.path)
    if entry.part == "mirrors":
        return _remove_mirror(entry)
    return cache.drop(entry.path, lambda: _unused_since(entry))


def _unused_since(entry: Entry) -> bool:
    """Nobody has used it since it was looked at; or it is gone."""
    try:
        return entry.path.stat().st_mtime_ns == entry.stamp_ns
    except FileNotFoundError:
        return True


def _remove_of_slot(entry: Entry, slot: Path) -> bool:
    """A slot, or objects in it. Its own lock tells of those who use it: the processes that a run
    has started there have it too, and may outlive the run by a moment."""
    if not slot.exists() or (lock := cache.try_lock(slot / "lock")) is None:
        return not slot.exists()
    gone = slot.with_name(f".tmp-gone-{os.getpid()}-{slot.name}-{entry.path.name}")
    try:
        if not _unused_since(entry):
            return False
        with contextlib.suppress(FileNotFoundError):
            entry.path.rename(gone)
    finally:
        os.close(lock)
    cache.erase(gone)
    return True


def _remove_mirror(entry: Entry) -> bool:
    """With what tells of it. What was applied to it goes as well, as the trees lie in it; patches
    apply again in a tenth of a second."""
    path = entry.path
    if (lock := cache.try_lock(path.with_suffix(".lock"))) is None:
        return False  # somebody imports

    def forget() -> bool:
        if not _unused_since(entry):
            return False
        for suffix in (".json", ".index"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".bases"), ignore_errors=True)
        shutil.rmtree(cache.root() / "applied", ignore_errors=True)
        return True

    try:
        return cache.drop(path, forget)
    finally:
        os.close(lock)


def _sweep() -> None:
    """Remove what was begun, or was being removed, by processes that are no more."""
    for path, changed in stock.unfinished():
        if time.time() - changed > _ABANDONED_S:
            cache.erase(path)
    for path in (cache.root() / "kernels").glob("*.lock"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                _remove_lock(path)


def _remove_lock(path: Path) -> None:
    """Whoever waits for it sees that it is gone (cache.try_lock)."""
    if (lock := cache.try_lock(path)) is not None:
        path.unlink(missing_ok=True)
        os.close(lock)
