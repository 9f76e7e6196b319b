# SPDX-License-Identifier: GPL-2.0-only
"""For drgn itself: `drgn -c CORE -s VMLINUX harness/crash/script.py [--json]`."""

import json
import sys
from pathlib import Path
from typing import Any


def told(prog: Any, *, as_json: bool) -> str:
    """The document of a dump that is loaded, or its text."""
    from harness.crash import text

    found = document(prog)
    return json.dumps(found, indent=1) if as_json else "\n".join(text.whole(found))


def has_types(prog: Any) -> bool:
    """The kernel was built with DWARF."""
    try:
        prog.type("struct task_struct")
    except LookupError:
        return False
    return True


def document(prog: Any) -> dict[str, Any]:
    """See docs/hangs.md. A part that fails is a line of `errors`, and the others are told."""
    from harness.crash import aio, locks
    from harness.crash.core import Core

    core = Core(prog)
    found: dict[str, Any] = {key: [] for key in ("blocked", "locks", "deadlocks", "running", "aio")}
    errors: list[str] = []
    for name, part in (("locks", locks.read), ("aio", aio.read)):
        try:
            read = part(core)
        except Exception as error:  # noqa: BLE001 -- whatever a broken kernel left behind
            errors.append(f"{name}: {type(error).__name__}: {error}")
            continue
        errors += read.pop("errors")
        found |= read
    return {**found, "errors": core.errors + errors}


if __name__ == "__main__" and "prog" in globals():
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    print(told(globals()["prog"], as_json="--json" in sys.argv))
