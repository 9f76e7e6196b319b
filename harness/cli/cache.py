# SPDX-License-Identifier: GPL-2.0-only
"""`harness cache show` and `gc`: what lies in the cache, and what goes."""

import argparse
import datetime
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness import cache
from harness.cli import parser
from harness.errors import ExitCode
from harness.model import SCHEMA

if TYPE_CHECKING:
    from harness.disuse import Collected
    from harness.stock import Entry, Part

_MIB = 1 << 20
_AGES = ((2 * 86400, 86400, "d"), (2 * 3600, 3600, "h"), (0, 60, "min"))


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    kept = parser.group(commands, "cache", "show what lies in the cache, remove what is not used")
    show = parser.command(kept, "show", _show, "each part's size, age and what is in use of it")
    show.add_argument("--json", action="store_true", help="one JSON document")
    collect = parser.command(
        kept, "gc", _collect, "remove what was used least recently, down to cache-size by default"
    )
    collect.add_argument(
        "--older", metavar="AGE", help="all that was not used for that long, as 30d or 12h"
    )
    collect.add_argument(
        "--size", metavar="SIZE", help="until the cache is no larger, as 20G; 0: all that can go"
    )
    collect.add_argument("--dry-run", action="store_true", help="only say what would go")
    collect.add_argument("--json", action="store_true", help="one JSON document")


def _show(arguments: argparse.Namespace) -> int:
    from harness import stock

    parts = stock.look()
    limit_bytes = cache.limit_bytes()
    if arguments.json:
        document = {
            "schema": SCHEMA,
            "directory": str(cache.root()),
            "size_bytes": sum(part.size_bytes for part in parts),
            "limit_bytes": limit_bytes,
            "parts": [_about(part) for part in parts],
        }
        print(json.dumps(document, indent=1))
        return ExitCode.OK
    print(f"{'part':<12} {'entries':>7} {'size':>13} {'in use':>7}   last used, newest to oldest")
    for part in sorted(parts, key=lambda part: -part.size_bytes):
        ages = [_age(part.entries[end].used) for end in (-1, 0)]
        count = sum(entry.in_use for entry in part.entries)
        size = _mib(part.size_bytes)
        said = " to ".join(dict.fromkeys(ages))
        print(f"{part.name:<12} {len(part.entries):>7} {size:>13} {count or '-':>7}   {said} ago")
    total = _mib(sum(part.size_bytes for part in parts))
    print(f"{'total':<12} {'':>7} {total:>13}           `harness cache gc` leaves", end=" ")
    print(f"{_mib(limit_bytes)}\n{cache.root()}")
    return ExitCode.OK


def _about(part: "Part") -> dict[str, Any]:
    used = [entry for entry in part.entries if entry.in_use]
    return {
        "name": part.name,
        "entries": len(part.entries),
        "size_bytes": part.size_bytes,
        "oldest": _time(part.entries[0]),
        "newest": _time(part.entries[-1]),
        "in_use": len(used),
        "in_use_bytes": sum(entry.size_bytes for entry in used),
    }


def _collect(arguments: argparse.Namespace) -> int:
    from harness import disuse

    older, size = arguments.older, arguments.size
    limit_bytes = None if size is None else cache.size_of(size, "--size")
    if older is None and size is None:
        limit_bytes = cache.limit_bytes()
    wish = disuse.Wish(
        older_s=None if older is None else cache.age_s(older, "--older"), limit_bytes=limit_bytes
    )
    done = disuse.collect(wish, dry_run=arguments.dry_run)
    if arguments.json:
        _print_json(done, limit_bytes, dry_run=arguments.dry_run)
        return ExitCode.OK
    if arguments.dry_run:
        _print_entries(done.gone)
    _print_parts(done.gone)
    said = "would remove" if arguments.dry_run else "removed"
    print(
        f"{said} {len(done.gone)} entries, {_mib(done.freed_bytes)}; {_mib(done.left_bytes)} stay"
    )
    if limit_bytes is not None and done.left_bytes > limit_bytes:
        print(
            f"more than {_mib(limit_bytes)}: the rest is in use, or goes by --older alone"
            f" ({', '.join(disuse.BY_AGE)})"
        )
    return ExitCode.OK


def _print_json(done: "Collected", limit_bytes: int | None, *, dry_run: bool) -> None:
    gone = [
        {"part": one.part, "name": one.name, "size_bytes": one.size_bytes, "used": _time(one)}
        for one in done.gone
    ]
    document = {
        "schema": SCHEMA,
        "dry_run": dry_run,
        "removed": gone,
        "freed_bytes": done.freed_bytes,
        "size_bytes": done.left_bytes,
        "limit_bytes": limit_bytes,
    }
    print(json.dumps(document, indent=1))


def _print_entries(gone: Sequence["Entry"]) -> None:
    """Those that somebody may miss; there are thousands of small ones."""
    for entry in gone:
        if entry.size_bytes >= _MIB and entry.part != "ccache":
            print(f"{_mib(entry.size_bytes):>13}  {_age(entry.used):>6}  {entry.name}")


def _print_parts(gone: Sequence["Entry"]) -> None:
    for name in sorted({entry.part for entry in gone}):
        sizes = [entry.size_bytes for entry in gone if entry.part == name]
        print(f"{name:<12} {len(sizes):>7} {_mib(sum(sizes)):>13}")


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"


def _age(used: float) -> str:
    """As `3 d`, `5 h` or `20 min`."""
    past = max(0.0, time.time() - used)
    return next(f"{past / unit:.0f} {name}" for least, unit, name in _AGES if past >= least)


def _time(entry: "Entry") -> str:
    when = datetime.datetime.fromtimestamp(entry.used, datetime.UTC)
    return when.isoformat(timespec="seconds")
