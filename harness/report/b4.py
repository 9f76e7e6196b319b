# SPDX-License-Identifier: GPL-2.0-only
"""Results for `b4 review`: the JSON of its external checks (docs/reports.md).

b4 gives a check the mail of a patch, or of the cover letter, on standard input and takes a list of
{tool, status, summary, url, details} from its output; status is pass, warn or fail. Source: b4
0.16, b4/review/checks.py, and "review" in b4's documentation for maintainers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import recorded
from harness.model import Outcome, Row
from harness.recorded import Recorded
from harness.report import Options, outline, posted
from harness.report.outline import State
from harness.report.text import trace_lines

_LINES_MOST = 40
_CONFIGURES = ("kconfigs", "config", "settings", "cc", "llvm")
_NOT_TOLD = (State.CUT, State.HOST, State.BROKEN, State.UNCLEAR)
_STATUS = {State.NEW: "fail", State.FAILED: "fail", State.BROKEN: "fail", State.GOOD: "pass"}


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter. With a patch, what these runs say of it alone."""
    if options.patch is None:
        made = [_series(one) for one in runs]
    else:
        mail = posted.parse(options.patch)
        made = [_of_mail(one, mail) for one in runs]
        if not runs:
            made = [_check("harness", "warn", f"no run has this patch: {mail.title}")]
    return json.dumps(made, indent=1) + "\n"


def directories_with(patch: bytes) -> list[Path]:
    """The newest run with this patch, or with the series whose cover letter it is, on each tree
    and with each configuration; the newest with all its tests, where there is one. Runs that say
    nothing of the patch are passed over: those that were cut short, and those that failed for
    other reasons."""
    mail = posted.parse(patch)
    found: dict[tuple[str, ...], Path] = {}
    parts: dict[tuple[str, ...], Path] = {}
    for directory in recorded.recent():
        cell = recorded.cell_of(directory)
        key = (str(cell.get("tree")), *(str(cell.get(word)) for word in _CONFIGURES))
        if key in found or (key in parts and cell.get("tests")):
            continue
        if mail.diff:
            same = any(mail.is_same(one) for one in posted.of_directory(directory))
        else:
            same = _is_cover(mail, cell)
        if same and _tells(recorded.load(directory)):
            (parts if cell.get("tests") else found)[key] = directory
    return list({**parts, **found}.values())


def _tells(one: Recorded) -> bool:
    told = outline.of(one)
    stopped = told.state in (State.CUT, State.HOST) or one.of_pytest
    return not stopped and (bool(one.run.rows) or told.state is State.BROKEN)


def _is_cover(mail: posted.Posted, cell: Mapping[str, Any]) -> bool:
    if mail.message_id and mail.message_id == posted.cover_id(cell):
        return True
    return bool(mail.title) and mail.title == posted.title(cell)


def _of_mail(one: Recorded, mail: posted.Posted) -> dict[str, Any]:
    known = posted.of(one)
    # A Message-ID says which one it is, also where two of them change the same.
    exact = [n for n, own in enumerate(known) if own.is_mail(mail)]
    alike = [n for n, own in enumerate(known) if own.is_same(mail)]
    for place in (*exact, *alike):
        return _patch(one, place)
    if mail.diff:
        return _check(_tool(one), "warn", f"run {one.directory.name[-4:]} has not this patch")
    return _series(one)


def _series(one: Recorded) -> dict[str, Any]:
    """One run as a whole."""
    run, told = one.run, outline.of(one)
    summary = outline.counts(run)
    if told.state is State.NEW:
        count = len(told.new) + len(told.stray)
        summary = f"{count} new failure{'s' * (count > 1)}; {summary}"
    elif told.state is State.FAILED:
        summary = f"{summary}; the base was not tested"
    elif one.error:
        summary = one.error
    elif told.state is State.CUT:
        summary = f"the run was cut short; {summary}"
    only = " ".join(one.cell.get("tests", ()))
    summary += f" (only {only})" if only else ""
    status = _STATUS.get(told.state, "warn")
    if status == "pass" and (told.before or told.flaky):
        status = "warn"
    rows = (*told.bad, *told.before, *told.flaky)
    return _check(_tool(one), status, summary, _details(one, rows))


def _patch(one: Recorded, place: int) -> dict[str, Any]:
    """The patch at a place (from 0) of a run; of a run without kernels for each, what is known of
    all of them."""
    last = place == one.patch_count - 1
    label = "tip" if last else f"{place + 1:04}"
    names = {mark.patch for row in one.run.rows for mark in row.marks if mark.label == label}
    names.discard("")
    whole = _series(one)
    if not names:
        if whole["status"] == "pass":
            return {**whole, "summary": f"{whole['summary']} with the whole series"}
        summary = f"{whole['summary']} with the whole series (--each-patch tells which)"
        return {**whole, "status": "warn", "summary": summary}
    bad = [row for row in one.run.rows if row.first_bad in names]
    if bad:
        shown = ", ".join(row.result.test for row in bad[:3]) + (", ..." if len(bad) > 3 else "")
        return _check(_tool(one), "fail", f"breaks {shown}", _details(one, bad))
    ran = [m for row in one.run.rows for m in row.marks if m.label == label and m.outcome]
    summary = f"{len(ran)} tests, none of which it breaks"
    sure = len(ran) == len(one.run.rows) and Outcome.ERROR not in {mark.outcome for mark in ran}
    if not sure or outline.of(one).stray or outline.of(one).state in _NOT_TOLD:
        return {
            **whole,
            "status": "warn",
            "summary": f"{summary}; of the series: {whole['summary']}",
        }
    return _check(_tool(one), "pass", summary)


def _details(one: Recorded, rows: Sequence[Row]) -> str:
    lines = [line for row in rows for line in _lines(row)][:_LINES_MOST]
    lines += [f"kernel: {splat.kind}: {splat.title}" for splat in outline.of(one).stray]
    if rows:
        lines += ["", outline.again(one, rows)]
    return "\n".join(lines)


def _lines(row: Row) -> Iterator[str]:
    result = row.result
    verdict = f" ({row.verdict})" if row.verdict else ""
    yield f"{result.test}: {result.outcome}{verdict} {result.detail}".rstrip()
    for splat in result.splats[:1]:
        yield from (f"  {line}" for line in trace_lines(splat))


def _tool(one: Recorded) -> str:
    kconfig = outline.kconfig(one)
    return f"harness {one.run.base}" + (f" {kconfig}" if kconfig != "base" else "")


def _check(tool: str, status: str, summary: str, details: str = "") -> dict[str, Any]:
    return {"tool": tool, "status": status, "summary": summary, "url": "", "details": details}
