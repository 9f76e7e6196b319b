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
from harness.model import Row
from harness.recorded import Recorded
from harness.report import Options, outline, posted
from harness.report.text import trace_lines

_LINES_MOST = 40


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
    and with each configuration. Runs that say nothing of the patch are passed over: those that
    were cut short, and those that failed for other reasons."""
    mail = posted.parse(patch)
    found: dict[tuple[str, ...], Path] = {}
    for directory in recorded.recent():
        cell = recorded.cell_of(directory)
        key = (str(cell.get("tree")), *map(str, cell.get("kconfigs", ())))
        if key in found:
            continue
        if mail.diff:
            same = any(mail.is_same(one) for one in posted.of_directory(directory))
        else:
            same = _is_cover(mail, cell)
        if same and _tells(recorded.load(directory)):
            found[key] = directory
    return list(found.values())


def _tells(one: Recorded) -> bool:
    return outline.of_patch(one) or (one.exit is not None and bool(one.run.rows) and not one.error)


def _is_cover(mail: posted.Posted, cell: Mapping[str, Any]) -> bool:
    if mail.message_id and mail.message_id == posted.cover_id(cell):
        return True
    return bool(mail.title) and mail.title == posted.title(cell)


def _of_mail(one: Recorded, mail: posted.Posted) -> dict[str, Any]:
    stem = next((stem for stem, known in posted.of(one).items() if mail.is_same(known)), "")
    if stem:
        return _patch(one, stem)
    if mail.diff:
        return _check(_tool(one), "warn", f"run {one.directory.name[-4:]} has not this patch")
    return _series(one)


def _series(one: Recorded) -> dict[str, Any]:
    """One run as a whole."""
    run, told = one.run, outline.of(one.run)
    if one.error or one.exit is None:
        status = "fail" if outline.of_patch(one) else "warn"
        return _check(_tool(one), status, one.error or "the run was cut short")
    if told.failed:
        count = len(told.new) + len(told.stray)
        summary = f"{count} new failure{'s' * (count > 1)}; {outline.counts(run)}"
        return _check(_tool(one), "fail", summary, _details(one, told.new))
    old = (*told.before, *told.flaky, *told.unclear)
    status = "warn" if old or run.unfinished or not run.rows else "pass"
    return _check(_tool(one), status, outline.counts(run), _details(one, old))


def _patch(one: Recorded, stem: str) -> dict[str, Any]:
    """One patch of a run; of a run without kernels for each, what is known of all of them."""
    if not any(mark.patch == stem for row in one.run.rows for mark in row.marks):
        whole = _series(one)
        if whole["status"] == "pass":
            return {**whole, "summary": f"{whole['summary']} with the whole series"}
        summary = f"{whole['summary']} with the whole series (--each-patch tells which)"
        return {**whole, "status": "warn", "summary": summary}
    bad = [row for row in one.run.rows if row.first_bad == stem]
    if bad:
        names = ", ".join(row.result.test for row in bad[:3]) + (", ..." if len(bad) > 3 else "")
        return _check(_tool(one), "fail", f"breaks {names}", _details(one, bad))
    return _check(_tool(one), "pass", f"{len(one.run.rows)} tests, none of which it breaks")


def _details(one: Recorded, rows: Sequence[Row]) -> str:
    lines = [line for row in rows for line in _lines(row)][:_LINES_MOST]
    lines += [f"kernel: {splat.kind}: {splat.title}" for splat in outline.of(one.run).stray]
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
