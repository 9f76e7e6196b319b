# SPDX-License-Identifier: GPL-2.0-only
"""On Dask's scheduler: who began with which task, how far it is, and blobs for all machines.

Whoever gives tasks and whoever runs them reach the scheduler, and perhaps nothing else. So what
one has to say to the other, and the kernels and bases that one has for the others where no store
is shared, goes by here. Blobs lie in `store/` of the cache of the scheduler's machine.
"""

import asyncio
import contextlib
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Scheduler, SchedulerPlugin

from harness import cache, disuse
from harness.errors import HostError

MOST_LOST = 2
"""Workers that a task may be lost with."""

ANSWER_S = 120.0
"""How long whoever calls waits for an answer."""

_CHUNK = 4 << 20
_HANDLERS = ("room", "begin", "tell", "want", "refuse", "has", "read", "write", "close_blob")
_OVER = ("memory", "erred", "forgotten")


class Desk(SchedulerPlugin):  # type: ignore[misc]
    """The scheduler's part. Its handlers are what At calls."""

    name = "harness-desk"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """See SchedulerPlugin."""
        self._scheduler = scheduler
        self._begun: dict[str, list[str]] = defaultdict(list)
        self._nobody_has: Counter[tuple[str, str]] = Counter()
        for name in _HANDLERS:
            scheduler.handlers[f"harness_{name}"] = getattr(self, name)

    def transition(self, key: str, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See SchedulerPlugin: a task that has ended is nobody's death."""
        if finish in _OVER:
            self._begun.pop(key, None)

    async def room(self) -> dict[str, int]:
        """What all workers have: threads, MiB, and how many they are."""
        workers = self._scheduler.workers.values()
        return {
            "cpus": self._scheduler.total_nthreads,
            "memory_mib": sum(one.memory_limit for one in workers) >> 20,
            "machines": len(workers),
        }

    async def begin(self, key: str, worker: str, alone: bool) -> list[str]:
        """A worker is about to run a task. Returns the workers that were lost while they ran it
        before. Where there are some it has to be alone on its worker, so that it is known who is
        to blame for the next; of MOST_LOST it is not begun again."""
        lost = list(self._begun[key])
        if len(lost) < MOST_LOST and (alone or not lost):
            self._begun[key].append(worker)
        return lost

    async def tell(self, key: str, worker: str, topic: str, about: dict[str, Any]) -> bool:
        """How far a task is, for whoever listens to the topic; False where nobody waits for it any
        more, or another worker has it."""
        task = self._scheduler.tasks.get(key)
        if task is None or task.processing_on is None or task.processing_on.address != worker:
            return False
        self._scheduler.log_event(topic, {**about, "key": key, "worker": worker})
        return True

    async def want(self, topic: str, blob: str, again: bool) -> bool:
        """A worker lacks a blob, which is told once to whoever listens to the topic. False where
        that one does not have it."""
        if not again:
            self._scheduler.log_event(topic, {"want": blob})
        return not self._nobody_has[topic, blob]

    async def refuse(self, topic: str, blob: str) -> None:
        """Whoever listens to the topic does not have a blob."""
        self._nobody_has[topic, blob] += 1

    async def has(self, blob: str) -> bool:
        """The blob is here."""
        path = _path(blob)
        cache.touch(path)  # the least recently used goes first
        return path.is_file()

    async def read(self, blob: str, offset: int) -> bytes | None:
        """A part of it; empty at its end, None where it is not here."""
        with contextlib.suppress(FileNotFoundError), _path(blob).open("rb") as file:
            file.seek(offset)
            return file.read(_CHUNK)
        return None

    async def write(self, blob: str, sending: str, data: bytes) -> None:
        """One more part of it, from one who is `sending` it."""
        with _unfinished(blob, sending).open("ab") as file:
            file.write(data)

    async def close_blob(self, blob: str, sending: str) -> None:
        """That was all of it."""
        _unfinished(blob, sending).replace(_path(blob))
        await asyncio.to_thread(disuse.evict, "store", cache.limit_bytes())


class At:
    """The desk as others see it, and a store.Store. `call` sends a request of that name to the
    scheduler and returns its answer."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def ask(self, what: str, **about: Any) -> Any:
        """Call a handler of the desk's; HostError where the scheduler does not answer."""
        try:
            return self._call(f"harness_{what}", **about)
        except (OSError, TimeoutError) as error:
            raise HostError(f"Dask's scheduler does not answer: {error}") from error

    def has(self, name: str) -> bool:
        """See store.Store."""
        return bool(self.ask("has", blob=name))

    def get(self, name: str, to: Path) -> bool:
        """See store.Store."""
        with to.open("wb") as file:
            while data := self.ask("read", blob=name, offset=file.tell()):
                file.write(data)
        return data is not None

    def put(self, name: str, file: Path) -> None:
        """See store.Store."""
        sending = secrets.token_hex(8)
        with file.open("rb") as source:
            while data := source.read(_CHUNK):
                self.ask("write", blob=name, sending=sending, data=data)
        self.ask("close_blob", blob=name, sending=sending)


def _path(blob: str) -> Path:
    """Where a blob lies. Names come from other machines."""
    part, _, name = blob.partition("/")
    if not all(word and not word.startswith(".") and "/" not in word for word in (part, name)):
        raise ValueError(f"{blob!r} is no name of a blob")
    place = cache.root() / "store"
    place.mkdir(exist_ok=True)
    return place / f"{part}-{name}.tar"


def _unfinished(blob: str, sending: str) -> Path:
    if not sending.isalnum():
        raise ValueError(f"{sending!r} is no name")
    path = _path(blob)
    return path.with_name(f".tmp-{sending}-{path.name}")
