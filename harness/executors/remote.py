# SPDX-License-Identifier: GPL-2.0-only
"""A task on a worker of Dask's: what it needs is fetched, its process runs, its record goes back.

A worker has a cache of its own, and nothing of the project. What the process writes lies in a
scratch directory, which is sent back whole; what it builds goes to the store.
"""

import contextlib
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import distributed
import yaml

from harness import __version__, cache, host, parcel, proc, tree
from harness.errors import ExitCode, HarnessError, HostError
from harness.executors.desk import ANSWER_S, MOST_LOST, At
from harness.executors.local import command, document_of
from harness.executors.packet import Answer, Packet, packed
from harness.executors.progress import Cell
from harness.store import SharedStore, Store

_TELL_S = 2.0  # how often it is told how far a task is, and asked whether it is still wanted
_END_S = 60.0  # of a process whose output has ended
_SEND_S = 1800.0  # until somebody has sent a blob
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a task runs, in a directory that Dask removes should the worker die, and the workers
    that were lost with it."""

    worker: str
    key: str
    desk: At
    scratch: Path
    lost: tuple[str, ...] = ()

    def ask(self, what: str, **about: Any) -> Any:
        """Ask the desk something about the task that is this worker's."""
        return self.desk.ask(what, key=self.key, worker=self.worker, **about)

    def failed(self, error: str, *, unfit: bool = False) -> Answer:
        """The answer where it is not the task's own process that has one."""
        return Answer(
            exit=ExitCode.HOST, error=error, worker=self.worker, lost=self.lost, unfit=unfit
        )


def run(packet: Packet, work: Callable[[Packet, Place], Answer] | None = None) -> Answer:
    """Run it on the worker that this is called on, to its end or until nobody wants it. `work` is
    for those who measure."""
    worker = distributed.get_worker()
    place = Place(
        worker=str(worker.address),
        key=str(worker.get_current_task()),
        desk=At(lambda name, **about: _call(worker, name, **about)),
        scratch=Path(worker.local_directory),
    )
    try:
        if packet.version != __version__:
            raise HostError(f"it has harness {__version__}, and not {packet.version}")
        return _in_turn(packet, place, work or _run, threads=worker.state.nthreads)
    except (HarnessError, OSError) as error:
        said = error.message if isinstance(error, HarnessError) else str(error)
        return place.failed(f"{place.worker}: {said}", unfit=True)


def _in_turn(
    packet: Packet, place: Place, work: Callable[[Packet, Place], Answer], *, threads: int
) -> Answer:
    """When there is room; alone where a worker was lost with it before."""
    for wanted in (packet.cpus, threads):
        alone = wanted == threads
        with _ROOM.for_task(threads, wanted):
            told = place.ask("begin", alone=alone)
            if not told["own"]:
                return place.failed("nobody waits for it any more")
            place = replace(place, lost=tuple(told["lost"]))
            if len(place.lost) >= MOST_LOST:
                return place.failed(f"its workers died while they ran it: {', '.join(place.lost)}")
            if alone or not place.lost:
                return work(packet, place)
    raise AssertionError("whoever is alone has run")


def _call(worker: Any, name: str, /, **about: Any) -> Any:
    handler = getattr(worker.scheduler, name)
    return distributed.utils.sync(worker.loop, handler, callback_timeout=ANSWER_S, **about)


class _Room:
    """The threads of this worker: a guest of two processors takes two of them. First come, first
    served, or who wants all would wait for ever."""

    def __init__(self) -> None:
        self._taken = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def for_task(self, threads: int, wanted: int) -> Iterator[None]:
        """Wait for room."""
        wanted, place = min(wanted, threads), object()
        with self._changed:
            self._line.append(place)
            self._changed.wait_for(
                lambda: self._line[0] is place and self._taken + wanted <= threads
            )
            self._line.popleft()
            self._taken += wanted
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


_ROOM = _Room()


def _run(packet: Packet, place: Place) -> Answer:
    with (
        cache.letting_go(),  # a worker lives for weeks
        tempfile.TemporaryDirectory(prefix="cell-", dir=place.scratch) as scratch,
    ):
        return _Work(packet, place, Path(scratch)).run()


