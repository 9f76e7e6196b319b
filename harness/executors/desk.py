# SPDX-License-Identifier: GPL-2.0-only
"""On Dask's scheduler: who began with which task, how far it is, and blobs for all machines.

Whoever gives tasks and whoever runs them reach the scheduler, and perhaps nothing else. So what
one has to say to the other, and the kernels and bases that one has for the others where no store
is shared, goes by here. Blobs lie in `store/` of the cache of the scheduler's machine.
"""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Scheduler, SchedulerPlugin

from harness import __version__, cache, disuse
from harness.errors import HostError

MOST_LOST = 2
"""Workers that a task may be lost with."""

ANSWER_S = 120.0
"""How long whoever calls waits for an answer."""

TOPIC = "harness"
"""Of Dask's events that the desk sends; each names its matrix."""

_CHUNK = 4 << 20
_HANDLERS = ("room", "fit", "begin", "tell", "want", "refuse", "leave") + (
    ("has", "read", "write", "close_blob", "remove")
)
_OVER = ("memory", "erred", "forgotten")


class Desk(SchedulerPlugin):
    """The scheduler's part. Its handlers are what At calls; none answers None, which Dask does for
    what it has no handler for."""

    name = "harness-desk"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """See SchedulerPlugin."""
        self._scheduler = scheduler
        self._begun: dict[str, list[str]] = {}
        self._nobody_has: dict[str, set[str]] = {}
        for name in _HANDLERS:
            scheduler.handlers[f"harness_{name}"] = getattr(self, name)

    def transition(self, key: str, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See SchedulerPlugin: a task that has ended is nobody's death."""
        if finish in _OVER:
            self._begun.pop(key, None)

    async def room(self, avoid: list[str]) -> dict[str, Any]:
        """What all workers have but some: threads, MiB, and how many they are. And whose desk
        this is."""
        workers = [self._scheduler.workers[one] for one in await self.fit(avoid)]
        return {
            "version": __version__,
            "cpus": sum(one.nthreads for one in workers),
            "memory_mib": sum(one.memory_limit for one in workers) >> 20,
            "machines": len(workers),
        }

    async def fit(self, avoid: list[str]) -> list[str]:
        """The addresses of all workers but some."""
        return [address for address in self._scheduler.workers if address not in avoid]

    async def begin(self, key: str, worker: str, alone: bool) -> dict[str, Any]:
        """A worker is about to run a task: is it still its own, and which workers were lost while
        they ran it before? Where there are some it has to be alone on its worker, so that it is
        known who is to blame for the next; of MOST_LOST it is not begun again."""
        lost = list(self._begun.get(key, ()))
        own = self._has(key, worker)
        if own and len(lost) < MOST_LOST and (alone or not lost):
            self._begun.setdefault(key, []).append(worker)
        return {"own": own, "lost": lost}

    def _has(self, key: str, worker: str) -> bool:
        """Somebody waits for the task, and the worker is the one that has it."""
        task = self._scheduler.tasks.get(key)
        has = task.processing_on if task is not None else None
        return has is not None and has.address == worker

    async def tell(self, key: str, worker: str, matrix: str, about: dict[str, Any]) -> bool:
        """How far a task is, if that is new; False where it is no longer the worker's."""
        if not self._has(key, worker):
            return False
        if about:
            told = {"matrix": matrix, "key": key, "told": {**about, "worker": worker}}
            self._scheduler.log_event(TOPIC, told)
        return True

    async def want(self, key: str, worker: str, matrix: str, blob: str, again: bool) -> str:
        """A worker lacks a blob for a task, which is told once. `wait`; `nobody` has it; or the
        task is `unwanted`."""
        if not self._has(key, worker):
            return "unwanted"
        refused = self._nobody_has.setdefault(matrix, set())
        if not again:
            refused.discard(blob)
            self._scheduler.log_event(TOPIC, {"matrix": matrix, "want": blob})
        return "nobody" if blob in refused else "wait"

    async def refuse(self, matrix: str, blob: str) -> bool:
        """Whoever runs the matrix does not have a blob."""
        self._nobody_has.setdefault(matrix, set()).add(blob)
        return True

    async def leave(self, matrix: str) -> bool:
        """A matrix is over."""
        self._nobody_has.pop(matrix, None)
        return True

    async def has(self, blob: str) -> bool:
        """The blob is here."""
        path = _path(blob)
        cache.touch(path)  # the least recently used goes first
        return path.is_file()

    async def read(self, blob: str, offset: int) -> dict[str, Any]:
        """A part of it, empty at its end."""
        try:
            with _path(blob).open("rb") as file:
                file.seek(offset)
                return {"there": True, "data": file.read(_CHUNK)}
        except FileNotFoundError:
            return {"there": False, "data": b""}

    async def write(self, blob: str, sending: str, data: bytes) -> bool:
        """One more part of it, from one who is `sending` it."""
        with _unfinished(blob, sending).open("ab") as file:
            file.write(data)
        return True

    async def close_blob(self, blob: str, sending: str) -> bool:
        """That was all of it."""
        _unfinished(blob, sending).replace(_path(blob))
        await asyncio.to_thread(disuse.evict, "store", cache.limit_bytes())
        return True

    async def remove(self, blob: str) -> bool:
        """It is of no use."""
        _path(blob).unlink(missing_ok=True)
        return True


class At:
    """The desk as others see it, and a store.Store. `call` sends a request of that name to the
    scheduler and returns its answer."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def ask(self, what: str, **about: Any) -> Any:
        """Call a handler of the desk's; HostError where the scheduler does not answer, or lost its
        desk when it was started again."""
        try:
            answer = self._call(f"harness_{what}", **about)
        except (OSError, TimeoutError) as error:
            raise HostError(f"Dask's scheduler: {error or type(error).__name__}") from error
        if answer is None:
            raise HostError("Dask's scheduler knows nothing of harness: was it started again?")
        return answer

    def has(self, name: str) -> bool:
        """See store.Store."""
        return bool(self.ask("has", blob=name))

    def get(self, name: str, to: Path) -> bool:
        """See store.Store."""
        with to.open("wb") as file:
            while (part := self.ask("read", blob=name, offset=file.tell()))["data"]:
                file.write(part["data"])
        return bool(part["there"])

    def put(self, name: str, file: Path) -> None:
        """See store.Store."""
        sending = secrets.token_hex(8)
        with file.open("rb") as source:
            while data := source.read(_CHUNK):
                self.ask("write", blob=name, sending=sending, data=data)
        self.ask("close_blob", blob=name, sending=sending)

    def remove(self, name: str) -> None:
        """See store.Store."""
        self.ask("remove", blob=name)


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
