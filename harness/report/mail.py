# SPDX-License-Identifier: GPL-2.0-only
"""A reply for the mailing list: plain text of 72 columns, headers first, ready for a mail client.

Nothing is sent. In-Reply-To is that of the series where its mails are known.
"""

import email.header
import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from harness import __version__
from harness.errors import UsageError
from harness.model import Comparison, Row, Run
from harness.recorded import Recorded
from harness.report import Options, outline, posted
from harness.report.figures import change, compared
from harness.report.outline import State
from harness.report.paint import fit, squeeze
from harness.report.text import trace_lines

WIDTH = 72
"""Columns of a mail."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SPLAT_LINES = 16
_ROWS_MOST = 30
WRAP: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
"""How its text is wrapped."""


_TRIED = {
    State.BROKEN: "I tried this series on",
    State.HOST: "I tried to test this series on",
}
_ENDS = {
    State.NEW: ": {count} failure{s} of its own.",
    State.FAILED: ": {count} failure{s}. I have not tested the base, which may have them too.",
    State.BROKEN: ", and it did not get as far as its tests.",
    State.CUT: ", but not to the end.",
    State.HOST: ", which failed for reasons that are not its own.",
    State.UNCLEAR: ", and cannot say yet whether it is good.",
    State.GOOD: ": no failure that it is to blame for.",
}


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter. Of several runs one mail, about the series of the first."""
    if not runs or all(one.run.series == "base" for one in runs):
        raise UsageError("a reply needs a run with a series")
    first = next(one for one in runs if one.run.series != "base")
    lines = [*_headers(first), "", *_opening(runs)]
    for one in runs:
        lines += ["", *_run(one)]
    lines += ["", "-- ", f"harness {__version__}"]
    return "\n".join(map(plain, lines)) + "\n"


