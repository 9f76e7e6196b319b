# SPDX-License-Identifier: GPL-2.0-only
"""What the host's pytest says of kernels and guests, and what the record says of its tests."""

from collections.abc import Iterator, Sequence

import pytest

from harness.errors import HarnessError
from harness.hosted import Hosted
from harness.lent import LentGuest
from harness.model import Outcome, Result, Splat
from harness.report import text

_TEXT_MAX = 40
_OUTPUT_MAX = 4000


def shown(error: HarnessError) -> str:
    """A stage that failed, without a traceback."""
    return text.render_error(error).rstrip()


def summary(hosted: Hosted) -> Iterator[str]:
    """What was run, what the kernel reported outside of the tests, where the record is."""
    run = hosted.run
    what = f"{run.series} on {run.base}" if run.series != "base" else run.base
    yield f"{what}: {run.kernel_release}, guests: {run.guest or 'none'}, {run.accel}"
    for splat in run.stray:
        yield f"outside of the tests, boot {splat.boot}: {splat.kind}: {splat.title}"
    yield f"record: {text.short(run.directory)}"


def sections(one: LentGuest, error: BaseException | None) -> list[tuple[str, str]]:
    """What a test that failed with `error` has to say beside it."""
    found = [("guest output", one.said[-_OUTPUT_MAX:])] if one.said else []
    found += [("kernel splat", _splat(splat)) for splat in one.splats]
    if isinstance(error, HarnessError) and (error.lines or error.hint):
        found.append(("harness", shown(error)))
    return [*found, ("guest console", f"boot {one.boot}: {text.short(one.console)}")]


def _splat(splat: Splat) -> str:
    lines = [f"{splat.kind}: {splat.title}", *(f"  {line}" for line in text.trace_lines(splat))]
    lines += (f"  {line}" for line in splat.text[:_TEXT_MAX])
    if len(splat.text) > _TEXT_MAX:
        lines.append(f"  [{len(splat.text) - _TEXT_MAX} more lines in the console log]")
    return "\n".join(lines)


def result(one: LentGuest, reports: Sequence[pytest.TestReport]) -> Result:
    """What set-up, call and teardown came to, together."""
    duration_s = sum(report.duration for report in reports if report.when == "call")
    for report in reports:
        if report.failed:
            return one.result(_blame(one, report), _detail(report), duration_s)
        if report.skipped:
            xfail = getattr(report, "wasxfail", None)
            outcome = Outcome.SKIP if xfail is None else Outcome.XFAIL
            return one.result(outcome, _detail(report) if xfail is None else xfail, duration_s)
    return one.result(Outcome.PASS, "", duration_s)


def _blame(one: LentGuest, report: pytest.TestReport) -> Outcome:
    """Who failed: the guest, the test, or what is around it."""
    if one.died is not None:
        return one.died.outcome
    return Outcome.FAIL if report.when == "call" or one.splats else Outcome.ERROR


def _detail(report: pytest.TestReport) -> str:
    """The line that says most."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines() or [""]
    return str(lines[0])
