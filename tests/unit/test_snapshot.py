# SPDX-License-Identifier: GPL-2.0-only
"""Saved guests without a guest: command line, keys, files that are not what they were."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cache
from harness.errors import SaveError
from harness.guest import BootPlan, Drive, machine, snapshot, vng
from harness.guest.machine import Memory
from harness.guest.root import Root
from harness.model import Command, Disk, GuestSpec, Kernel, Mount

# What vng --dry-run says of a guest with one shared directory, in the order it has.
VNG = [
    "/usr/bin/qemu-system-x86_64",
    *("-name", "virtme-ng", "-m", "512M"),
    *("-fsdev", "local,id=virtfs5,path=/,security_model=none,readonly=on"),
    *("-device", "virtio-9p-pci,fsdev=virtfs5,mount_tag=/dev/root"),
    *("-machine", "q35", "-cpu", "max", "-serial", "chardev:console"),
    *("-chardev", "file,id=console,path=/proc/self/fd/2"),
    *("-chardev", "stdio,id=stdin,signal=on,mux=off"),
    *("-device", "virtio-serial-pci"),
    *("-device", "virtserialport,name=virtme.stdin,chardev=stdin"),
    *("-chardev", "file,id=ret,path=/dev/null"),
    *("-device", "virtio-serial-pci"),
    *("-device", "virtserialport,name=virtme.ret,chardev=ret"),
    *("-no-reboot", "-kernel", "/k/bzImage", "-append"),
    "virtme_hostname=virtme-ng console=ttyS0 panic=-1 virtme.exec=`dHJ1ZQ==` rootfstype=9p "
    "rootflags=version=9p2000.L,trans=virtio raid=noautodetect ro printk.devkmsg=on quiet "
    "init=/a/agent\t-- init=/other",
    *("-chardev", "socket,path=/s/agent,server=on,wait=off,id=harness-agent"),
    *("-device", "virtio-serial"),
    *("-device", "virtserialport,chardev=harness-agent,name=harness.agent,id=harness-agent"),
]
ROOT = Root(image=Path("/roots/1/root.img"), key="r1")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What virtme-ng was asked for; it always says the same."""
    plans: list[Any] = []

    def composed(kernel: Kernel, plan: BootPlan, sockets: Path, *, over_9p: bool) -> list[str]:
        plans.append((plan, over_9p))
        return [*VNG, "-smp", str(plan.spec.cpus), *plan.spec.cmdline]

    monkeypatch.setattr(vng, "composed", composed)
    return plans


def plan(*, drives: int = 0, spec: GuestSpec | None = None) -> BootPlan:
    disk = Disk(name="a", size_bytes=1 << 20)
    return BootPlan(
        spec=spec or GuestSpec(),
        mounts=(Mount(guest="/x", host=Path("/x")),),
        agent=Path("/a"),
        calibration_us=1,
        accel="tcg",
        drives=tuple(Drive(disk=disk, file=Path(f"/proc/7/fd/{n}")) for n in range(drives)),
    )


def kernel(directory: Path) -> Kernel:
    return Kernel(key="k", release="r", tree="t", dir=directory, cached=True)


def compose(boot_plan: BootPlan, memory: Memory) -> list[str]:
    return machine.compose(kernel(Path("/k")), boot_plan, Path("/s"), root=ROOT, memory=memory)


def test_the_machine_is_virtme_ngs_without_the_host(asked: list[Any]) -> None:
    words = compose(plan(), Memory(file=Path("/m"), shared=True))
    text = " ".join(words)
    assert [bool(boot_plan.mounts) for boot_plan, _ in asked] == [False]
    assert asked[0][1] is True, "a virtiofsd would be started for nothing"
    for theirs in ("virtfs", "9p", "virtme_", "virtme.", "stdio", "id=ret", "/a/agent", "--"):
        assert theirs not in text, theirs
    for kept in ("-no-reboot -kernel /k/bzImage", "-machine q35 -cpu max", "id=console"):
        assert kept in text
    assert "name=harness.agent" in text and words.count("virtio-serial") == 1
    assert "virtio-serial-pci" not in words
    assert "-incoming" not in words
    assert words[words.index("-append") + 1].split() == [
        *("console=ttyS0", "panic=-1", "raid=noautodetect", "printk.devkmsg=on", "quiet"),
        *("root=/dev/vda", "rootfstype=ext4", "ro", "init=/.harness/agent"),
    ]


def test_the_root_comes_behind_the_scratch_disks() -> None:
    words = compose(plan(drives=2), Memory(file=Path("/m"), shared=False, incoming=True))
    assert "root=/dev/vdc" in words[words.index("-append") + 1]
    assert words[-2:] == ["-incoming", "defer"]
    assert "memory-backend-file,id=ram,size=512M,mem-path=/m,share=off" in words


def recipe(directory: Path, **more: Any) -> snapshot.Recipe:
    directory.mkdir(exist_ok=True)
    return snapshot.Recipe(kernel=kernel(directory), root=ROOT, plan=plan(), **more)


