# SPDX-License-Identifier: GPL-2.0-only
"""`harness judge`: a saved console or KTAP log judged again, without a guest."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from harness.cli import parser, screen
from harness.errors import ExitCode, UsageError
from harness.model import SCHEMA, Splat
from harness.report.paint import paint

_CHUNK = 1 << 20
_LINE_MAX = 64 << 10


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    made = parser.command(commands, "judge", _judge, "what a saved console or KTAP log says")
    made.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="default: -, standard input"
    )
    made.add_argument(
        "--ktap", action="store_true", help="count KTAP results as the kernel's kunit.py does"
    )
    made.add_argument(
        "--json", action="store_true", help="one JSON object per splat, one in all with --ktap"
    )


def _judge(arguments: argparse.Namespace) -> int:
    with _opened(arguments.file) as file:
        if arguments.ktap:
            return _judge_ktap(file, as_json=arguments.json)
        return _judge_console(file, as_json=arguments.json)


def _opened(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"{name}: {error.strerror}") from None


def _judge_console(file: IO[bytes], *, as_json: bool) -> int:
    from harness.marks import Marks
    from harness.splat import SplatScanner

    scanner, marks, count = SplatScanner(), Marks(), 0
    over = False
    while not over:
        chunk = file.read1(_CHUNK) if hasattr(file, "read1") else file.read(_CHUNK)
        over = not chunk
        marks.feed(chunk)
        for splat in scanner.finish() if over else scanner.feed(chunk):
            count += 1
            _show(splat, marks.test_at(splat.line_from), as_json=as_json)
    if not as_json:
        print(f"{count} splat{'s' * (count != 1)}" if count else "no splat")
    return ExitCode.FAILED if count else ExitCode.OK


def _show(splat: Splat, test: str | None, *, as_json: bool) -> None:
    if as_json:
        about = {
            "schema": SCHEMA,
            "kind": splat.kind,
            "title": splat.title,
            "function": splat.function,
            "fingerprint": splat.fingerprint,
            **({} if test is None else {"test": test}),
            "line_from": splat.line_from,
            "line_to": splat.line_to,
            "complete": splat.complete,
            "first": splat.first,
        }
        print(json.dumps(about), flush=True)
        return
    kind = paint(f"{splat.kind}:", "31;1", colour=screen.colour(sys.stdout))
    place = f"lines {splat.line_from}-{splat.line_to}"
    notes = [] if test is None else [f"during {test}"]
    notes += [] if splat.complete else ["cut short"]
    said = f"  ({', '.join(notes)})" if notes else ""
    print(f"{place:<18} {kind} {splat.title}{said}", flush=True)


def _judge_ktap(file: IO[bytes], *, as_json: bool) -> int:
    from harness import kunit

    found = kunit.count(_lines(file))
    counts = found.counts
    if as_json:
        results = [
            {"test": leaf.test, "outcome": leaf.outcome, "detail": leaf.detail}
            for leaf in found.results
        ]
        about = {"schema": SCHEMA, **counts, "results": results, "problems": found.errors}
        print(json.dumps(about))
    else:
        for leaf in found.results:
            if leaf.outcome in ("fail", "crash"):
                print(f"{leaf.outcome}: {leaf.test} {leaf.detail}".rstrip())
        for error in found.errors:
            print(f"error: {error}")
        print(", ".join(f"{number} {name}" for name, number in counts.items()))
    if not found.results:
        return ExitCode.NOTHING_RAN
    return ExitCode.FAILED if any(counts[name] for name in ("fail", "crash", "error")) else 0


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Whole lines; of a very long one the beginning."""
    inside = False
    while piece := file.readline(_LINE_MAX):
        if not inside:
            yield piece.decode(errors="replace")
        inside = not piece.endswith(b"\n")
