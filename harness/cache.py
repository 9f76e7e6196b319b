# SPDX-License-Identifier: GPL-2.0-only
"""The cache directory: where things lie in it, whole writes, locks that die with their owner.

An entry is what lies at root()/<part>/<name>. Who finds one holds it before its first look into
it, and until the end of the process; who removes one leaves those that are held (uses.py).
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import HostError, UsageError
from harness.uses import Uses

_DAY_S = 86400.0
_UNITS_S = {"d": _DAY_S, "h": 3600.0, "m": 60.0, "": _DAY_S}

_opening = threading.Lock()
_mine = threading.local()  # `entries` that this thread holds within letting_go()
_uses: tuple[int, Uses] | None = None  # and the process that it is of: no fork has its parent's


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
    with growing(path) as file:
        file.write_bytes(data)


@contextlib.contextmanager
def growing(path: Path) -> Iterator[Path]:
    """A file to write, which becomes `path` at the end of the block, on disk, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        yield Path(name)
        os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


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
    """A directory to fill, which becomes `final` at the end of the block and never half. Both are
    held, so that nobody takes the one for abandoned and removes the other before its first use."""
    final.parent.mkdir(parents=True, exist_ok=True)
    work = final.with_name(f".tmp-{secrets.token_hex(6)}")
    _hold(work)
    try:
        work.mkdir(mode=0o700)
        yield work
        _hold(final)
        try:
            work.rename(final)
        except OSError:
            if not final.exists():
                _let_go(final)
                raise
            # Another run was faster; equal keys have equal content.
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _let_go(work)


def hold(path: Path) -> bool:
    """Keep the entry that `path` is, or lies in, from being removed until this process ends, and
    note the use; False where `path` is not there (any more)."""
    if (entry := _entry(path)) is None:
        return path.exists()
    found = _opened().hold(_name(entry), path.exists)
    if found:
        _note(entry)
        touch(entry)
    return found


@contextlib.contextmanager
def letting_go() -> Iterator[None]:
    """Let go at the end of the block of what this thread has come to hold in it: for processes
    that live on after their work."""
    before, _mine.entries = getattr(_mine, "entries", None), []
    try:
        yield
    finally:
        entries, _mine.entries = _mine.entries, before
        for entry in entries:
            _opened().let_go(_name(entry))


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """hold() for a block, of what may come to be within it."""
    _hold(path)
    try:
        yield
    finally:
        _let_go(path)


def used(entry: Path) -> bool:
    """Somebody holds it. Where the file system has no locks: it was used within the last day."""
    name = _entry(entry)
    uses = _opened()
    if uses.works or name is None:
        return name is not None and uses.used(_name(name))
    try:
        return time.time() - entry.stat().st_mtime < _DAY_S
    except OSError:
        return False


def drop(entry: Path, before: Callable[[], bool] = lambda: True) -> bool:
    """Remove an entry unless somebody uses it; True when it is gone. `before` is called when
    nobody can begin to: it may refuse, and removes what must not outlive the entry."""
    uses = _opened()
    gone = entry.with_name(f".tmp-gone-{secrets.token_hex(6)}")
    with uses.claimed(_name(entry)) as mine:
        if not (mine or not uses.works and not used(entry)) or not before():
            return False
        with contextlib.suppress(FileNotFoundError):
            entry.rename(gone)
    erase(gone)
    return True


def remove(directory: Path) -> None:
    """Remove a directory that may be there, whoever uses it, as it is broken: at once for whoever
    looks for it by its name."""
    gone = directory.with_name(f".tmp-gone-{secrets.token_hex(6)}")
    with contextlib.suppress(OSError):
        directory.rename(gone)
    erase(gone)


def erase(path: Path) -> None:
    """Remove a file or directory that nobody looks for."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def touch(entry: Path) -> None:
    """Note that an entry is in use: the least recently used goes first."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def _opened() -> Uses:
    """The uses of entries of root() by this process; those of another root() end."""
    global _uses
    file = root() / ".uses"
    with _opening:
        if _uses is None or _uses[0] != os.getpid() or _uses[1].file != file:
            if _uses is not None:
                _uses[1].close()
            _uses = os.getpid(), Uses(file)
        return _uses[1]


def _entry(path: Path) -> Path | None:
    """The entry that has it; None for what is not of the cache."""
    top, text = f"{root()}/", str(path)
    if not text.startswith(top):
        return None
    return Path(top, *text[len(top) :].split("/", 2)[:2])


def _name(entry: Path) -> str:
    return f"{entry.parent.name}/{entry.name}"


def _hold(path: Path) -> None:
    if (entry := _entry(path)) is not None:
        _opened().hold(_name(entry))
        _note(entry)


def _let_go(path: Path) -> None:
    if (entry := _entry(path)) is None:
        return
    entries = getattr(_mine, "entries", None)
    if entries is not None:
        entries.remove(entry)
    _opened().let_go(_name(entry))


def _note(entry: Path) -> None:
    entries = getattr(_mine, "entries", None)
    if entries is not None:
        entries.append(entry)


def limit_bytes() -> int:
    """How large the built kernels may become together, and the cache after `harness cache gc`:
    `$HARNESS_CACHE_SIZE`, as 500M or 10G (of 1024), 10G without it. UsageError for no size."""
    return size_of(os.environ.get("HARNESS_CACHE_SIZE") or "10G", "HARNESS_CACHE_SIZE")


def size_of(text: str, name: str) -> int:
    """Bytes of a size as 500M or 10G (of 1024). UsageError, of what is called `name`, for none."""
    match = re.fullmatch(r"(\d+) *([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"{name}={text} is not a size", hint="as 500M or 10G")
    return int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ")


def age_s(text: str, name: str) -> float:
    """Seconds of an age as 30d, 12h or 90m; days without a unit. UsageError, of what is called
    `name`, for none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([dhm]?)", text.strip())
    if match is None:
        raise UsageError(f"{name}={text} is not an age", hint="as 30d, 12h or 90m")
    return float(match[1]) * _UNITS_S[match[2]]


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path` until it is closed, None when it is taken."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # the directory was removed in this instant
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # whoever had it has removed the file: it locks nothing


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


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
