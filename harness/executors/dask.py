# SPDX-License-Identifier: GPL-2.0-only
"""Tasks on the workers of a Dask cluster (docs/cluster.md).

The schedule says what begins, Dask on which worker, and again elsewhere where a worker is lost.
What a task needs it asks for by content; whoever runs the matrix sends what it has of that.
"""

import asyncio
import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import distributed

from harness import parcel
from harness.errors import ExitCode, HarnessError, HostError, UsageError
from harness.executors import Capacity, Finished, Order, Progress
from harness.executors.desk import ANSWER_S, At, Desk
from harness.executors.packet import Answer, Packet, keep
from harness.executors.packing import Packing
from harness.executors.remote import run
from harness.model import Kind
from harness.store import SharedStore, Store

_CONNECT_S = 20.0
_WORKERS_S = 60.0  # for the first to come
_NO_WORKERS_S = 1800.0  # and for another, when all are gone
_ROOM_S = 1.0  # how often it is asked what there is
_SHARE = 0.8  # of the workers' memory
_GATHER_S = 600.0

Work = Callable[[Packet], Answer]


@dataclass(slots=True, kw_only=True)
class _Running:
    """A task that Dask has. `told` is how far it is."""

    order: Order
    future: Any
    told: dict[str, Any] = field(default_factory=dict)


