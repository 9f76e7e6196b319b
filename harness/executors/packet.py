# SPDX-License-Identifier: GPL-2.0-only
"""What goes to a worker, and what comes back."""

import io
import secrets
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import __version__, cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A task and its inputs by content: names of parcels, and the commit of each tree by the name
    that `argv` has for it. `sends` are kernels that go to the store when it has ended. Events name
    the `matrix`; `store` is empty for the desk's."""

    argv: tuple[str, ...]
    cpus: int
    matrix: str
    version: str = __version__
    store: str = ""
    inputs: str = ""
    trees: Mapping[str, str] = field(default_factory=dict)
    kernels: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of it: as executors.Finished, with what the process said on standard error, and
    the directories that it wrote, in an archive. The worker is `unfit` where it came to no process:
    another may do better."""

    exit: int
    duration_s: float = 0.0
    document: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    worker: str = ""
    lost: tuple[str, ...] = ()
    log: bytes = b""
    runs: bytes = b""
    unfit: bool = False


def packed(directory: Path) -> bytes:
    """The directories in it as an archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
        archive.add(directory, arcname=".")
    return made.getvalue()


def keep(runs: bytes) -> dict[str, Path]:
    """The run directories of an archive, among all others, by their names."""
    if not runs:
        return {}
    place = cache.runs()
    kept = {}
    with (
        tempfile.TemporaryDirectory(prefix=".tmp-", dir=place) as scratch,
        tarfile.open(fileobj=io.BytesIO(runs)) as archive,
    ):
        archive.extractall(scratch, filter="data")
        for path in sorted(Path(scratch).iterdir()):
            final = place / path.name
            while final.exists():  # another machine had the same four digits in the same second
                final = final.with_name(f"{path.name[:-4]}{secrets.token_hex(2)}")
            path.rename(final)
            kept[path.name] = final
    return kept
