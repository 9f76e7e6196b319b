# SPDX-License-Identifier: GPL-2.0-only
"""A run as text for a terminal: a short aligned table, the splats, where the rest is."""

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import cache, verdict
from harness.errors import HarnessError
from harness.model import Frame, Outcome, Position, Row, Run, Splat, Verdict
from harness.recorded import Recorded
from harness.report import Options, figures, patches, sites
from harness.report.paint import fit, outcome_colour, paint, squeeze, wrapped

_VERDICTS = {Verdict.FIXED: "32", Verdict.NEW: "31;1", Verdict.CHANGED: "31"}
_DETAIL_MAX = 3000
_WIDTH = 100
_FRAMES_MAX = 8
_USERS_MAX = 3
_ALLOCATOR = re.compile(r"_*(kasan|kmem_cache|kmalloc|kfree|kvfree|slab|kvmalloc)_?")
PHASES = {
    "boot": "before the first test",
    "between": "between two tests",
    "teardown": "after the last test",
}
"""When a splat of no test was printed, in words."""

_WRAP: dict[str, Any] = {
    "break_long_words": False,
    "break_on_hyphens": False,
    "subsequent_indent": "  ",
}


def render(run: Run, *, colour: bool = False, width: int = _WIDTH) -> str:
    """The whole report, ending with a new line."""
    return "\n".join(_lines(run, colour=colour, width=width)) + "\n"


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter: one report below the other, each with its command line."""
    return "\n".join(_recorded(one, options) for one in runs)


def _recorded(one: Recorded, options: Options) -> str:
    lines = [one.command]
    lines += render(one.run, colour=options.colour, width=options.width).splitlines()
    if one.exit is None:
        lines.append("the harness was killed in the middle of this run, or it still goes on")
    elif one.exit:
        lines.append(f"exit status {one.exit}{f': {one.error}' if one.error else ''}")
    return "\n".join(lines) + "\n"


def _lines(run: Run, *, colour: bool, width: int) -> Iterator[str]:
    if run.rows:
        yield ""
        made = patches.table if any(row.marks for row in run.rows) else _table
        yield from made(run.rows, run.series, colour=colour, width=width)
    for row in run.rows:
        for splat in row.result.splats:
            yield from splat_lines(splat, f"during {row.result.test}", colour=colour, width=width)
        if row.result.autopsy:
            yield from ("", paint(f"{row.result.test} did not end", "31;1", colour=colour))
            yield from (fit(f"  {line}", width) for line in row.result.autopsy)
            yield f"  all that was seen: boots/{row.result.boot:03}/autopsy.txt, in the record"
    for splat in run.stray:
        when = f"{PHASES.get(splat.phase, 'outside of the tests')}, boot {splat.boot}"
        yield from splat_lines(splat, when, colour=colour, width=width)
    yield from sites.lines(run)
    if run.warnings:
        yield ""
        yield f"{len(run.warnings)} compiler warning{'s' * (len(run.warnings) > 1)}:"
        yield from (fit(f"  {warning}", width) for warning in run.warnings[:10])
    if run.unfinished and run.rows:
        yield ""
        count = len(run.unfinished)
        names = ", ".join(run.unfinished[:5]) + (", ..." if count > 5 else "")
        yield f"not run: {count} test{'s' * (count > 1)} ({names})"
    yield ""
    yield _summary(run, colour=colour)
    yield f"record: {short(run.directory)}"


def _table(rows: Sequence[Row], series: str, *, colour: bool, width: int) -> Iterator[str]:
    with_base = any(row.base is not None for row in rows)
    # Beside the name: two outcomes, a time, a verdict; 28 columns of a name tell enough.
    room = max(28, width - (20 if with_base else 10) - 21)
    name = min(room, max(4, *(len(row.result.test) for row in rows)))
    head = f"{'test':<{name}}"
    head += f"  {'base':<8}" if with_base else ""
    patched = series if len(series) <= 8 else "series"
    head += f"  {patched if with_base else 'outcome':<8}  {'time':>7}"
    yield head.rstrip() + ("  verdict" if with_base else "")
    for row in rows:
        yield _row(row, name, with_base=with_base, colour=colour)
        yield from _why(row, width=width)
        yield from figures.lines(row, colour=colour)


def _row(row: Row, name: int, *, with_base: bool, colour: bool) -> str:
    line = f"{squeeze(row.result.test, name):<{name}}"
    if with_base:
        outcome = row.base.outcome if row.base else None
        text = f"{outcome or '-':<8}"
        line += "  " + (paint(text, outcome_colour(outcome), colour=colour) if outcome else text)
    outcome = row.result.outcome
    line += "  " + paint(f"{outcome:<8}", outcome_colour(outcome), colour=colour)
    line += f"  {row.result.duration_s:>5.2f} s"
    if row.total > 1:
        line += f"  {row.good}/{row.total} good"
    if row.verdict is not None:
        line += "  " + paint(str(row.verdict), _VERDICTS.get(row.verdict, ""), colour=colour)
    return line


def _why(row: Row, *, width: int) -> Iterator[str]:
    """A few lines for whatever is no pass at the first try."""
    base = row.base
    if row.result.retried:
        yield from wrapped(f"ran again after: {', '.join(row.result.retried)}", width)
    if base is not None and base.outcome is not Outcome.PASS and base.detail:
        yield from wrapped(f"base: {base.detail}", width)
    if row.result.outcome is not Outcome.PASS and row.result.detail:
        yield from wrapped(row.result.detail, width)
    if row.settled is not None:
        yield from wrapped(patches.said_of(row.settled), width)


def short(path: Path) -> str:
    """A path for a person, who can paste it into a shell as it is."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def splat_lines(splat: Splat, when: str, *, colour: bool, width: int) -> Iterator[str]:
    """A report of the kernel below an empty line, its frames with their places."""
    yield ""
    yield paint(fit(f"{splat.kind}: {splat.title}", width), "31;1", colour=colour)
    yield f"  {when}{' (on the base too)' * splat.on_base}"
    yield from (fit(f"  {line}", width) for line in trace_lines(splat))
    yield from (fit(f"  {line}", width) for line in splat.text[:25])
    if len(splat.text) > 25:
        yield f"  [{len(splat.text) - 25} more lines in the console log]"


