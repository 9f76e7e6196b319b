# SPDX-License-Identifier: GPL-2.0-only
"""Tests x kernels as a Markdown table, from one or more runs (docs/series.md)."""

from collections.abc import Iterable, Sequence

from harness.errors import UsageError
from harness.model import Result, Run


def markdown(runs: Sequence[Run]) -> str:
    """A row for each test, in the order of the runs; a column for each base, and for each series
    on it, which runs with other suites share. UsageError where two of them contradict each other:
    their kernels, or their guests, were not the same.
    """
    kernels: dict[str, dict[str, str]] = {}
    for run in runs:
        tip = run.base if run.series == "base" else f"{run.base} + {run.series}"
        before = [row.base for row in run.rows if row.base is not None]
        _enter(kernels, run.base, before)
        _enter(kernels, tip, [row.result for row in run.rows])
    tests = dict.fromkeys(test for outcomes in kernels.values() for test in outcomes)
    lines = [["test", *kernels], ["---"] * (1 + len(kernels))]
    lines += [[test, *(known.get(test, "-") for known in kernels.values())] for test in tests]
    return "".join(f"| {' | '.join(line)} |\n" for line in _aligned(lines))


def _enter(kernels: dict[str, dict[str, str]], kernel: str, results: Sequence[Result]) -> None:
    for result in results:
        known = kernels.setdefault(kernel, {})
        outcome = str(result.outcome)
        if known.setdefault(result.test, outcome) != outcome:
            raise UsageError(
                f"{result.test} on {kernel}: {known[result.test]} in one run, {outcome} in another"
            )


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[list[str]]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        fill = "-" if line[0] == "---" else " "
        yield [cell.ljust(width, fill) for cell, width in zip(line, widths, strict=True)]
