# SPDX-License-Identifier: GPL-2.0-only
"""What cells need of a project, as an entry of the cache that is named by its content."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import cache, config

_PARTS = ("patches", "kconfigs", "guest-tests")
_SETTINGS = ("kconfig", "cc", "llvm", "cpus", "memory", "tree")
"""Defaults that tell which kernels and guests are meant; the others are each machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The `name` of an entry, and its name in kconfigs/ for each fragment of another place."""

    name: str
    fragments: Mapping[str, str]


def keep(root: Path, fragments: Sequence[str]) -> Inputs:
    """Have the entry of the project at `root`, and of fragments by their paths."""
    files = dict(_files(root))
    renamed = {path: _new_name(Path(path)) for path in fragments}
    files |= {f"kconfigs/{name}.config": Path(path) for path, name in renamed.items()}
    settings = yaml.safe_dump(_settings())
    listing = [
        (name, path.stat().st_mode & 0o111, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in sorted(files.items())
    ]
    final = cache.root() / "inputs" / cache.digest(listing, settings)
    if not cache.hold(final):
        with cache.building(final) as work:
            _fill(work, files)
            (work / config.FILE).write_text(settings)
    return Inputs(name=f"inputs/{final.name}", fragments=renamed)


def _fill(work: Path, files: Mapping[str, Path]) -> None:
    for name, path in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, work / name)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Name in the entry, file. What links point to is a file like any other."""
    for part in _PARTS:
        for place, below, names in os.walk(root / part, followlinks=True):
            below[:] = sorted(name for name in below if not _is_hidden(name))
            for path in (Path(place, name) for name in names if not _is_hidden(name)):
                if path.is_file():
                    yield str(path.relative_to(root)), path


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _new_name(path: Path) -> str:
    return f"{path.stem}-{cache.digest(path.read_bytes())[:8]}"


def _settings() -> dict[str, Any]:
    known = config.load()
    return {key: known[key].value for key in _SETTINGS if key in known and known[key].value}