def trace_lines(splat: Splat) -> Iterator[str]:
    """The frames that say most, from the guilty function on, as far as they have a place: with the
    functions that are inlined there below, and the patches of the series that changed them."""
    trace = [frame for frame in splat.frames if not frame.stack]
    guilty = (n for n, one in enumerate(trace) if one.function.split(".")[0] == splat.function)
    yield from _frames(trace[next(guilty, 0) :][:_FRAMES_MAX])
    for stack in dict.fromkeys(frame.stack for frame in splat.frames if frame.stack):
        users = (f for f in splat.frames if f.stack == stack and not _ALLOCATOR.match(f.function))
        lines = list(_frames(list(users)[:_USERS_MAX]))
        yield from (f"{stack}:", *lines) if lines else ()
    if splat.undecoded:
        yield f"without a place in the sources: {splat.undecoded}"


def _frames(shown: Sequence[Frame]) -> Iterator[str]:
    if any(frame.file for frame in shown):
        names = [f"{frame.function}+{frame.offset:#x}" for frame in shown]
        room = max(map(len, names))
        for frame, name in zip(shown, names, strict=True):
            yield f"{name:<{room}}  {_place(frame)}".rstrip()
            yield from (f"    {one.function}  {_place(one)}" for one in frame.inlines)


def _place(one: Position) -> str:
    """`fs/aio.c:1702  <- 0002-....patch`, as far as it is known."""
    place = f"{one.file}:{one.line}" if one.file else ""
    if one.patch:
        return f"{place}  <- {one.patch}"
    return f"{place}  ({one.near} changes this function)" if one.near else place


def _summary(run: Run, *, colour: bool) -> str:
    counts: dict[Outcome, int] = {}
    for row in run.rows:
        counts[row.result.outcome] = counts.get(row.result.outcome, 0) + 1
    parts = [
        paint(f"{count} {outcome}", outcome_colour(outcome), colour=colour)
        for outcome, count in counts.items()
    ]
    verdicts: dict[Verdict, int] = {}
    for row in run.rows:
        if row.verdict is not None:
            verdicts[row.verdict] = verdicts.get(row.verdict, 0) + 1
    changes = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    where = f"{run.series} on {run.base}" if run.series != "base" else run.base
    return f"{where}: {', '.join(parts) or 'nothing ran'}{f' ({changes})' if changes else ''}"


def rerun_command(run: Run, argv: list[str], *, width: int = _WIDTH) -> str:
    """The command that runs only what failed, empty when nothing did: `argv` is the one that
    ran, whose own --test options are replaced. One that is wider than `width` columns is left to
    --rerun-failed."""
    failed = [row.result.test for row in run.rows if row.result.outcome.bad or row.first_bad]
    failed = [test for test in failed if test not in verdict.OWN_TESTS] + list(run.unfinished)
    if not failed or not run.rows:
        return ""
    kept = without_options(argv, {"--test": 1})
    whole = shlex.join(["harness", *kept, *(w for test in failed for w in ("--test", test))])
    if len(whole) <= width - len("rerun:  "):
        return whole
    known = run.directory.parent == cache.runs()
    name = run.directory.name[-4:] if known else str(run.directory)
    return shlex.join(["harness", "run", "--rerun-failed", name])


def without_options(argv: Sequence[str], names: Mapping[str, int]) -> list[str]:
    """A command line without some of its options; `names` says how many words each takes, -1
    for one that may stand alone."""
    kept: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        count = names.get(word.partition("=")[0])
        if count is None:
            kept.append(word)
        elif "=" not in word:
            if count < 0:
                count = bool(words) and not words[0].startswith("-")
            del words[:count]
    return kept


def render_error(
    error: HarnessError, *, colour: bool = False, width: int = 1000, record: Path | None = None
) -> str:
    """A failed stage for a person: the sentence, its lines, the log, what to do. A log in the run
    directory `record`, which was shown before, is named from there."""
    first, *rest = textwrap.wrap(f"harness: {error.message}", width, **_WRAP) or [""]
    lines = [paint("harness:", "31;1", colour=colour) + first.removeprefix("harness:"), *rest]
    lines += [fit(f"  {line}", width) for line in error.lines]
    if error.hint:
        lines += textwrap.wrap(f"hint: {error.hint}", width, **_WRAP)
    if error.log is not None:
        if record is not None and error.log.is_relative_to(record):
            lines.append(f"log:    {error.log.relative_to(record)}, in the record")
        else:
            lines.append(f"log: {short(error.log)}")
    return "\n".join(lines) + "\n"
