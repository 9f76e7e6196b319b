# SPDX-License-Identifier: GPL-2.0-only
"""Entries of the cache as archives, to be taken to the caches of other machines.

Each is named by its content, and a blob of a store has the name of its entry: a kernel is
`kernels/<key>`, what cells need of a project `inputs/<digest>`, a base `mirrors/at-<commit>.git`.
"""

import contextlib
import gzip
import logging
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import cache, proc
from harness.errors import HostError
from harness.git import Git
from harness.model import Base
from harness.store import Store

log = logging.getLogger(__name__)

_NAME = re.compile(r"(kernels|inputs|mirrors)/[A-Za-z0-9][A-Za-z0-9._-]*")
_WAIT_S = 4 * 3600.0  # for another process that builds it


def kernel(key: str) -> str:
    """The name of a kernel's entry."""
    return f"kernels/{key}"


def base(commit: str) -> str:
    """The name of a base's: a repository of that commit alone."""
    return f"mirrors/at-{commit[:16]}.git"


def here(name: str) -> bool:
    """The cache has the entry, which is held from now on."""
    return cache.hold(_inside(name))


def keep_base(of: Base) -> None:
    """Have the entry of a base, made of the mirror that has it."""
    final = cache.root() / base(of.commit)
    with cache.locked(final.with_suffix(".lock"), timeout_s=_WAIT_S):
        if cache.hold(final):
            return
        mirror = Git(of.mirror)
        objects = mirror.run("rev-list", "--objects", "--no-object-names", "-1", of.commit)
        proc.check(objects, f"cannot list the files of {of.name}")
        with cache.building(final) as work:
            proc.check(proc.run(["git", "init", "-q", "--bare", str(work)]), f"cannot make {final}")
            # Most of them were never compressed (git.py), and looking for deltas takes minutes.
            words = ("pack-objects", "-q", "--window=0", "--compression=1")
            mirror.out(*words, str(work / "objects/pack/pack"), feed=objects.stdout)
            if mirror.out("rev-list", "--parents", "-1", of.commit).count(" "):
                (work / "shallow").write_text(f"{of.commit}\n")
            (work / "HEAD").write_text(f"{of.commit}\n")


def send(name: str, store: Store) -> None:
    """Put an entry of the cache into a store that does not have it. HostError."""
    if not here(name):
        raise HostError(f"{name} is gone from the cache: it cannot be sent")
    if store.has(name):
        return
    # The objects of a mirror are compressed; all archives are gzip's, for its checksum.
    level = 0 if name.startswith("mirrors/") else 1
    with _scratch() as scratch:
        file = scratch / "blob"
        with tarfile.open(file, "w:gz", compresslevel=level) as archive:
            archive.add(_inside(name), arcname=".")
        store.put(name, file)


def fetch(name: str, store: Store, ask: Callable[[], bool]) -> bool:
    """Have an entry in the cache, from a store where it is not there. Where the store does not
    have it either, or has a broken one, `ask` waits for whoever might send it; False where nobody
    does. HostError."""
    final = _inside(name)
    # Not the entry's own lock: whoever sends it may make it in this very cache.
    lock = cache.root() / "fetching" / f"{name.replace('/', '-')}.lock"
    with cache.locked(lock, timeout_s=_WAIT_S):
        found = cache.hold(final) or _get(name, store, final)
        found = found or (ask() and (cache.hold(final) or _get(name, store, final)))
        lock.unlink(missing_ok=True)
    return found


def _get(name: str, store: Store, final: Path) -> bool:
    """Have it from the store, which loses a blob that is broken."""
    with _scratch() as scratch:
        file = scratch / "blob"
        if not store.get(name, file):
            return False
        try:
            with cache.building(final) as work:
                _unpack(file, work)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            log.warning("%s is broken in the store, and removed there: %s", name, error)
            store.remove(name)
            return False
    return True


def _unpack(file: Path, to: Path) -> None:
    with gzip.open(file) as stream:
        with tarfile.open(fileobj=stream) as archive:
            archive.extractall(to, filter="data")
        while stream.read(1 << 20):
            pass  # to its checksum


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A directory for archives, where there is room for what they hold."""
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=cache.root()) as made:
        yield Path(made)


def _inside(name: str) -> Path:
    """Where an entry is. Names come from other machines."""
    if not _NAME.fullmatch(name):
        raise HostError(f"{name!r} is no name of an entry")
    return cache.root() / name
