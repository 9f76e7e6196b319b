# SPDX-License-Identifier: GPL-2.0-only
"""Tasks on the workers of a Dask cluster (docs/cluster.md).

The schedule says what begins, Dask on which worker, and again elsewhere where a worker is lost.
What a task needs it asks for by content; whoever runs the matrix sends what it has of that.
"""

import contextlib
import logging
import queue
import secrets
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import distributed

from harness import parcel
from harness.errors import ExitCode, HarnessError, HostError
from harness.executors import Capacity, Finished, Order, Progress
from harness.executors.link import Link
from harness.executors.packet import Answer, Packet, keep
from harness.executors.packing import Packing
from harness.executors.remote import run
from harness.model import Kind
from harness.store import SharedStore, Store

log = logging.getLogger(__name__)

_WORKERS_S = 60.0  # for the first to come
_NO_WORKERS_S = 1800.0  # and for another, when all are gone
_ROOM_S = 1.0  # how often it is asked what there is
_SHARE = 0.8  # of the workers' memory
_GATHER_S = 10.0  # for an answer to come; its worker may be lost by then
_AGAIN_S = 30.0  # until one that did not come is asked for again
_MISSES = 20  # Dask gives a silent worker up in half of that time
_TRIES = 3  # of a task that comes to no process on its worker

Work = Callable[[Packet], Answer]


