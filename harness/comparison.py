# SPDX-License-Identifier: GPL-2.0-only
"""Two runs as one: the first in the place of the base, the second in that of the series."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import stats, verdict
from harness.errors import ExitCode, UsageError
from harness.model import Result, Run, Settled, Verdict
from harness.stats import Decision

_BAD = {Verdict.NEW, Verdict.CHANGED}


def of(one: Run, other: Run) -> Run:
    """A run whose rows have the results of `one` as their base. UsageError where they have no test
    in common."""
    before, after = list(_results(one)), list(_results(other))
    common = {result.test for result in before} & {result.test for result in after}
    if not common:
        raise UsageError(f"{one.directory.name} and {other.directory.name} have no test in common")
    before = [result for result in before if result.test in common]
    after = [result for result in after if result.test in common]
    columns = [
        verdict.Column(label="base", patch="", results=tuple(before)),
        verdict.Column(label="tip", patch="", results=tuple(after)),
    ]
    shown = verdict.fingerprints(before, one.stray)
    settled = {test: found for test in common if (found := _settled(test, before, after))}
    return replace(
        other,
        rows=verdict.table(columns, shown, settled),
        splats=tuple(splat for result in after for splat in result.splats),
        stray=verdict.marked(other.stray, shown),
        unfinished=(),
    )


def _results(run: Run) -> Iterator[Result]:
    """What a run is about, all rounds of it."""
    for row in run.rows:
        yield from row.all_results or (row.result,)


def _settled(test: str, before: list[Result], after: list[Result]) -> Settled | None:
    """What repeated runs say; None where both ran once, or nothing failed."""
    base = verdict.tally(one for one in before if one.test == test)
    tip = verdict.tally(one for one in after if one.test == test)
    if max(base.runs, tip.runs) < 2 or not base.failed + tip.failed or not base.runs * tip.runs:
        return None
    fixed = tip.failed == 0 or tip.rate < base.rate
    suspect, other = (base, tip) if fixed else (tip, base)
    decision = stats.decide(suspect, other, left=1)
    if decision is Decision.DIFFERENT:
        found = Verdict.FIXED if fixed else Verdict.NEW
    elif base.failed == base.runs and tip.failed == tip.runs:
        found = verdict.alike(
            [one for one in before if one.test == test], [one for one in after if one.test == test]
        )
    elif decision is Decision.SAME or all(0 < one.failed < one.runs for one in (base, tip)):
        found = Verdict.FLAKY
    else:
        found = Verdict.UNKNOWN
    return Settled(
        test=test,
        step="tip",
        verdict=found,
        probability=round(stats.probability(suspect, other), 6),
        base=base,
        patched=tip,
    )


def exit_code(run: Run, *, new_only: bool) -> ExitCode:
    """1 where a test fails in the second run; with `new_only` where it did not so in the first."""
    if new_only:
        return ExitCode.FAILED if any(row.verdict in _BAD for row in run.rows) else ExitCode.OK
    return verdict.exit_code(run)


def differences(one: Path, other: Path) -> Iterator[str]:
    """What the two runs were asked for, where that differs."""
    first, second = _asked(one), _asked(other)
    for key in first:
        if first[key] != second.get(key):
            yield f"{key:<12} {_shown(first[key])} -> {_shown(second.get(key))}"


def _asked(directory: Path) -> dict[str, Any]:
    with (directory / "journal.jsonl").open() as journal:
        events = (json.loads(line) for line in journal)
        about: dict[str, Any] = next(
            (event["cell"] for event in events if event["event"] == "cell"), {}
        )
    stack = about.get("stack", {})
    return {
        "series": stack.get("name"),
        "patches": [patch["sha256"][:12] for patch in stack.get("patches", ())],
        **{key: about.get(key) for key in ("tree", "commit", "kconfigs", "config", "settings")},
        **{key: about.get(key) for key in ("cc", "llvm", "guest", "isolation", "guest_kind")},
    }


def _shown(value: object) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value or "-")
