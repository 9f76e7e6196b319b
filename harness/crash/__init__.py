# SPDX-License-Identifier: GPL-2.0-only
"""What a memory dump of a hung guest says, read by drgn in a process of its own (docs/hangs.md).

drgn is not among what the harness needs: it is the extra `dump`. A dump that breaks it, or takes
it for ever, costs the report of that dump.
"""

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from harness import proc
from harness.crash import text
from harness.errors import HarnessError, HostError

_READ_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a dump says: at most 15 lines with what tells most, the whole text, and the document
    (docs/hangs.md), empty where the dump could not be read."""

    summary: tuple[str, ...]
    text: str
    document: Mapping[str, Any] = field(default_factory=dict)


def check() -> None:
    """HostError where no dump could be read, with what mends that."""
    if importlib.util.find_spec("drgn") is None:
        raise HostError(
            "--dump needs drgn, which is not installed",
            hint=f"{sys.executable} -m pip install drgn (or 'harness[dump]')",
        )


def read(core: Path, vmlinux: Path, *, timeout_s: float = _READ_S) -> Reading:
    """What the dump `core` of the kernel `vmlinux`, which has DWARF, says.

    Never raises for what is wrong with either: that is what the summary says then.
    """
    command = [sys.executable, "-P", "-m", "harness.crash", str(core), str(vmlinux), "--json"]
    # Of this checkout or installation, wherever the other interpreter would look.
    package = str(Path(harness.__file__).parents[1])
    try:
        done = proc.run(command, env={"PYTHONPATH": package}, timeout_s=timeout_s)
    except HarnessError as error:
        return _unread(core, error.message)
    if done.status:
        return _unread(core, (done.complaint or f"drgn ended with {done.status}").splitlines()[-1])
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return _unread(core, f"drgn says {done.text[:80]!r}")
    return Reading(
        summary=tuple(text.summary(document)),
        text="\n".join(text.whole(document)) + "\n",
        document=document,
    )


def _unread(core: Path, why: str) -> Reading:
    line = f"the memory dump {core.name} is there, and was not read: {why}"
    return Reading(summary=(line,), text=f"{line}\n")
