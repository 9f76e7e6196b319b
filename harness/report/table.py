# SPDX-License-Identifier: GPL-2.0-only
"""Tests x kernels as a Markdown table, from one or more runs (docs/series.md)."""

from collections.abc import Iterable, Sequence

from harness.model import Outcome, Run


def markdown(runs: Sequence[Run]) -> str:
    """A row for each test, in the order of the runs; a column for each kernel they ran on, the
    unpatched base before the series. Runs on the same kernel share its column, the later one
    counting."""
    kernels: dict[str, dict[str, Outcome]] = {}
    for run in runs:
        for row in run.rows:
            if row.base is not None:
                kernels.setdefault(run.base, {})[row.result.test] = row.base.outcome
        tip = run.base if run.series == "base" else f"{run.base} + {run.series}"
        for row in run.rows:
            kernels.setdefault(tip, {})[row.result.test] = row.result.outcome
    tests = dict.fromkeys(test for outcomes in kernels.values() for test in outcomes)
    lines = [["test", *kernels], ["---"] * (1 + len(kernels))]
    for test in tests:
        lines.append([test, *(str(known.get(test, "-")) for known in kernels.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in _aligned(lines))


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[list[str]]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        fill = "-" if line[0] == "---" else " "
        yield [cell.ljust(width, fill) for cell, width in zip(line, widths, strict=True)]
