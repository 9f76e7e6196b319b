# SPDX-License-Identifier: GPL-2.0-only
"""Markdown for the step summary of a GitHub workflow, and wherever else it is read.

GitHub takes 1 MiB for a step (its documentation, "Adding a job summary"); what is beyond half of
that is left out, and said to be.
"""

import re
from collections.abc import Iterator, Sequence

from harness.model import Outcome, Row
from harness.recorded import Recorded
from harness.report import Options, outline
from harness.report.figures import change, said
from harness.report.text import trace_lines

_MOST = 512 << 10  # characters
_ROWS_MOST = 200
_OUTPUT_MOST = 3000
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$@])")
_SIGNS = {"failed": "❌", "doubtful": "⚠️", "good": "✅"}


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter."""
    text = "\n".join(line for one in runs for line in _run(one)) + "\n"
    if len(text) <= _MOST:
        return text
    whole = text[:_MOST].rpartition("\n\n")[0]
    # A <details> that is cut off would swallow what follows.
    open_ones = whole.count("<details>") - whole.count("</details>")
    fence = "\n```" * (whole.count("\n```") % 2)
    return f"{whole}{fence}{'</details>' * open_ones}\n\nThe rest is left out: it is too long.\n"


def _run(one: Recorded) -> Iterator[str]:
    run, told = one.run, outline.of(one.run)
    yield f"## {_SIGNS[_state(one, told)]} {_escaped(outline.name(run))}"
    yield ""
    yield f"{outline.counts(run)} · {outline.base(one)} · {_escaped(outline.kconfig(one))}"
    yield f"· {outline.guest(one)}"
    if one.error:
        yield from ("", f"**{_escaped(one.error)}**")
    elif one.exit is None:
        yield from ("", "**The run was cut short.**")
    yield from _table("New with the series", told.new, one)
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


def _state(one: Recorded, told: outline.Outline) -> str:
    if told.failed or outline.of_patch(one):
        return "failed"
    doubtful = one.error or one.exit is None or told.unclear or one.run.unfinished
    return "doubtful" if doubtful or not one.run.rows else "good"


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
        cells += [str(row.result.outcome)] + [row.first_bad] * with_patch
        yield f"| {' | '.join(map(_escaped, [*cells, row.result.detail or _was(row)]))} |"
    if len(rows) > _ROWS_MOST:
        yield from ("", f"and {len(rows) - _ROWS_MOST} more")


def _was(row: Row) -> str:
    return row.base.detail if row.base is not None else ""


def _stray(told: outline.Outline) -> Iterator[str]:
    if told.stray:
        yield from ("", f"### Reports of the kernel outside of the tests: {len(told.stray)}", "")
        yield from (f"- {_escaped(f'{splat.kind}: {splat.title}')}" for splat in told.stray)


def _metrics(rows: Sequence[Row]) -> Iterator[str]:
    shown = [(row, one) for row in rows for one in row.metrics if one.low is not None]
    if not shown:
        return
    yield from ("", "### Figures", "", "| test | metric | base | patched | ratio (95 %) |")
    yield "| --- | --- | ---: | ---: | --- |"
    for row, one in shown:
        figures = [said(sorted(f)[len(f) // 2], one.unit) for f in (one.base, one.patched)]
        cells = [row.result.test, one.name, *figures, change(one)]
        yield f"| {' | '.join(map(_escaped, cells))} |"


def _failures(one: Recorded, told: outline.Outline) -> Iterator[str]:
    rows = [row for row in (*told.new, *told.unclear) if row.result.outcome is not Outcome.PASS]
    for row in rows[:_ROWS_MOST]:
        yield from ("", f"<details><summary>{_escaped(row.result.test)}</summary>", "")
        for splat in row.result.splats:
            lines = (f"{splat.kind}: {splat.title}", *trace_lines(splat), *splat.text[:25])
            yield from _fenced("\n".join(lines))
        yield from _fenced(row.result.output[-_OUTPUT_MOST:].strip())
        yield from _fenced(outline.again(one, [row]))
        yield "</details>"


def _fenced(text: str) -> Iterator[str]:
    if text:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        yield from (fence, text, fence)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