def test_a_state_belongs_to_all_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recipe(tmp_path / "k")
    server = Command(argv=(), server=("python", "server.pyc"), cwd="/p")
    others = [
        replace(first, kernel=replace(first.kernel, image_digest="another")),
        replace(first, root=replace(ROOT, key="r2")),
        replace(first, plan=plan(spec=GuestSpec(cpus=2))),
        replace(first, plan=plan(spec=GuestSpec(memory_mib=1024))),
        replace(first, plan=plan(spec=GuestSpec(cmdline=("quiet",)))),
        replace(first, plan=plan(drives=1)),
        replace(first, plan=replace(plan(), accel="kvm")),
        replace(first, server=server),
        replace(first, server=replace(server, cwd="/q")),
    ]
    keys = {one.key for one in (first, *others)}
    assert len(keys) == 1 + len(others)
    monkeypatch.setattr(snapshot, "_qemu_identity", lambda: ["another one"])
    assert first.key not in keys


def test_files_of_scratch_disks_make_no_difference(tmp_path: Path) -> None:
    first = replace(recipe(tmp_path / "k"), plan=plan(drives=2))
    moved = tuple(replace(one, file=Path(f"{one.file}9")) for one in first.plan.drives)
    assert replace(first, plan=replace(first.plan, drives=moved)).key == first.key


KEY = "0" * 40
ABOUT = {"key": KEY, "release": "6", "slowness": 9, "scratch": {}, "server": [], "splats": []}


def stored(tmp_path: Path) -> Path:
    """A state in the cache; the directory that holds it."""
    directory = kept(tmp_path).directory
    assert directory is not None
    return directory


def kept(tmp_path: Path, begins: bytes = b"first") -> snapshot.State:
    """A state that was kept, its memory mostly a hole."""
    ram, devices = snapshot._unnamed("ram"), snapshot._unnamed("devices")
    ram.truncate(64 << 20)
    for at, data in ((0, begins), (12345678, b"in the middle"), ((64 << 20) - 4, b"last")):
        os.pwrite(ram.fileno(), data, at)
    devices.write(b"devices")
    for name in ("console.log", "qemu.cmd"):
        (tmp_path / name).write_text(name)
    state = snapshot.State(
        key=KEY,
        ram=snapshot._path(ram),
        devices=snapshot._path(devices),
        about=ABOUT,
        held=(ram, devices),
    )
    with contextlib.closing(state):
        return snapshot.keep(state, tmp_path)


def test_the_state_of_a_run_that_was_faster_stays_and_is_used(tmp_path: Path) -> None:
    first = kept(tmp_path)
    second = kept(tmp_path, b"other")
    assert second.about == first.about
    loaded = snapshot.load(KEY)
    assert loaded is not None and loaded.about == second.about
    assert second.ram.read_bytes().startswith(b"first")


def test_what_was_kept_is_loaded_and_small(tmp_path: Path) -> None:
    directory = stored(tmp_path)
    state = snapshot.load(KEY)
    assert state is not None and state.directory == directory
    assert (directory / "console.log").read_text() == "console.log"
    data = state.ram.read_bytes()
    assert (data[:5], data[12345678:][:13], data[-4:]) == (b"first", b"in the middle", b"last")
    assert state.ram.stat().st_blocks * 512 < 1 << 20
    assert snapshot.load("1" * 40) is None


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 4]))


def rename_key(description: Path) -> None:
    description.write_text(description.read_text().replace(KEY, "1" * 40))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda place: flip(place / "ram", 12345680), "its ram are not"),
        (lambda place: flip(place / "ram", 30 << 20), "its ram are not"),  # in a hole
        (lambda place: os.truncate(place / "ram", 63 << 20), "its ram are not"),
        (lambda place: flip(place / "devices", 3), "its devices are not"),
        (lambda place: (place / "devices").unlink(), "its devices are not"),
        (lambda place: (place / "state.json").write_text("{"), "its description is broken"),
        (lambda place: (place / "state.json").write_text("{}"), "its description is broken"),
        (lambda place: rename_key(place / "state.json"), "another one's"),
        (lambda place: (place / "console.log").unlink(), "its console.log is gone"),
    ],
    ids=["flipped", "hole", "cut", "devices", "missing", "json", "keys", "foreign", "console"],
)
def test_what_is_not_what_was_saved_is_thrown_away(tmp_path: Path, damage: Any, said: str) -> None:
    directory = stored(tmp_path)
    damage(directory)
    with pytest.raises(SaveError, match=said):
        snapshot.load(KEY)
    assert not directory.exists()
    assert snapshot.load(KEY) is None


def test_holes_make_no_difference(tmp_path: Path) -> None:
    directory = stored(tmp_path)
    data = (directory / "ram").read_bytes()
    (directory / "ram").write_bytes(data)  # every zero is on the disk now
    assert snapshot.load(KEY) is not None


def test_a_state_is_held_in_memory(tmp_path: Path) -> None:
    stored(tmp_path)
    state = snapshot.load(KEY)
    assert state is not None
    with contextlib.closing(snapshot.hold(state)) as held:
        assert held.ram.read_bytes() == state.ram.read_bytes()
        assert held.devices.read_bytes() == b"devices"
        assert held.ram.stat().st_blocks * 512 < 1 << 20


def test_a_full_disk_leaves_a_state_for_this_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "_copy_data", full)
    with pytest.raises(SaveError, match="not kept: No space left on device"):
        stored(tmp_path)
    assert list((cache.root() / "states").iterdir()) == []