class DaskExecutor:
    """See executors.Executor. `scheduler` is its address, as tcp://host:8786 or tls://host:8786;
    certificates are those of Dask's configuration. `root` is the project, `store` what
    store.SharedStore takes, or empty for the scheduler's own; at most `cpus` threads are filled.
    `work` is done on the workers. HostError where there is no scheduler, or no worker comes."""

    def __init__(
        self,
        scheduler: str,
        *,
        root: Path,
        store: str = "",
        cpus: int | None = None,
        work: Work = run,
    ) -> None:
        check(scheduler)
        self._address = scheduler
        self._root = root
        self._cpus = cpus
        self._work = work
        self._shared = SharedStore(store) if store else None
        self._topic = f"harness-{secrets.token_hex(6)}"
        self._running: dict[str, _Running] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wants: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._packing = Packing(root)
        self._built_at: dict[str, str] = {}
        self._looked = 0.0
        self._alone_since: float | None = None
        self._room = Capacity(cpus=0, memory_mib=0)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "DaskExecutor":
        with contextlib.ExitStack() as stack:
            try:
                asyncio.run(_reach(self._address))  # a Client that cannot is hard to be rid of
            except (OSError, TimeoutError, TypeError, ValueError) as error:
                raise HostError(
                    f"no Dask scheduler answers at {self._address}: {error}",
                    hint="`dask scheduler` starts one; docs/cluster.md has TLS",
                ) from error
            self._client = distributed.Client(
                self._address, timeout=_CONNECT_S, set_as_default=False, name="harness"
            )
            stack.callback(self._close)
            self._desk = At(self._call)
            self._store: Store = self._shared or self._desk
            try:
                self._client.register_plugin(Desk())
            except Exception as error:  # whatever it met over there
                raise HostError(
                    f"the scheduler cannot have harness's part: {type(error).__name__}: {error}",
                    hint="start it where this version of `harness[cluster]` is installed",
                ) from error
            self._client.subscribe_topic(self._topic, self._hear)
            sender = threading.Thread(target=self._send, daemon=True)
            sender.start()
            stack.callback(self._wants.put, None)
            self._wait_for_workers()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """What still runs is cancelled: its worker kills it within a second or two."""
        self._stack.close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._client.cancel([one.future for one in self._running.values()])
        self._running.clear()
        self._client.close(timeout=_CONNECT_S)

    @property
    def capacity(self) -> Capacity:
        """See executors.Executor: the threads of all workers, and their memory."""
        now = time.monotonic()
        if now - self._looked < _ROOM_S:
            return self._room
        self._looked = now
        told = self._desk.ask("room")
        cpus = min(told["cpus"], self._cpus) if self._cpus else told["cpus"]
        self._room = Capacity(
            cpus=cpus,
            memory_mib=int(told["memory_mib"] * _SHARE) or 1 << 40,  # workers without a limit
            machines=max(1, min(told["machines"], cpus)),
            crowd=1,  # a thread each
        )
        return self._room

    @property
    def resumes(self) -> bool:
        """See executors.Executor."""
        return False

    def has(self, kernel: str) -> bool:
        """See executors.Executor: who has it here sends it."""
        name = parcel.kernel(kernel)
        return parcel.here(name) or self._store.has(name)

    def start(self, order: Order) -> None:
        """See executors.Executor."""
        task = order.task
        packet = self._packing.of(order, topic=self._topic)
        if self._shared is not None:
            packet = replace(packet, store=self._shared.url)
        near = self._built_at.get(task.group) if task.kind is Kind.BUILD else None
        future = self._client.submit(
            self._work,
            packet,
            key=f"{self._topic}-{secrets.token_hex(8)}",
            workers=[near] if near else None,  # which has the objects
            allow_other_workers=bool(near),
            priority=task.priority,
            pure=False,
        )
        self._running[task.name] = _Running(order=order, future=future)
        future.add_done_callback(lambda _: self._ended.put(task.name))

    def wait(self, timeout_s: float) -> list[Finished]:
        """See executors.Executor. HostError where the scheduler is lost, or all workers are for
        too long."""
        names = []
        with contextlib.suppress(queue.Empty):
            names.append(self._ended.get(timeout=timeout_s))
            while True:
                names.append(self._ended.get_nowait())
        self._check()
        done = [self._running.pop(name) for name in names if name in self._running]
        good = [one.future for one in done if one.future.status == "finished"]
        answers = dict(zip((f.key for f in good), self._gather(good), strict=True))
        return [self._finished(one, answers.get(one.future.key)) for one in done]

    def progress(self) -> dict[str, Progress]:
        """See executors.Executor."""
        keys = {one.name for one in fields(Progress)}
        return {
            name: Progress(**{key: one.told[key] for key in keys})
            for name, one in list(self._running.items())
            if keys <= one.told.keys()
        }

    def _gather(self, futures: list[Any]) -> list[Answer]:
        try:
            if not futures:
                return []
            gather = partial(self._client.gather, futures, asynchronous=True)
            return list(self._client.sync(gather, callback_timeout=_GATHER_S))
        except Exception as error:
            raise HostError(f"Dask lost what its workers had: {error}") from error

    def _finished(self, one: _Running, answer: Answer | None) -> Finished:
        task = one.order.task
        if answer is None:
            answer = _given_up(one.future)
        one.future.release()
        one.order.log.write_bytes(answer.log)
        if task.kind is Kind.BUILD and answer.worker:
            self._built_at[task.group] = answer.worker
        kept = keep(answer.runs)
        document = dict(answer.document)
        if name := Path(document.get("run_dir", "")).name:
            document["run_dir"] = str(kept.get(name, ""))
        return Finished(
            task=task.name,
            exit=answer.exit,
            duration_s=answer.duration_s,
            document=document,
            error=answer.error,
            worker=answer.worker,
            lost=answer.lost,
        )

    def _check(self) -> None:
        if self._client.status != "running":
            raise HostError(f"Dask's scheduler at {self._address} was lost")
        if self.capacity.cpus:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _NO_WORKERS_S:
            raise HostError(f"no worker has come back for {_NO_WORKERS_S:.0f} s")

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + _WORKERS_S
        while not self.capacity.cpus:
            if time.monotonic() > deadline:
                raise HostError(
                    f"no worker has come to {self._address} within {_WORKERS_S:.0f} s",
                    hint=f"start some: dask worker {self._address}",
                )
            time.sleep(_ROOM_S)

    def _call(self, name: str, /, **about: Any) -> Any:
        handler = getattr(self._client.scheduler, name)
        return self._client.sync(handler, callback_timeout=ANSWER_S, **about)

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """What the desk tells of this matrix, in Dask's thread."""
        told = dict(event[1])
        if "want" in told:
            self._wants.put(told["want"])
            return
        key = told.pop("key")
        for one in list(self._running.values()):
            if one.future.key == key:
                one.told = told

    def _send(self) -> None:
        """Send what workers want, one after the other, in a thread of its own."""
        while (name := self._wants.get()) is not None:
            try:
                self._packing.have(name)
                parcel.send(name, self._store)
            except HarnessError:
                # Whoever wants it goes on without, or says that it cannot.
                with contextlib.suppress(HarnessError):
                    self._desk.ask("refuse", topic=self._topic, blob=name)


async def _reach(address: str) -> None:
    """Connect once, as a client."""
    secure = distributed.Security().get_connection_args("client")
    comm = await distributed.core.connect(address, timeout=_CONNECT_S / 2, **secure)
    await comm.close()


def check(scheduler: str) -> None:
    """UsageError for what is no address of a scheduler."""
    parts = urlsplit(scheduler)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise UsageError(f"--scheduler {scheduler} is no address", hint="as tcp://host:8786")


def is_open(scheduler: str) -> bool:
    """What goes there can be read and changed by others on the way."""
    parts = urlsplit(scheduler)
    return parts.scheme != "tls" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _given_up(future: Any) -> Answer:
    """Why Dask has no answer."""
    if future.status != "error":
        return Answer(exit=ExitCode.HOST, error=f"Dask ended it: {future.status}")
    error = future.exception()
    if isinstance(error, distributed.scheduler.KilledWorker):
        lost = str(error.last_worker.address)
        why = f"its workers died while they had it, the last at {lost}"
        return Answer(exit=ExitCode.HOST, error=why, lost=(lost,))
    return Answer(exit=ExitCode.BUG, error=f"{type(error).__name__}: {error}")
