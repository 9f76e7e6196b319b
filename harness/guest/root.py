# SPDX-License-Identifier: GPL-2.0-only
"""A root of our own for guests that are saved: what the tests need, in an image on virtio-blk.

A shared file system would block saving. The image is ext4 without a journal, which every guest
kernel of ours can read, made by `mke2fs -d` without root; the guest never writes to it (init.c
puts an overlay on it). It holds busybox, the agent, and what the suites name, at the paths where
the host has it, with the libraries that the host's loader finds for it.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cache, disuse, proc
from harness.errors import HostError
from harness.model import GUEST_MOUNTS, Contents, Mount

AGENT = "/.harness/agent"
"""Where the image has the agent, which is the guest's init."""

REPRO = "/.harness/repro.sh"
"""Where the image has what runs one test without the harness, in place of a shell."""

PYTEST_ONCE = "/.harness/pytest_once.py"
"""The same for one of pytest's."""

_RECIPE = 4  # raise it when the way to build changes
_LIMIT_BYTES = 2 << 30
_FIRST = ("/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64")
_DIRECTORIES = (".harness", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp")
_VAR = ("var/log", "var/tmp")
# busybox's own shell may prefer its applets to the programs in PATH, and its mount takes `tmpfs`
# for an image where a file of that name is.
_TOOLS = ("sh", "mount", "umount")
_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost harness\n::1 localhost\n",
}
_PROGRAMS = (REPRO, PYTEST_ONCE)
_MOUNTED = tuple(f"{place}/" for place in GUEST_MOUNTS)
_LEFT_OUT = shutil.ignore_patterns("*.a", "*.opt-?.pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """An image and the digest of its bytes."""

    image: Path
    key: str


def missing() -> str:
    """The tool without which there are no images, empty when all are there."""
    for tool in ("busybox", "mke2fs"):
        try:
            proc.find(tool)
        except HostError:
            return tool
    return ""


def program(place: str) -> Path:
    """The file of this package that an image has at that place."""
    return Path(__file__).parent.parent / "agent" / Path(place).name


def find_or_build(contents: Sequence[Contents], agent: Path) -> Root:
    """The image for what suites need, from the cache when equal files made one before.

    HostError where mke2fs cannot make it.
    """
    mounts = dict.fromkeys(mount for one in contents for mount in one.mounts)
    wanted = [tool for one in contents for tool in one.tools]
    tools = dict.fromkeys(_resolved((*_TOOLS, *wanted)))
    key = cache.digest(
        _RECIPE,
        [(mount.guest, str(mount.host), _listing(mount.host)) for mount in mounts],
        [(str(tool), _stamp(tool)) for tool in tools],
        [_stamp(Path(proc.find(tool))) for tool in ("busybox", "mke2fs")],
        [path.read_bytes() for path in (agent, *map(program, _PROGRAMS))],
    )
    final = cache.root() / "roots" / key
    if (found := _load(final)) is None:
        cache.remove(final)
        with cache.building(final) as work:
            _build(work, tuple(mounts), tuple(tools), agent)
        disuse.evict("roots", _LIMIT_BYTES)
        found = _load(final)
    if found is None:
        raise HostError(f"{final} does not hold what was written to it")
    return found


def _load(directory: Path) -> Root | None:
    """The image of the cache; None where there is none or its bytes are not what they were.

    They are read again when something was done to the file since they were last, not each time:
    an image with Python has 140 MB.
    """
    image = directory / "root.img"
    if not cache.hold(directory):
        return None
    known = cache.read_json(directory / "root.json")
    if known is None or not image.is_file():
        return None
    status = image.stat()
    seen = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    if known.get("seen") != seen:
        if _digest(image) != known["digest"]:
            return None
        cache.write_json(directory / "root.json", {**known, "seen": seen})
    return Root(image=image, key=known["digest"])


def _resolved(tools: Iterable[str]) -> Iterator[Path]:
    """The host's files for names of programs; what it does not have the guest has not either."""
    for tool in tools:
        if found := shutil.which(tool, path=f"{proc.environment()['PATH']}:/usr/sbin:/sbin"):
            yield Path(found)
        elif Path(tool).is_absolute() and Path(tool).is_file():
            yield Path(tool)


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_mode


def _listing(place: Path) -> list[tuple[str, int, int, int]]:
    """What changes when a file below `place` does."""
    if not place.is_dir():
        return [("", *_stamp(place))]
    found = []
    for directory, _, names in os.walk(
        place
    ):  # of thousands: Path.rglob() takes four times as long
        for path in (f"{directory}/{name}" for name in names):
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:  # a link to nowhere
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((path, status.st_size, status.st_mtime_ns, status.st_mode))
    return sorted(found)


def _build(work: Path, mounts: tuple[Mount, ...], tools: tuple[Path, ...], agent: Path) -> None:
    stage = work / "stage"
    tree = _Tree(stage)
    tree.start()
    places: list[str] = []
    for mount in mounts:
        if mount.guest.startswith(_MOUNTED):
            tree.place(mount.host, stage / ".harness" / str(len(places)))
            places.append(mount.guest)
        elif mount.guest == str(mount.host):
            tree.add(mount.host)
        else:
            tree.copy(mount.host, stage / mount.guest.lstrip("/"))
    (stage / ".harness/places").write_text("".join(f"{place}\n" for place in places))
    for tool in tools:
        tree.add(tool)
    tree.add_busybox()
    tree.add_libraries()
    shutil.copy2(agent, stage / AGENT.lstrip("/"))
    for place in _PROGRAMS:
        shutil.copy2(program(place), stage / place.lstrip("/"))
    (stage / REPRO.lstrip("/")).chmod(0o755)  # an installed package may have lost that
    _make_image(stage, work / "root.img")
    shutil.rmtree(stage)
    cache.write_json(work / "root.json", {"digest": _digest(work / "root.img")})


class _Tree:
    """The files of an image, in a directory of the host."""

    def __init__(self, stage: Path) -> None:
        self._stage = stage
        self._sources: list[Path] = []

    def start(self) -> None:
        """What every guest has, and the host's links between its directories (/bin)."""
        self._stage.mkdir()
        for name in _FIRST:
            self._inside(self._follow(Path(name))).mkdir(parents=True, exist_ok=True)
        for name in (*_DIRECTORIES, *_VAR):
            (self._stage / name).mkdir(parents=True, exist_ok=True)
        for name, text in _ETC.items():
            (self._stage / "etc" / name).write_text(text)
        (self._stage / "etc/mtab").symlink_to("/proc/self/mounts")

    def add(self, path: Path) -> None:
        """A file or directory at the host's path, and whatever its links lead through."""
        real = self._follow(path)
        if real.exists():
            self.copy(real, self._inside(real))

    def _follow(self, path: Path) -> Path:
        """Where a path of the host leads to; the links on the way are made."""
        for part in [*reversed(path.parents), path]:
            if part.is_symlink():
                link = self._inside(part.parent) / part.name
                if not link.is_symlink():
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(part.readlink())
                target = part.parent / part.readlink() / path.relative_to(part)
                return self._follow(Path(os.path.normpath(target)))
        return path

    def copy(self, source: Path, target: Path) -> None:
        """A file or directory with all in it."""
        self._sources.append(source)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_LEFT_OUT, dirs_exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def place(self, source: Path, target: Path) -> None:
        """What init.c puts where the guest has mounts of its own. A link stays one where it leads
        to what the image has at the host's path: an interpreter finds its library by that."""
        real = source.resolve()
        if not source.is_symlink() or str(real).startswith(_MOUNTED):
            self.copy(source, target)
            return
        target.symlink_to(real)
        self.add(real)

    def _inside(self, path: Path) -> Path:
        """Where the image has a path, its links between directories (/bin) followed."""
        at = self._stage
        for part in path.parts[1:]:
            at = at / part
            if at.is_symlink():
                link = os.path.normpath(at.parent / at.readlink())
                inside = os.path.relpath(link, self._stage)
                at = self._stage / (str(at.readlink()).lstrip("/") if ".." in inside else inside)
        return at

    def add_busybox(self) -> None:
        """busybox, and all that it can do where the host's program is not there."""
        busybox = Path(proc.find("busybox"))
        self.add(busybox)
        done = proc.check(proc.run([str(busybox), "--list"]), "busybox does not list its applets")
        for directory in map(self._inside, map(Path, ("/bin", "/usr/bin"))):
            for applet in done.text.split():
                if not any((self._inside(Path(d)) / applet).exists() for d in _FIRST):
                    link = directory / applet
                    if not link.is_symlink():
                        link.symlink_to(busybox)

    def add_libraries(self) -> None:
        """The shared libraries of all that is in the tree, as the host's loader finds them."""
        # Of the host's own files: a loader may look beside the program.
        below = [path for place in self._sources for path in (place, *place.rglob("*"))]
        programs = dict.fromkeys(str(path) for path in below if _is_elf(path))
        listed = proc.run(["ldd", *programs], timeout_s=60).text
        for line in listed.splitlines():
            words = line.split()
            # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", "/lib64/ld-... (0x...)"
            place = words[2] if len(words) > 3 and words[1] == "=>" else words[0] if words else ""
            if place.startswith("/") and line.startswith("\t"):
                self.add(Path(place))


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:40]


def _make_image(stage: Path, image: Path) -> None:
    """The image of a directory."""
    sizes = [path.lstat().st_size for path in stage.rglob("*")]
    blocks = sum(size // 4096 + 1 for size in sizes)
    # Whoever builds it, whatever his umask: all can read it in the guest, and nothing there runs
    # as the owner that it has here.
    for path in stage.rglob("*"):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(0o755 if path.is_dir() else (mode & 0o777) | 0o444)
    argv = ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "0", "-N", str(len(sizes) + 64)]
    argv += ["-O", "^has_journal,^resize_inode,^metadata_csum", "-E", "root_owner=0:0"]
    argv += ["-d", str(stage), str(image), str(blocks + len(sizes) // 8 + 1024)]
    proc.check(proc.run(argv, timeout_s=120), "cannot make the guest's root")