def plain(line: str, *, width: int = WIDTH) -> str:
    """Without what a mail reader would act on, or show wider than it is (`width` 0: however wide
    that is)."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", line.replace("\t", " "))
    wide = [2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in line]
    if not width or sum(wide) <= width or not any(one == 2 for one in wide):
        return line
    kept = next(n for n in range(len(wide), 0, -1) if sum(wide[:n]) <= width - 3)
    return f"{line[:kept]}..."


def _headers(one: Recorded) -> Iterator[str]:
    count = one.patch_count
    tag = f"PATCH 0/{count}" if count > 1 else "PATCH"
    title = " ".join((posted.title(one.cell) or one.run.series).split())
    subject = f"Re: [{tag}] {title}"
    if found := posted.message_id(one):
        yield f"In-Reply-To: <{found}>"
        yield f"References: <{found}>"
    yield f"Subject: {email.header.Header(subject, header_name='Subject').encode()}"
    yield "MIME-Version: 1.0"
    yield "Content-Type: text/plain; charset=utf-8"
    yield "Content-Transfer-Encoding: 8bit"


def _opening(runs: Sequence[Recorded]) -> Iterator[str]:
    """What came out, in a sentence for each end that there was."""
    ends: dict[State, list[Recorded]] = {}
    for one in runs:
        ends.setdefault(outline.of(one).state, []).append(one)
    for state in State:
        if found := ends.get(state, []):
            where = ", ".join(dict.fromkeys(outline.base(one) for one in found))
            said = f"{_TRIED.get(state, 'I tested this series on')} {where}{_ENDS[state]}"
            told = [outline.of(one) for one in found]
            count = sum(len(one.new or one.failed) + len(one.stray) for one in told)
            said = said.format(count=count, s="s" * (count != 1))
            yield from textwrap.wrap(said, WIDTH, **WRAP)


def _run(one: Recorded) -> Iterator[str]:
    run, told = one.run, outline.of(one)
    facts = {
        "base": outline.base(one),
        "series": run.series,
        "config": outline.kconfig(one),
        "guest": outline.guest(one),
        "tests": outline.counts(run),
    }
    for key, value in facts.items():
        head, *rest = textwrap.wrap(value, WIDTH - 8, **WRAP) or [""]
        yield fit(f"{key:<6}  {head}".rstrip(), WIDTH)
        yield from (fit(f"{'':<8}{line}", WIDTH) for line in rest)
    if one.error:
        yield from ("", *_wrapped(one.error, ""))
    elif told.state is State.CUT:
        yield from ("", "The run was cut short.")
    yield from _patches(run)
    yield from _rows("New with the series", told.new, one)
    yield from _rows("Failed, and the base was not tested", told.failed, one)
    for splat in told.stray:
        yield from ("", fit(f"Outside of the tests: {splat.kind}: {splat.title}", WIDTH))
        yield from (fit(f"  {line}", WIDTH) for line in trace_lines(splat))
    yield from _rows("Not clear", told.unclear, one)
    yield from _rows("Fixed by the series", told.fixed, one)
    yield from _rows("Flaky, with and without the series", told.flaky, one)
    yield from _rows("Failing without the series, too", told.before, one)
    yield from _metrics(run)
    if line := outline.again(one, told.bad):
        yield from ("", "To see it again:" if told.bad else "To repeat it:", "")
        yield from command(line)


def _patches(run: Run) -> Iterator[str]:
    """A line for each patch: what is bad with the kernel that ends with it."""
    marks = max((row.marks for row in run.rows), key=len, default=())
    if not marks:
        return
    yield from ("", f"{'patch':<50}  {'pass':>5} {'other':>6} {'broke':>6}")
    for step in marks:
        column = [m.outcome for row in run.rows for m in row.marks if m.label == step.label]
        ran = [outcome for outcome in column if outcome is not None]
        good = sum(outcome == "pass" for outcome in ran)
        broke = sum(row.first_bad == step.patch for row in run.rows if step.patch)
        name = squeeze(step.patch or step.label, 50)
        yield f"{name:<50}  {good:>5} {len(ran) - good:>6} {broke or '':>6}".rstrip()


def _rows(title: str, rows: Sequence[Row], one: Recorded) -> Iterator[str]:
    if not rows:
        return
    yield from ("", f"{title}:", "")
    for row in rows[:_ROWS_MOST]:
        before = f"{row.base.outcome} -> " if row.base is not None else ""
        yield fit(f"  {squeeze(row.result.test, 44)}: {before}{outline.outcome(row)}", WIDTH)
        if row.first_bad:
            yield fit(f"    first bad: {row.first_bad}", WIDTH)
        if detail := outline.detail(row):
            yield from _wrapped(detail, "    ")
        for splat in row.result.splats[:1]:
            lines = [*trace_lines(splat)] or list(splat.text)
            yield from (fit(f"      {line}", WIDTH) for line in lines[:_SPLAT_LINES])
    if len(rows) > _ROWS_MOST:
        yield f"  and {len(rows) - _ROWS_MOST} more"


def _metrics(run: Run) -> Iterator[str]:
    shown = [(row, one) for row in run.rows for one in row.metrics if compared(one)]
    if shown:
        yield from ("", "Figures, as times those of the base (95 % interval):", "")
    for row, one in shown:
        yield fit(f"  {squeeze(_metric_name(row, one), 34):<34}  {change(one)}", WIDTH)


def _metric_name(row: Row, one: Comparison) -> str:
    return f"{row.result.test.rpartition('/')[2]} {one.name}"


def _wrapped(text: str, indent: str) -> list[str]:
    made = textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, **WRAP)
    return [fit(line, WIDTH) for line in made[:6]]


def command(line: str) -> Iterator[str]:
    """A command line for a shell, over as many lines as it takes; an option stays with its value,
    and what is longer than a line stays whole, or it would not work."""
    words = [shlex.quote(word) for word in shlex.split(line)]
    parts = [words[:2]]
    for word in words[2:]:
        if word.startswith("-") or parts[-1] is parts[0] or len(parts[-1]) > 1:
            parts.append([word])
        else:
            parts[-1].append(word)
    made: list[str] = []
    for part in (" ".join(part) for part in parts):
        if made and len(made[-1]) + len(part) + 5 <= WIDTH:
            made[-1] += f" {part}"
        else:
            made.append(f"  {'  ' * bool(made)}{part}")
    yield from (f"{one} \\" for one in made[:-1])
    yield made[-1]
