# SPDX-License-Identifier: GPL-2.0-only
"""What the page shows of one test on one kernel, as a JSON document."""

from collections.abc import Mapping
from typing import Any

from harness.model import Metric, Result, Splat, Subtest
from harness.report.html.embed import shortened, visible
from harness.report.html.matrix import Cell
from harness.report.patches import said_of
from harness.report.text import trace_lines

_GOOD = {"lines": 8, "size": 800}
_BAD = {"lines": 4000, "size": 64 * 1024}
_DETAIL_MAX = 3000
_SUBTESTS_MAX = 500
_RUNS_MAX = 100
_SPLATS_MAX = 10


def whole(cell: Cell) -> dict[str, Any]:
    """All that is known; of the output of a good result only its end."""
    result = cell.result
    output, cut = shortened(result.output, **(_BAD if cell.bad else _GOOD))
    return {
        **brief(cell),
        "detail": visible(result.detail[:_DETAIL_MAX]),
        "output": visible(output),
        "cut": cut,
        "subtests": [_subtest(one) for one in _first(result)],
        "subtests_more": max(0, len(result.subtests) - _SUBTESTS_MAX),
        "metrics": [_metric(one) for one in result.metrics],
        "autopsy": visible("\n".join(result.autopsy)),
        "splats": [_splat(one) for one in result.splats[:_SPLATS_MAX]],
        "splats_more": max(0, len(result.splats) - _SPLATS_MAX),
        "runs": [_run(one) for one in cell.runs[:_RUNS_MAX]] if len(cell.runs) > 1 else [],
        "runs_more": max(0, len(cell.runs) - _RUNS_MAX),
    }


def brief(cell: Cell) -> dict[str, Any]:
    """What has to be there, however little room there is."""
    settled = cell.row.settled if cell.row else None
    return {
        "detail": visible(cell.result.detail[:200]),
        "boot": cell.result.boot,
        "round": cell.result.round,
        "inherited": cell.inherited,
        "broke": cell.row.first_bad if cell.row else "",
        "settled": said_of(settled) if settled else "",
    }


def _first(result: Result) -> list[Subtest]:
    """The subtests that are shown: the bad ones first where there are too many."""
    if len(result.subtests) <= _SUBTESTS_MAX:
        return list(result.subtests)
    return sorted(result.subtests, key=lambda one: not one.outcome.bad)[:_SUBTESTS_MAX]


def _subtest(one: Subtest) -> list[str]:
    return [visible(one.name), str(one.outcome), visible(one.detail[:_DETAIL_MAX])]


def _metric(one: Metric) -> list[str]:
    return [visible(one.name), f"{one.value:g}", visible(one.unit), str(one.better)]


def _run(one: Result) -> list[Any]:
    return [one.round, str(one.outcome), one.duration_s, one.boot, visible(one.detail[:300])]


def _splat(one: Splat) -> Mapping[str, Any]:
    return {
        "title": visible(f"{one.kind}: {one.title}"),
        "base": one.on_base,
        "first": one.first,
        "lines": [one.boot, one.line_from, one.line_to],
        "trace": [visible(line) for line in trace_lines(one)],
        "text": visible("\n".join(one.text)),
    }