@dataclass(slots=True, kw_only=True)
class _Running:
    """A task that Dask has, for the how-many-eth time, for some workers only where others are
    avoided; how often its answer did not come, and how far it is."""

    order: Order
    packet: Packet
    future: Any
    tries: int
    only: tuple[str, ...]
    missed: int = 0
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
        self._link = Link(scheduler, self._hear)
        self._cpus = cpus
        self._work = work
        self._url = ""
        self._store: Store = self._link.desk
        if store:
            self._store = shared = SharedStore(store)
            self._url = shared.url
        self._packing = Packing(root)
        self._running: dict[str, _Running] = {}
        self._by_key: dict[str, _Running] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failed: list[Finished] = []  # before they came to Dask
        self._wants: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._built_at: dict[str, str] = {}
        self._avoid: set[str] = set()
        self._looked = 0.0
        self._alone_since: float | None = None
        self._room = Capacity(cpus=0, memory_mib=0)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "DaskExecutor":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._link)
            stack.callback(self._cancel)
            threading.Thread(target=self._send, daemon=True).start()
            stack.callback(self._wants.put, None)
            self._wait_for_workers()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """What still runs is cancelled: its worker kills it within some seconds."""
        self._stack.close()

    def _cancel(self) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._link.client.cancel([one.future for one in self._running.values()])
        self._running.clear()
        self._by_key.clear()

    @property
    def capacity(self) -> Capacity:
        """See executors.Executor: the threads of all workers, and their memory."""
        now = time.monotonic()
        if now - self._looked < _ROOM_S:
            return self._room
        self._looked = now
        told = self._link.desk.ask("room", avoid=sorted(self._avoid))
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
        """See executors.Executor. What cannot be packed is that task's error."""
        try:
            packet = self._packing.of(order, matrix=self._link.matrix)
        except (HarnessError, OSError) as error:
            code = getattr(error, "exit_code", ExitCode.HOST)
            name = order.task.name
            self._failed.append(
                Finished(task=name, exit=code, duration_s=0.0, document={}, error=str(error))
            )
            return
        self._submit(order, replace(packet, store=self._url), tries=1)

    def _submit(self, order: Order, packet: Packet, *, tries: int) -> None:
        task = order.task
        near = self._built_at.get(task.group) if task.kind is Kind.BUILD else None
        only = tuple(self._fit()) if self._avoid else ()
        hint = (near,) if near and not only else ()  # which has the objects
        future = self._link.client.submit(
            self._work,
            packet,
            key=f"{self._link.matrix}-{secrets.token_hex(8)}",
            workers=only or hint or None,
            allow_other_workers=bool(hint),
            priority=task.priority,
            pure=False,
        )
        one = _Running(order=order, packet=packet, future=future, tries=tries, only=only)
        self._running[task.name] = self._by_key[str(future.key)] = one
        self._await(one)

    def _fit(self) -> list[str]:
        """The workers that are not avoided."""
        return list(self._link.desk.ask("fit", avoid=sorted(self._avoid)))

    def _free_stuck(self) -> None:
        """What may only be run by workers that are all gone is for those that came."""
        if not self._avoid:
            return
        there = set(self._fit())
        for one in [one for one in self._running.values() if one.only]:
            if there and not there & set(one.only):
                del self._by_key[str(one.future.key)]
                one.future.cancel()
                self._submit(one.order, one.packet, tries=one.tries)

    def _await(self, one: _Running) -> None:
        name = one.order.task.name
        one.future.add_done_callback(lambda _: self._ended.put(name))

    def wait(self, timeout_s: float) -> list[Finished]:
        """See executors.Executor. HostError where the scheduler is lost, or all workers are for
        too long."""
        found, self._failed = self._failed, []
        names = []
        with contextlib.suppress(queue.Empty):
            names.append(self._ended.get(timeout=0 if found else timeout_s))
            while True:
                names.append(self._ended.get_nowait())
        self._link.check()
        self._count_workers()
        self._free_stuck()
        ended = [self._running[name] for name in dict.fromkeys(names) if name in self._running]
        for one, answer in self._answers(ended):
            del self._running[one.order.task.name], self._by_key[str(one.future.key)]
            one.future.release()
            if not self._goes_elsewhere(one, answer):
                found.append(self._finished(one.order, answer))
        return found

    def _answers(self, ended: list[_Running]) -> list[tuple[_Running, Answer]]:
        """Those that have one. An answer may be lost with its worker before it is here: then Dask
        runs the task again, and it ends once more."""
        found, good = [], []
        for one in ended:
            status = one.future.status
            if status == "cancelled":
                raise self._link.lost()  # nobody else does that
            if status == "finished":
                good.append(one)
            elif status == "error":
                found.append((one, _given_up(one.future)))
            else:
                self._await(one)
        answers = self._gather(good)
        if answers is not None:
            return found + list(zip(good, answers, strict=True))
        for one in good:  # which of them?
            if alone := self._gather([one]):
                found.append((one, alone[0]))
            elif one.missed >= _MISSES:
                why = "it has ended, and its answer does not come"
                found.append((one, Answer(exit=ExitCode.HOST, error=why)))
            else:
                one.missed += 1
                later = threading.Timer(_AGAIN_S, self._ended.put, [one.order.task.name])
                later.daemon = True
                later.start()
        return found

    def _gather(self, some: list[_Running]) -> list[Answer] | None:
        """Their answers; None where one of them does not come."""
        if not some:
            return []
        futures = [one.future for one in some]
        gather = partial(self._link.client.gather, futures, asynchronous=True)
        try:
            return list(self._link.client.sync(gather, callback_timeout=_GATHER_S))
        except Exception:  # noqa: BLE001  Dask's, of many kinds
            self._link.check()
            return None

    def _goes_elsewhere(self, one: _Running, answer: Answer) -> bool:
        """A worker that cannot even begin gets nothing more, or it would have all tasks of a
        matrix fail in no time."""
        if not answer.unfit or one.tries >= _TRIES:
            return False
        if not set(self._fit()) - {answer.worker}:
            return False
        if answer.worker not in self._avoid:
            log.warning("no more tasks go to a worker: %s", answer.error)
            self._avoid.add(answer.worker)
        self._submit(one.order, one.packet, tries=one.tries + 1)
        return True

    def _finished(self, order: Order, answer: Answer) -> Finished:
        task = order.task
        if task.kind is Kind.BUILD and answer.worker:
            self._built_at[task.group] = answer.worker
        document = dict(answer.document)
        error = answer.error
        try:
            order.log.write_bytes(answer.log)
            kept = keep(answer.runs)
            name = Path(document.pop("run_dir", "")).name
            here = kept.get(name) or next(iter(kept.values()), None)
            if here is not None:  # also of a process that died without a word
                document["run_dir"] = str(here)
        except (OSError, tarfile.TarError) as trouble:
            error = f"its record is lost: {trouble}"
        return Finished(
            task=task.name,
            exit=answer.exit if error == answer.error else ExitCode.HOST,
            duration_s=answer.duration_s,
            document=document,
            error=error,
            worker=answer.worker,
            lost=answer.lost,
        )

    def progress(self) -> dict[str, Progress]:
        """See executors.Executor."""
        keys = {one.name for one in fields(Progress)}
        told = {name: one.told for name, one in self._running.items() if one.told}
        return {name: Progress(**{key: one[key] for key in keys}) for name, one in told.items()}

    def _count_workers(self) -> None:
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
                address = self._link.address
                raise HostError(
                    f"no worker has come to {address} within {_WORKERS_S:.0f} s",
                    hint=f"start some: dask worker {address}",
                )
            time.sleep(_ROOM_S)

    def _hear(self, event: Mapping[str, Any]) -> None:
        """What the desk tells, in Dask's thread."""
        if "want" in event:
            self._wants.put(event["want"])
        elif (one := self._by_key.get(event["key"])) is not None:
            one.told = event["told"]

    def _send(self) -> None:
        """Send what workers want, one after the other, in a thread of its own."""
        while (name := self._wants.get()) is not None:
            try:
                self._packing.have(name)
                parcel.send(name, self._store)
            except Exception as error:  # noqa: BLE001  whoever wants it goes on without, or says so
                log.debug("%s is not sent: %s", name, error)
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    self._link.desk.ask("refuse", matrix=self._link.matrix, blob=name)


def _given_up(future: Any) -> Answer:
    """What is to be said where Dask has no answer."""
    error = future.exception()
    if isinstance(error, distributed.scheduler.KilledWorker):
        lost = str(error.last_worker.address)
        why = f"its workers died while they had it, the last at {lost}"
        return Answer(exit=ExitCode.HOST, error=why, lost=(lost,))
    return Answer(exit=ExitCode.BUG, error=f"{type(error).__name__}: {error}")
