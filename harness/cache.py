# SPDX-License-Identifier: GPL-2.0-only
"""The cache directory: where things lie in it, locks that die with their owner, whole writes."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import HostError, UsageError

_EVICT_EVERY_S = 600.0
_ABANDONED_S = 86400.0  # what a run that was killed had begun to make


def root() -> Path:
    """`$XDG_CACHE_HOME/harness`, made when it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "harness"
    path.mkdir(parents=True, exist_ok=True)
    return path


def runs(kind: str = "runs") -> Path:
    """`$XDG_STATE_HOME/harness/<kind>`: run directories are results, not cache. Boots and builds
    without tests have theirs in `boots`, out of the way of the results."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    path = Path(base) / "harness" / kind
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: object) -> str:
    """40 hex digits over the JSON of `parts`: equal parts, equal digest, on every machine."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"no digest of {type(value).__name__}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers, and a crash at any moment, see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The JSON in `path`, None when there is none or it is broken (a cache may be rebuilt)."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: object) -> None:
    """write_whole() of `value` as JSON."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n")


@contextlib.contextmanager
def building(final: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `final` at the end of the block and never half."""
    final.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=final.parent, prefix=".tmp-"))
    try:
        yield work
        try:
            work.rename(final)
        except OSError:
            if not final.exists():
                raise
            # Another run was faster; equal keys have equal content.
    finally:
        shutil.rmtree(work, ignore_errors=True)


def remove(directory: Path) -> None:
    """Remove a directory that may be there: at once for whoever looks for it by its name."""
    gone = directory.with_name(f".tmp-gone-{os.getpid()}-{directory.name}")
    with contextlib.suppress(OSError):
        directory.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def touch(directory: Path) -> None:
    """Note that an entry is in use, for eviction: the least recently used goes first."""
    with contextlib.suppress(OSError):
        os.utime(directory)


def limit_bytes() -> int:
    """How large the built kernels may become together: `$HARNESS_CACHE_SIZE`, as 500M or 10G (of
    1024), 10G without it. UsageError where it is no size."""
    return size_of(os.environ.get("HARNESS_CACHE_SIZE") or "10G", "HARNESS_CACHE_SIZE")


def size_of(text: str, name: str) -> int:
    """Bytes of a size as 500M or 10G (of 1024). UsageError, of what is called `name`, for none."""
    match = re.fullmatch(r"(\d+) *([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"{name}={text} is not a size", hint="as 500M or 10G")
    return int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ")


def evict(directory: Path, limit_bytes: int) -> int:
    """Remove the entries that were used least recently until the rest fits; returns how many.

    What was used within the last hour stays, as a run may need it; nothing happens when this was
    asked less than ten minutes ago, as looking at all files takes a tenth of a second."""
    stamp = directory / ".evicted"
    with contextlib.suppress(OSError):
        if limit_bytes and time.time() - stamp.stat().st_mtime < _EVICT_EVERY_S:
            return 0
    entries = []
    for entry in directory.iterdir() if directory.exists() else ():
        with contextlib.suppress(OSError):  # another run's are removed meanwhile
            used = entry.stat().st_mtime
            if entry.name.startswith(".tmp-") and time.time() - used > _ABANDONED_S:
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.is_dir() and not entry.name.startswith("."):
                files = [file.stat() for file in entry.rglob("*") if file.is_file()]
                # A guest's memory has holes.
                entries.append((used, sum(status.st_blocks * 512 for status in files), entry))
    if entries:
        stamp.touch()
    total = sum(size for _, size, _ in entries)
    gone = 0
    for used, size, entry in sorted(entries):
        if total <= limit_bytes or time.time() - used < 3600:
            break
        remove(entry)
        total -= size
        gone += 1
    return gone


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path` until it is closed, None when it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def locked(
    path: Path, *, timeout_s: float, waiting: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Hold the lock on `path`; calls `waiting` once if it is taken, HostError at the deadline."""
    deadline = time.monotonic() + timeout_s
    told = False
    while (fd := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise HostError(f"another harness has held {path} for {timeout_s:.0f} s")
        if not told:
            waiting()
            told = True
        time.sleep(0.1)  # poll: flock() with a deadline would need a signal
    try:
        yield fd
    finally:
        os.close(fd)
