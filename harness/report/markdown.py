# SPDX-License-Identifier: GPL-2.0-only
"""Markdown for the step summary of a GitHub workflow, and wherever else it is read.

GitHub takes 1 MiB for a step (its documentation, "Adding a job summary"); what is beyond half of
that is left out, and said to be.
"""

import html
import re
from collections.abc import Iterator, Sequence
from statistics import median

from harness.model import Outcome, Row
from harness.recorded import Recorded
from harness.report import Options, outline
from harness.report.figures import change, compared, said
from harness.report.outline import State
from harness.report.text import trace_lines

_MOST = 512 << 10  # bytes
_ROWS_MOST = 200
_OUTPUT_MOST = 3000
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$@])")
_SIGNS = {State.NEW: "❌", State.FAILED: "❌", State.BROKEN: "❌", State.GOOD: "✅"}
_DOUBTFUL = "⚠️"


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter."""
    made: list[str] = []
    left = _MOST
    for block in (block for one in runs for block in _run(one)):
        left -= len(block.encode(errors="replace"))
        if left < 0:
            made.append("\nThe rest is left out: it is too long.")
            break
        made.append(block)
    return "\n".join(made) + "\n"


def _run(one: Recorded) -> Iterator[str]:
    """Blocks of lines; what is within one belongs together."""
    run, told = one.run, outline.of(one)
    yield f"## {_SIGNS.get(told.state, _DOUBTFUL)} {_escaped(outline.name(run))}"
    yield ""
    yield f"{outline.counts(run)} · {outline.base(one)} · {_escaped(outline.kconfig(one))}"
    yield f"· {outline.guest(one)}"
    if one.error:
        yield from ("", f"**{_escaped(one.error)}**")
    elif one.exit is None:
        yield from ("", "**The run was cut short.**")
    yield from _table("New with the series", told.new, one)
    yield from _table("Failed, and the base was not asked", told.failed, one)
    yield from _stray(told)
    yield from _table("Not clear", told.unclear, one)
    yield from _table("Fixed by the series", told.fixed, one)
    yield from _table("Flaky, with and without the series", told.flaky, one)
    yield from _table("Failing before, too", told.before, one)
    yield from _metrics(run.rows)
    if run.warnings:
        yield from ("", f"**Compiler warnings: {len(run.warnings)}**", "")
        yield from _fenced("\n".join(run.warnings[:20]))
    if run.unfinished:
        yield from ("", f"Tests that were not run: {len(run.unfinished)}")
    yield from _failures(one, told)
    yield ""


def _table(title: str, rows: Sequence[Row], one: Recorded) -> Iterator[str]:
    if not rows:
        return
    with_base = any(row.base for row in rows)
    with_patch = any(row.first_bad for row in rows)
    heads = ["test", *(["base"] * with_base), one.run.series, *(["first bad"] * with_patch), ""]
    yield from ("", f"### {title}: {len(rows)}", "")
    yield f"| {' | '.join(map(_escaped, heads))} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows[:_ROWS_MOST]:
        cells = [row.result.test]
        cells += [str(row.base.outcome) if row.base else "-"] * with_base
        cells += [str(outline.outcome(row))] + [row.first_bad] * with_patch
        yield f"| {' | '.join(map(_escaped, [*cells, outline.detail(row)]))} |"
    if len(rows) > _ROWS_MOST:
        yield from ("", f"and {len(rows) - _ROWS_MOST} more")


def _stray(told: outline.Outline) -> Iterator[str]:
    if told.stray:
        yield from ("", f"### Reports of the kernel outside of the tests: {len(told.stray)}", "")
        yield from (f"- {_escaped(f'{splat.kind}: {splat.title}')}" for splat in told.stray)


def _metrics(rows: Sequence[Row]) -> Iterator[str]:
    shown = [(row, one) for row in rows for one in row.metrics if compared(one)]
    if not shown:
        return
    yield from ("", "### Figures", "", "| test | metric | base | patched | ratio (95 %) |")
    yield "| --- | --- | ---: | ---: | --- |"
    for row, one in shown:
        figures = [said(median(values), one.unit) for values in (one.base, one.patched)]
        cells = [row.result.test, one.name, *figures, change(one)]
        yield f"| {' | '.join(map(_escaped, cells))} |"


def _failures(one: Recorded, told: outline.Outline) -> Iterator[str]:
    rows = [row for row in told.bad if row.result.outcome is not Outcome.PASS]
    for row in rows[:_ROWS_MOST]:
        lines = ["", f"<details><summary>{html.escape(row.result.test)}</summary>", ""]
        for splat in row.result.splats:
            words = (f"{splat.kind}: {splat.title}", *trace_lines(splat), *splat.text[:25])
            lines += _fenced("\n".join(words))
        lines += _fenced("\n".join(row.result.autopsy))
        lines += _fenced(row.result.output[-_OUTPUT_MOST:].strip())
        lines += _fenced(outline.again(one, [row]))
        yield "\n".join([*lines, "</details>"])


def _fenced(text: str) -> Iterator[str]:
    if text:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        yield from (fence, text, fence)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
