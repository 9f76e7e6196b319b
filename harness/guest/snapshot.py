# SPDX-License-Identifier: GPL-2.0-only
"""Guests that boot once and are then restored from a file, each in a sixth of a second.

The guest's memory is a file that QEMU maps shared while the guest boots, so that all of it is
there when the guest is saved; what migration writes besides is the devices' state, 0.4 MB. Who
restores maps the file privately: nothing is copied, guests side by side share what none of them
has written to, and a restore does not get slower as memory grows. (QEMU's x-ignore-shared, see
migrate-set-capabilities in qapi/migration.json; VM templating of Kata Containers does the same.)

A state lies in the cache under a key of all that it depends on: image, root, command line, QEMU,
processor. Its files' digests are checked before its first use in a run.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from harness import cache, proc
from harness.errors import QemuDiedError, SaveError, StageError
from harness.guest import BootPlan, disk, machine, qemu, vng
from harness.guest.root import Root
from harness.guest.session import Session
from harness.model import Command, Kernel, Splat, splat_of

_RECIPE = 1  # raise it when the way to save changes
_SAVE_S = 60.0
_CALM_S = 10.0
_CHUNK = 4 << 20
_BLOCK = 64 << 10
_ABOUT = {"key", "release", "slowness", "scratch", "server", "splats", "ram", "devices"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a state is made of: `server` runs in it, if any. Scratch disks come with each start."""

    kernel: Kernel
    root: Root
    plan: BootPlan
    server: Command | None = None

    def compose(self, sockets: Path, memory: machine.Memory) -> list[str]:
        """QEMU's command line."""
        return machine.compose(self.kernel, self.plan, sockets, root=self.root, memory=memory)

    @property
    def key(self) -> str:
        """Equal keys, equal states."""
        words = self.compose(Path("@sockets@"), machine.Memory(file=Path("@ram@"), shared=True))
        files = {str(drive.file): f"@{n}@" for n, drive in enumerate(self.plan.drives)}
        server = self.server
        return cache.digest(
            _RECIPE,
            self.kernel.image_digest,
            self.root.key,
            [vng.swap(word, files) for word in words],
            _qemu_identity(),
            _processor() if self.plan.accel == "kvm" else "",
            (server.server, server.cwd, server.env) if server else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A saved guest. `about` is its state.json; `held` are files without a name, in memory, of a
    state that is not in the cache: close() ends them."""

    key: str
    ram: Path
    devices: Path
    about: dict[str, Any]
    directory: Path | None = None
    held: tuple[IO[bytes], ...] = ()

    def close(self) -> None:
        """Let go of what no file of the cache holds."""
        for file in self.held:
            file.close()

    @property
    def splats(self) -> tuple[Splat, ...]:
        """What the kernel reported before it was saved."""
        return tuple(splat_of(one) for one in self.about["splats"])


def load(key: str) -> State | None:
    """A state of the cache, whole and unchanged; None when there is none such. One that is
    broken is removed, and SaveError says in which way."""
    directory = cache.root() / "states" / key
    if not cache.hold(directory):
        return None
    about = cache.read_json(directory / "state.json")
    if fault := _fault(directory, about, key):
        cache.remove(directory)
        raise SaveError(f"the saved guest {key[:12]} is of no use: {fault}")
    return State(
        key=key,
        ram=directory / "ram",
        devices=directory / "devices",
        about=about,
        directory=directory,
    )


def _fault(directory: Path, about: Any, key: str) -> str:
    """What is wrong with a state of the cache; empty when it is what was saved."""
    if not isinstance(about, dict) or not about.keys() >= _ABOUT:
        return "its description is broken"
    if about["key"] != key:
        return "it is another one's"
    for name in ("ram", "devices"):
        try:
            if about[name] != _digest(directory / name):
                return f"its {name} are not what was saved"
        except OSError:
            return f"its {name} are not what was saved"
    gone = [name for name in ("console.log", "qemu.cmd") if not (directory / name).is_file()]
    return f"its {gone[0]} is gone" if gone else ""


def discard(state: State) -> None:
    """Nobody is to use it again."""
    if state.directory is not None:
        cache.remove(state.directory)


@contextlib.contextmanager
def make(
    recipe: Recipe, directory: Path, parent: State | None = None
) -> Iterator[tuple[State, Session]]:
    """Boot a guest, or wake `parent`, start the server of the recipe and save it all: the state,
    good until the guest goes on or the end of the block, and the guest, which stands still.

    Writes console.log and qemu.cmd into `directory`. BootError and QemuDiedError as for any boot;
    SaveError when this QEMU cannot save, the server does not start, or the guest is not well.
    """
    qemu.check_image(recipe.kernel.image)
    with _unnamed("harness-ram") as ram, _unnamed("harness-devices") as devices:
        ram.truncate(recipe.plan.spec.memory_mib << 20)
        if parent is not None:
            with parent.ram.open("rb") as file:
                _copy_data(file, ram)
        memory = machine.Memory(file=_path(ram), shared=True, incoming=parent is not None)
        compose = functools.partial(recipe.compose, memory=memory)
        with qemu.started(compose, directory) as running:
            guest = Session(running, recipe.plan, recipe.kernel.vmlinux, woken=parent is not None)
            _bring_up(guest, recipe, parent)
            _save(guest, _path(devices))
            if fatal := next((splat for splat in guest.console.splats if splat.fatal), None):
                why = f"the kernel reported before a test began: {fatal.title}"
                raise SaveError(why, log=directory / "console.log")
            state = State(
                key=recipe.key,
                ram=_path(ram),
                devices=_path(devices),
                about=_about(guest, recipe, parent),
            )
            yield state, guest


def _bring_up(guest: Session, recipe: Recipe, parent: State | None) -> None:
    if parent is None:
        guest.greet(recipe.plan)
        guest.scratch = disk.find(guest, recipe.plan.drives)
    else:
        _come_back(guest, recipe, parent, "restored to be saved again")
    if recipe.server is not None and guest.serve(recipe.server).status != 0:
        raise SaveError("the server of the tests does not start")
    guest.calm(_CALM_S + 3 * guest.slowness)


def _about(guest: Session, recipe: Recipe, parent: State | None) -> dict[str, Any]:
    splats = (*(parent.splats if parent else ()), *guest.console.splats)
    return {
        "key": recipe.key,
        "release": guest.release,
        "slowness": guest.slowness,
        "scratch": guest.scratch,
        "server": recipe.server.server if recipe.server else (),
        "splats": [asdict(splat) for splat in splats],
        "parent": parent.key if parent else "",
    }


def go_on(guest: Session, recipe: Recipe, text: str) -> None:
    """Have a guest go on that was saved; what it does to its memory is not in its state."""
    guest.monitor.call("cont")
    guest.monitor.events.may_stop = False
    guest.wake(recipe.plan, text, timeout_s=recipe.plan.spec.boot_timeout_s)


def hold(state: State) -> State:
    """The same state, for as long as it is not closed, in memory of its own."""
    ram, devices = _unnamed("harness-ram"), _unnamed("harness-devices")
    for source, target in ((state.ram, ram), (state.devices, devices)):
        with source.open("rb") as file:
            target.truncate(os.fstat(file.fileno()).st_size)
            _copy_data(file, target)
    return replace(state, ram=_path(ram), devices=_path(devices), held=(ram, devices))


def keep(state: State, directory: Path) -> State:
    """The same state in the cache, with the console of its boot. SaveError where it has no room."""
    final = cache.root() / "states" / state.key
    try:
        with cache.building(final) as work:
            for source, name in ((state.ram, "ram"), (state.devices, "devices")):
                with source.open("rb") as file, (work / name).open("wb") as target:
                    target.truncate(os.fstat(file.fileno()).st_size)
                    _copy_data(file, target)
            for name in ("console.log", "qemu.cmd"):
                shutil.copyfile(directory / name, work / name)
            digests = {name: _digest(work / name) for name in ("ram", "devices")}
            about = {**state.about, **digests}
            # Not synced: what a crash of the host leaves half is found out by its digests.
            (work / "state.json").write_text(json.dumps(about))
    except OSError as error:
        raise SaveError(
            f"the saved guest is not kept: {error.strerror} in {final.parent}"
        ) from None
    # Another run's, where that was faster: no two guests' memories are the same.
    about = cache.read_json(final / "state.json") or about
    return State(
        key=state.key, ram=final / "ram", devices=final / "devices", about=about, directory=final
    )


@contextlib.contextmanager
def restore(recipe: Recipe, state: State, directory: Path, text: str) -> Iterator[Session]:
    """A guest that goes on where `state` stopped, until the end of the block.

    Writes console.log, which begins with `text`, and qemu.cmd into `directory`. BootError,
    QemuDiedError or StageError when it does not come back.
    """
    memory = machine.Memory(file=state.ram, shared=False, incoming=True)
    with qemu.started(lambda place: recipe.compose(place, memory), directory) as running:
        guest = Session(running, recipe.plan, recipe.kernel.vmlinux, woken=True)
        _come_back(guest, recipe, state, text)
        yield guest


def _come_back(guest: Session, recipe: Recipe, state: State, text: str) -> None:
    guest.monitor.call("migrate-set-capabilities", capabilities=machine.CAPABILITIES)
    guest.monitor.call("migrate-incoming", uri=f"exec:cat {shlex.quote(str(state.devices))}")
    guest.slowness = float(state.about["slowness"])
    guest.scratch = dict(state.about["scratch"])
    guest.server = tuple(state.about["server"])
    guest.wake(recipe.plan, text, timeout_s=recipe.plan.spec.boot_timeout_s)


def _save(guest: Session, devices: Path) -> None:
    """Stop the guest and write what is not in its memory."""
    guest.monitor.events.may_stop = True
    try:
        guest.monitor.call("migrate-set-capabilities", capabilities=machine.CAPABILITIES)
        guest.monitor.call("migrate", uri=f"exec:cat >{shlex.quote(str(devices))}")
        deadline = time.monotonic() + _SAVE_S
        while (status := guest.monitor.call("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled") or time.monotonic() > deadline:
                raise SaveError(f"QEMU cannot save this guest: migration is {status}")
            time.sleep(0.002)  # poll: its event would need another capability
    except (SaveError, QemuDiedError):
        raise
    except StageError as error:
        raise SaveError(f"this QEMU cannot save guests: {error.message}") from None


def _unnamed(name: str) -> IO[bytes]:
    """A file in memory that goes when it is closed, and with us."""
    return os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b", buffering=0)


def _path(file: IO[bytes]) -> Path:
    """A name for it that QEMU can open."""
    return Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def _extents(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Offset and length of what is no hole: most of a guest's memory was never touched."""
    fd, end = file.fileno(), os.fstat(file.fileno()).st_size
    at = 0
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at - start


def _copy_data(source: IO[bytes], target: IO[bytes]) -> None:
    for start, length in _extents(source):
        at, end = start, start + length
        target.seek(at)
        while at < end:
            at += os.sendfile(target.fileno(), source.fileno(), at, min(_CHUNK, end - at))


def _digest(path: Path) -> str:
    """Of size and content; where the file has holes makes no difference."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        found.update(str(os.fstat(file.fileno()).st_size).encode())
        end = 0
        for start, length in _extents(file):
            at = max(end, start - start % _BLOCK)
            end = start + length
            while at < end:
                block = os.pread(file.fileno(), _BLOCK, at)
                if block != bytes(len(block)):
                    found.update(f"{at}:".encode())
                    found.update(block)
                at += _BLOCK
            end = at
    return found.hexdigest()[:40]


@functools.cache
def _qemu_identity() -> list[object]:
    path = Path(proc.find("qemu-system-x86_64")).resolve()
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _processor() -> list[str]:
    """What a guest that has the host's processor has seen of it."""
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    fields = dict(line.split("\t", 1) for line in first.splitlines() if "\t" in line)
    wanted = ("vendor_id", "cpu family", "model", "stepping", "microcode", "flags")
    return [platform.release(), *(fields.get(name, "").strip() for name in wanted)]
