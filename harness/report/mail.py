# SPDX-License-Identifier: GPL-2.0-only
"""A reply for the mailing list: plain text of 72 columns, headers first, ready for a mail client.

Nothing is sent. In-Reply-To is that of the series where its mails are known.
"""

import email.header
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from harness import __version__
from harness.model import Comparison, Row, Run
from harness.recorded import Recorded
from harness.report import Options, outline, posted
from harness.report.figures import change
from harness.report.paint import fit, squeeze
from harness.report.text import trace_lines

_WIDTH = 72
_SPLAT_LINES = 16
_ROWS_MOST = 30
_WRAP: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter. Of several runs one mail, about the series of the first."""
    first = runs[0]
    lines = [*_headers(first), "", *_opening(runs)]
    for one in runs:
        lines += ["", *_run(one)]
    lines += ["", "-- ", f"harness {__version__}"]
    return "\n".join(lines) + "\n"


def _headers(one: Recorded) -> Iterator[str]:
    count = len(one.patches)
    tag = f"PATCH 0/{count}" if count > 1 else "PATCH"
    subject = f"Re: [{tag}] {posted.title(one.cell) or one.run.series}"
    if found := posted.message_id(one):
        yield f"In-Reply-To: <{found}>"
        yield f"References: <{found}>"
    yield f"Subject: {email.header.Header(subject, header_name='Subject').encode()}"
    yield "MIME-Version: 1.0"
    yield "Content-Type: text/plain; charset=utf-8"
    yield "Content-Transfer-Encoding: 8bit"


def _opening(runs: Sequence[Recorded]) -> Iterator[str]:
    told = [outline.of(one.run) for one in runs]
    failed = [one for one, its in zip(runs, told, strict=True) if its.failed or one.error]
    where = ", ".join(dict.fromkeys(outline.base(one) for one in runs))
    new = sum(len(its.new) + len(its.stray) for its in told)
    if any(outline.of_patch(one) for one in runs):
        said = f"I tried this series on {where}, and it did not get as far as its tests."
    elif new:
        said = f"I tested this series on {where}: {new} failure{'s' * (new > 1)} of its own."
    elif failed:
        said = f"I tried to test this series on {where}, which failed for reasons of my machine."
    elif any(not one.run.rows or one.exit is None for one in runs):
        said = f"I tested this series on {where}, not to the end."
    else:
        said = f"I tested this series on {where}: no failure that it is to blame for."
    yield from textwrap.wrap(said, _WIDTH, **_WRAP)


def _run(one: Recorded) -> Iterator[str]:
    run, told = one.run, outline.of(one.run)
    facts = {
        "base": outline.base(one),
        "series": run.series,
        "config": outline.kconfig(one),
        "guest": outline.guest(one),
        "tests": outline.counts(run),
    }
    for key, value in facts.items():
        head, *rest = textwrap.wrap(value, _WIDTH - 8, **_WRAP) or [""]
        yield f"{key:<6}  {head}".rstrip()
        yield from (f"{'':<8}{line}" for line in rest)
    if one.error:
        yield from ("", *_wrapped(one.error, ""))
    yield from _patches(run)
    yield from _rows("New with the series", told.new, one)
    for splat in told.stray:
        yield from ("", fit(f"Outside of the tests: {splat.kind}: {splat.title}", _WIDTH))
        yield from (fit(f"  {line}", _WIDTH) for line in trace_lines(splat))
    yield from _rows("Not clear", told.unclear, one)
    yield from _rows("Fixed by the series", told.fixed, one)
    yield from _rows("Flaky, with and without the series", told.flaky, one)
    yield from _rows("Failing without the series, too", told.before, one)
    yield from _metrics(run)
    rows = (*told.new, *told.unclear)
    yield from ("", "To see it again:" if rows else "To repeat it:", "")
    yield from _command(outline.again(one, rows))


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
        yield fit(f"  {squeeze(row.result.test, 44)}: {before}{row.result.outcome}", _WIDTH)
        if row.first_bad:
            yield fit(f"    first bad: {row.first_bad}", _WIDTH)
        if detail := row.result.detail or (row.base.detail if row.base is not None else ""):
            yield from _wrapped(detail, "    ")
        for splat in row.result.splats[:1]:
            lines = [*trace_lines(splat)] or list(splat.text)
            yield from (fit(f"      {line}", _WIDTH) for line in lines[:_SPLAT_LINES])
    if len(rows) > _ROWS_MOST:
        yield f"  and {len(rows) - _ROWS_MOST} more"


def _metrics(run: Run) -> Iterator[str]:
    shown = [(row, one) for row in run.rows for one in row.metrics if one.low is not None]
    if shown:
        yield from ("", "Figures, as times those of the base (95 % interval):", "")
    for row, one in shown:
        yield fit(f"  {squeeze(_metric_name(row, one), 34):<34}  {change(one)}", _WIDTH)


def _metric_name(row: Row, one: Comparison) -> str:
    return f"{row.result.test.rpartition('/')[2]} {one.name}"


def _wrapped(text: str, indent: str) -> list[str]:
    made = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, **_WRAP)
    return [fit(line, _WIDTH) for line in made[:6]]


def _command(line: str) -> Iterator[str]:
    """A command line for a shell, over as many lines as it takes; an option stays with its value,
    and what is longer than a line stays whole, or it would not work."""
    words = [shlex.quote(word) for word in shlex.split(line)]
    parts, follows = [words[:2]], zip_longest(words[2:], words[3:], fillvalue="-")
    for word, _ in follows:
        if word.startswith("-") or parts[-1] is parts[0] or len(parts[-1]) > 1:
            parts.append([word])
        else:
            parts[-1].append(word)
    made: list[str] = []
    for part in (" ".join(part) for part in parts):
        if made and len(made[-1]) + len(part) + 5 <= _WIDTH:
            made[-1] += f" {part}"
        else:
            made.append(f"  {'  ' * bool(made)}{part}")
    yield from (f"{one} \\" for one in made[:-1])
    yield made[-1]
