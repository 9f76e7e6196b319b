# SPDX-License-Identifier: GPL-2.0-only
"""What lies in the cache: parts and their entries, how large, when used last, whether in use.

Sizes are remembered until an entry is used again: `du` over some kernels' objects takes seconds.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import cache, proc

OBJECTS = "objects"
"""The part for slots' object directories, which lie in the slots."""

_SIZES = ".sizes.json"
_DU_S = 900.0
_AT_ONCE = 500  # paths for one `du`
_SUFFIXES = (".lock", ".bases", ".json", ".index")  # of what goes with its mirror or its kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A directory or file of a part: `name` from the cache's directory, when it was used last
    (seconds since 1970), the bytes that it takes on disk, whether somebody uses it now. `stamp_ns`
    changes when it is used."""

    part: str
    name: str
    path: Path
    used: float
    stamp_ns: int
    in_use: bool
    size_bytes: int = 0
    within: tuple[Path, ...] = ()

    @property
    def measured(self) -> tuple[Path, ...]:
        """Whose sizes are its own: `within`, else all of it."""
        return self.within or (self.path,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of entry, the least recently used first."""

    name: str
    entries: tuple[Entry, ...] = ()

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return sum(entry.size_bytes for entry in self.entries)


def look() -> tuple[Part, ...]:
    """All that is in the cache."""
    found = [entry for part in _parts() for entry in _entries(part)]
    sizes = _Sizes()
    entries = sizes.of(found)
    sizes.save(only=found)
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        parts.setdefault(entry.part, []).append(entry)
    return tuple(Part(name=name, entries=_by_use(parts[name])) for name in sorted(parts))


def entries(part: str) -> tuple[Entry, ...]:
    """Those of one part, the least recently used first."""
    sizes = _Sizes()
    found = sizes.of(list(_entries(cache.root() / part)))
    sizes.save()
    return _by_use(found)


def unfinished() -> Iterator[tuple[Path, float]]:
    """What nobody holds of what was begun or was being removed, and when it was changed last."""
    top = cache.root()
    for place in (top, *_parts()):
        for path in _children(place):
            if path.name.startswith((".tmp-", "unpack-")) and not cache.used(path):
                with contextlib.suppress(OSError):
                    yield path, path.stat().st_mtime


def _by_use(found: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(found, key=lambda entry: (entry.used, entry.name)))


def _parts() -> list[Path]:
    return [
        path
        for path in sorted(_children(cache.root()))
        if path.is_dir() and not path.name.startswith((".", "unpack-"))
    ]


def _children(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError:  # another process removes it
        return []


def _entries(part: Path) -> Iterator[Entry]:
    found = {"slots": _slots, "mirrors": _mirrors, "tarballs": _tarballs, "ccache": _ccache}
    return found.get(part.name, _plain)(part)


def _plain(part: Path) -> Iterator[Entry]:
    for path in _children(part):
        if not path.name.startswith(".") and path.suffix != ".lock":
            yield from _entry(part.name, f"{part.name}/{path.name}", path)


def _entry(part: str, name: str, path: Path) -> Iterator[Entry]:
    """The entry, or nothing where it was removed meanwhile."""
    with contextlib.suppress(OSError):
        status = path.stat()
        yield Entry(
            part=part,
            name=name,
            path=path,
            used=status.st_mtime,
            stamp_ns=status.st_mtime_ns,
            in_use=cache.used(path),
            size_bytes=status.st_blocks * 512,
        )


def _slots(part: Path) -> Iterator[Entry]:
    """Slots, and their object directories, which are used with them and go before them."""
    for path in _children(part):
        if path.name.startswith("."):
            continue
        for slot in _entry(part.name, f"{part.name}/{path.name}", path):
            used = slot.used
            for directory in _children(path / "obj"):
                for objects in _entry(OBJECTS, f"{slot.name}/obj/{directory.name}", directory):
                    used = max(used, objects.used)
                    yield objects
            yield replace(slot, used=used, within=(path / "tree", path / "index"))


def _mirrors(part: Path) -> Iterator[Entry]:
    for entry in _plain(part):
        if entry.path.suffix not in _SUFFIXES:
            yield entry


def _tarballs(part: Path) -> Iterator[Entry]:
    """A tarball is used whenever the mirror is that was made of it."""
    used: dict[str, float] = {}
    for memo in _children(part.parent / "mirrors"):
        if memo.suffix == ".json" and (known := cache.read_json(memo)):
            with contextlib.suppress(OSError, KeyError, IndexError):
                used[known["identity"][0]] = memo.with_suffix(".git").stat().st_mtime
    for entry in _plain(part):
        yield replace(entry, used=max(entry.used, used.get(str(entry.path), 0.0)))


def _ccache(part: Path) -> Iterator[Entry]:
    """Its results and manifests, whose times are those of their last use. It finds out by itself
    that one is gone."""
    for directory, _, names in os.walk(part):
        for name in names:
            if name.endswith(("R", "M")):
                path = f"{directory}/{name}"
                with contextlib.suppress(OSError):
                    status = os.stat(path)  # noqa: PTH116 (of tens of thousands)
                    yield Entry(
                        part=part.name,
                        name=name,
                        path=Path(path),
                        used=status.st_mtime,
                        stamp_ns=status.st_mtime_ns,
                        in_use=False,
                        size_bytes=status.st_blocks * 512,
                    )


@dataclass(slots=True)
class _Sizes:
    """Bytes on disk by path, of directories that were not used since."""

    known: dict[str, Any] = field(default_factory=lambda: cache.read_json(_memo()) or {})
    changed: bool = False

    def of(self, found: list[Entry]) -> list[Entry]:
        """The entries with their sizes."""
        unknown = [
            entry
            for entry in found
            if entry.part != "ccache"
            and self.known.get(entry.name, (0,))[0] != entry.stamp_ns
            and entry.path.is_dir()
        ]
        measured = _du([path for entry in unknown for path in entry.measured])
        fresh: dict[str, int] = {}
        for entry in unknown:
            fresh[entry.name] = sum(measured.get(path, 0) for path in entry.measured)
            if not entry.in_use:  # it may still grow
                self.known[entry.name] = [entry.stamp_ns, fresh[entry.name]]
                self.changed = True
        return [self._sized(entry, fresh) for entry in found]

    def _sized(self, entry: Entry, fresh: dict[str, int]) -> Entry:
        if entry.name in fresh:
            return replace(entry, size_bytes=fresh[entry.name])
        if entry.name in self.known:
            return replace(entry, size_bytes=self.known[entry.name][1])
        return entry

    def save(self, only: list[Entry] | None = None) -> None:
        """For the next look; of what is not there any more nothing, where `only` tells that."""
        if self.changed:
            if only is not None:
                names = {entry.name for entry in only}
                self.known = {name: one for name, one in self.known.items() if name in names}
            cache.write_json(_memo(), self.known)


def _memo() -> Path:
    return cache.root() / _SIZES


def _du(paths: list[Path]) -> dict[Path, int]:
    """Bytes on disk, holes apart, by path; nothing of what is not there."""
    found = {}
    for first in range(0, len(paths), _AT_ONCE):
        some = [str(path) for path in paths[first : first + _AT_ONCE]]
        said = proc.run(["du", "-s0", "--block-size=1", "--", *some], timeout_s=_DU_S).stdout
        for line in said.decode(errors="surrogateescape").split("\0"):
            size, _, name = line.partition("\t")
            if name:
                found[Path(name)] = int(size)
    return found