class _Work:
    """A task in its scratch directory."""

    def __init__(self, packet: Packet, place: Place, scratch: Path) -> None:
        self._packet = packet
        self._place = place
        self._scratch = scratch
        self._store: Store = place.desk
        if packet.store:
            self._store = SharedStore(packet.store)
        self._output = scratch / "state/harness/runs"
        self._output.mkdir(parents=True)
        self._cell = Cell(packet.argv)
        self._told: dict[str, Any] = {}

    def run(self) -> Answer:
        """Fetch, run, send."""
        packet = self._packet
        if not self._fetch(packet.inputs):
            raise HostError(f"nobody sends {packet.inputs} any more")
        self._write_trees()
        for key in packet.kernels:
            self._fetch(parcel.kernel(key))  # else it is built here
        answer = self._process()
        try:
            for name in filter(parcel.here, map(parcel.kernel, packet.sends)):
                parcel.send(name, self._store)
        except (HarnessError, OSError) as error:  # it is built, and nobody else can have it
            return replace(answer, exit=ExitCode.HOST, error=f"{self._place.worker}: {error}")
        return answer

    def _fetch(self, name: str) -> bool:
        return parcel.fetch(name, self._store, lambda: self._ask(name))

    def _ask(self, name: str) -> bool:
        """Wait until somebody has sent it; False where nobody has it."""
        about = {"matrix": self._packet.matrix, "blob": name}
        deadline = time.monotonic() + _SEND_S
        word = self._place.ask("want", again=False, **about)
        while word == "wait" and not self._store.has(name):
            if time.monotonic() > deadline:
                raise HostError(f"{name} was not sent within {_SEND_S:.0f} s")
            time.sleep(_LOOK_S)
            word = self._place.ask("want", again=True, **about)
        if word == "unwanted":
            raise HostError("nobody waits for it any more")
        return bool(word == "wait")

    def _write_trees(self) -> None:
        """Where the trees are: this machine's own of that commit, else one that is fetched."""
        found = {}
        for name, commit in self._packet.trees.items():
            if _has_tree(name, commit):
                continue
            if not self._fetch(parcel.base(commit)):
                raise HostError(f"there is no tree {name} at {commit[:12]}")
            found[name] = str(cache.root() / parcel.base(commit))
        cache.write_whole(
            self._scratch / "config/harness/trees.yaml", yaml.safe_dump(found).encode()
        )

    def _process(self) -> Answer:
        """The task's own process."""
        began = time.monotonic()
        build = bool(self._packet.sends)
        jobs = host.processors() if build else self._packet.cpus
        log = self._scratch / "log"
        project = cache.root() / self._packet.inputs
        with (
            log.open("wb") as said,
            proc.spawn(
                command(self._packet.argv, build=build),
                cwd=project,
                env={
                    "HARNESS_JOBS": str(jobs),
                    "HARNESS_OUTPUT": str(self._output),
                    "HARNESS_PROJECT": str(project),
                    "XDG_CONFIG_HOME": str(self._scratch / "config"),
                    "XDG_STATE_HOME": str(self._scratch / "state"),
                },
                stderr=said.fileno(),
            ) as process,
        ):
            written = self._follow(process)
            status = process.wait(_END_S)
        return Answer(
            exit=ExitCode.BUG if status is None else status,
            duration_s=round(time.monotonic() - began, 3),
            document=document_of(written),
            worker=self._place.worker,
            lost=self._place.lost,
            log=log.read_bytes(),
            runs=packed(self._output),
        )

    def _follow(self, process: proc.Process) -> bytes:
        """All that it writes; meanwhile say how far it is, and end it when nobody wants it."""
        written: list[bytes] = []
        reader = threading.Thread(target=lambda: written.append(process.stdout.read()), daemon=True)
        reader.start()
        while reader.is_alive():
            reader.join(_TELL_S)
            if reader.is_alive() and not self._tell():
                process.kill()
                reader.join(_END_S)
        return b"".join(written)

    def _tell(self) -> bool:
        about: dict[str, Any] = {}
        for directory in self._output.iterdir():
            with contextlib.suppress(OSError):  # its journal is to come
                about = asdict(self._cell.read(directory))
        news = about if about != self._told else {}
        self._told = about
        return bool(self._place.ask("tell", matrix=self._packet.matrix, about=news))


def _has_tree(name: str, commit: str) -> bool:
    """It is that of a package of this machine's, as the task's process is going to find it too."""
    if name not in tree.KNOWN or name in tree.added() or name not in tree.local():
        return False
    return tree.resolve_local(name).commit == commit
