# SPDX-License-Identifier: GPL-2.0-only
"""A directory with a journal of what is done in it: lines of JSON, each synced when written."""

import contextlib
import datetime
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import HostError, UsageError
from harness.model import SCHEMA

JOURNAL = "journal.jsonl"
STAMP = "%Y%m%dT%H%M%SZ"
"""The time that such a directory's name begins with."""
_LOOKS = 20


class Journal:
    """An open journal. As a context manager it is closed at the end; until then it is locked for
    retention.in_use(), by a lock that dies with this process. HostError where another has it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(directory / JOURNAL, flags, 0o644)
        self._lock()
        self._mend()

    def _mend(self) -> None:
        """End a line that a killed process, or a full disk, has left in the middle."""
        size = os.fstat(self._fd).st_size
        if size and (self.path / JOURNAL).read_bytes()[-1:] != b"\n":
            os.write(self._fd, b"\n")

    def _lock(self) -> None:
        for _ in range(_LOOKS):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)  # poll: retention.in_use() holds it for a moment
            except OSError:  # a file system without locks
                return
            else:
                return
        os.close(self._fd)
        raise HostError(f"another harness is at work in {self.path}")

    def write(self, event: str, **fields: Any) -> None:
        """One more line, on disk when this returns."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"schema": SCHEMA, "event": event, "time": now, **fields}, default=str)
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal, but for a last one that a killed process did not end."""
    with (directory / JOURNAL).open(errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def amended(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, with each result as it was amended last, in its place."""
    events = list(events)
    later = {result_key(event): event for event in events if event.get("event") == "amended"}
    return [
        {**event, **later[result_key(event)], "event": "result"}
        if event.get("event") == "result" and result_key(event) in later
        else event
        for event in events
    ]


def result_key(event: dict[str, Any]) -> tuple[str, str, int]:
    """Which result an event is about: test, kernel and round."""
    return event["test"], event["kernel"], event.get("round", 1)


def recent(parent: Path, *, begins: str = "") -> list[Path]:
    """The directories below `parent` that have a journal, the newest first; those whose first line
    is the event `begins`, where one is named."""
    found = (path for path in parent.iterdir() if not path.name.startswith("."))
    kept = sorted(path for path in found if (path / JOURNAL).exists())[::-1]
    return [path for path in kept if not begins or _first(path) == begins]


def _first(directory: Path) -> str:
    with contextlib.suppress(OSError):  # removed meanwhile
        return str(next(read(directory), {}).get("event", ""))
    return ""


def named(name: str, directories: Sequence[Path]) -> Path | None:
    """The one that a path, a name, its beginning or its end stands for; the first for no name."""
    if name and (Path(name) / JOURNAL).exists():
        return Path(name)
    fits = (one for one in directories if one.name.startswith(name) or one.name.endswith(name))
    return next(fits, None)


def find(name: str, directories: Sequence[Path], *, what: str, hint: str) -> Path:
    """As named(). UsageError, which calls it `what`, for none."""
    found = named(name, directories)
    if found is None:
        raise UsageError(f"no {what} {name}" if name else f"no {what} yet", hint=hint)
    return found


def new_directory(parent: Path, *parts: str) -> Path:
    """A new directory below `parent`: the time, `parts`, and four hexadecimal digits that nobody
    has in this second."""
    now = datetime.datetime.now(datetime.UTC)
    named = (now.strftime(STAMP), *(re.sub(r"[^A-Za-z0-9.+_]+", "_", part) for part in parts))
    name = "-".join(named)
    parent.mkdir(parents=True, exist_ok=True)
    for _ in range(1000):
        path = parent / f"{name}-{secrets.token_hex(2)}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise HostError(f"{parent} has all the names that {name}-xxxx could have")
