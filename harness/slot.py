# SPDX-License-Identifier: GPL-2.0-only
"""Slots: directories of kernel sources that builds share, one build at a time.

A slot moves from the tree it held to the next one by the files that really differ, so `make`
stays incremental. Object directories carry their source path, so they belong to the slot. The
lock dies with whoever uses it, and with the processes it started.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import cache
from harness.errors import HostError
from harness.git import Git
from harness.model import Base


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Sources and object directories, locked while in use. `lock` is the lock's descriptor: a
    process that works in the slot keeps it open, so that the lock ends with the process."""

    dir: Path
    lock: int

    @property
    def source(self) -> Path:
        return self.dir / "tree"

    def objects(self, key: str) -> Path:
        """The O= directory for a configuration."""
        return self.dir / "obj" / key


@contextlib.contextmanager
def take(base: Base, tree: str, objects: str = "") -> Iterator[Slot]:
    """A slot of the base's mirror that holds the sources of `tree`, locked for the block.

    Takes a free one or makes a new one; of several, one that has the object directory `objects`
    already, as there is least to compile in it, then one that held `tree` last.
    """
    lock, directory = _take(base.mirror, tree, objects)
    try:
        taken = Slot(dir=directory, lock=lock)
        with _used(directory):
            _check_out(base, taken, tree)
            yield taken
    finally:
        os.close(lock)


@contextlib.contextmanager
def borrow(base: Base, tree: str, objects: str) -> Iterator[Slot | None]:
    """As take(), but only a slot that has the object directory already; None when none is free.

    One that held another tree holds that again afterwards, with the times that its files had, so
    that the next build there makes no more than it would have.
    """
    having = [slot for slot in _slots(base.mirror) if (slot / "obj" / objects).is_dir()]
    for directory in sorted(having, key=lambda slot: (_held(slot) != tree, slot.name)):
        if (lock := cache.try_lock(directory / "lock")) is not None:
            break
    else:
        yield None
        return
    try:
        taken = Slot(dir=directory, lock=lock)
        with _used(directory), _lent(base, taken, tree):
            yield taken
    finally:
        os.close(lock)


@contextlib.contextmanager
def _used(directory: Path) -> Iterator[None]:
    """For who looks at the cache (stock.py), and must not take a lock to find out: a build would
    take another slot meanwhile."""
    with cache.held(directory):
        cache.touch(directory)
        yield


@contextlib.contextmanager
def _lent(base: Base, taken: Slot, tree: str) -> Iterator[None]:
    before = _held(taken.dir)
    times: dict[Path, int] = {}
    if before not in ("", tree):
        git = Git(base.mirror, index=taken.dir / "index", work=taken.source, lock=taken.lock)
        changed = git.run("diff-tree", "-r", "-z", "--name-only", before, tree).stdout
        paths = [taken.source / os.fsdecode(name) for name in changed.split(b"\0") if name]
        times = {path: path.lstat().st_mtime_ns for path in paths if path.exists()}
    try:
        _check_out(base, taken, tree)
        yield
    finally:
        if before not in ("", tree):
            _check_out(base, taken, before)
            for path, time_ns in times.items():
                os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)
            git.run("update-index", "-q", "--refresh")


def _slots(mirror: Path) -> list[Path]:
    return list((cache.root() / "slots").glob(f"{mirror.stem}-*"))


def _take(mirror: Path, tree: str, objects: str) -> tuple[int, Path]:
    slots = cache.root() / "slots"
    mine = sorted(
        _slots(mirror),
        key=lambda slot: (
            bool(objects) and not (slot / "obj" / objects).is_dir(),
            _held(slot) != tree,
            slot.name,
        ),
    )
    for directory in mine:
        if (lock := cache.try_lock(directory / "lock")) is not None:
            return lock, directory
    for number in range(1000):
        directory = slots / f"{mirror.stem}-{number}"
        if directory not in mine and (lock := cache.try_lock(directory / "lock")) is not None:
            return lock, directory
    raise HostError(f"1000 slots in {slots} are all in use")


def _held(directory: Path) -> str:
    """The tree that a slot holds; empty when it holds none or was left in the middle."""
    try:
        return (directory / "held").read_text().strip()
    except OSError:
        return ""


def _check_out(base: Base, taken: Slot, tree: str) -> None:
    held = _held(taken.dir)
    if held == tree:
        return
    taken.source.mkdir(exist_ok=True)
    index = taken.dir / "index"
    git = Git(base.mirror, index=index, work=taken.source, lock=taken.lock)
    (taken.dir / "held").unlink(missing_ok=True)
    if not held or not index.exists() or not _move(git, taken.source, held, tree):
        # New, or a harness died in the middle: make the files those of the tree, whatever is
        # there. Unchanged ones keep their times.
        index.with_suffix(".lock").unlink(missing_ok=True)
        git.out("read-tree", "--reset", "-u", tree)
        git.out("clean", "-ffdqx")
    cache.write_whole(taken.dir / "held", f"{tree}\n".encode())


def _move(git: Git, source: Path, held: str, tree: str) -> bool:
    """Change the files that differ between two trees, and nothing else; False when git can't.

    `git read-tree -m -u` does the same and reads every directory of both, 0.4 to 0.8 s.
    """
    found = git.run("diff-tree", "-r", "-z", "--no-renames", held, tree)
    if found.status:
        return False
    fields = found.stdout.split(b"\0")
    infos, changed = [], []
    for about, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = about.split(b" ")
        infos.append(b"%s %s 0\t%s" % (mode, blob, path))
        if mode.strip(b"0"):
            changed.append(path)
        else:
            _remove(source, source / os.fsdecode(path))
    listed = b"".join(info + b"\0" for info in infos)
    if git.run("update-index", "-z", "--index-info", feed=listed).status:
        return False
    names = b"".join(path + b"\0" for path in changed)
    return not git.run("checkout-index", "-f", "-u", "-z", "--stdin", feed=names).status


def _remove(top: Path, path: Path) -> None:
    """Remove a file, and the directories that are empty then."""
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == top or any(parent.iterdir()):
            return
        parent.rmdir()
