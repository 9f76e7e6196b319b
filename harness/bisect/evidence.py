# SPDX-License-Identifier: GPL-2.0-only
"""What a run has shown of a kernel: how often the same test failed in the same way."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import journal, recorded
from harness.bisect import signature
from harness.errors import ExitCode
from harness.model import Probed, Result, Signature
from harness.recorded import Recorded

_UNTESTABLE = {
    ExitCode.APPLY: "does not apply",
    ExitCode.KCONFIG: "cannot be configured",
    ExitCode.BUILD: "does not build",
    ExitCode.BOOT: "does not boot",
    ExitCode.NOTHING_RAN: "nothing ran",
}
_STOP = {ExitCode.USAGE, ExitCode.HOST, ExitCode.BUG, ExitCode.INTERRUPTED}
_LOST = {ExitCode.GUEST_LOST: "the guest was lost"}


def read(probed: Probed, exit_code: int, wanted: Signature | None, test: str) -> Probed:
    """What its run directory, which came to an end with `exit_code`, adds to a step. `wanted` is
    the failure that counts, None for any."""
    if not probed.run_dir:
        return replace(probed, lost=1, why=_reason(exit_code, ""))
    told = recorded.load(Path(probed.run_dir))
    duration_s = probed.duration_s  # with the start of the process, where it is known
    results = _of(told, test)
    seen = _sorted(results, wanted)
    probed = replace(
        probed,
        failed=seen.failed,
        passed=seen.passed,
        lost=seen.lost.total(),
        why="; ".join(f"{count} x {text}" for text, count in seen.lost.most_common(2)),
        signature=signature.usual(seen.same),
        **_costs(Path(probed.run_dir)),
    )
    if duration_s:
        probed = replace(probed, duration_s=duration_s)
    if results:
        return probed
    if exit_code == ExitCode.NOTHING_RAN and probed.program:
        return replace(probed, why="the same program as another's")
    untestable = exit_code in _UNTESTABLE
    return replace(probed, lost=1, why=_reason(exit_code, told.error), untestable=untestable)


def conclusive(directory: Path | None, exit_code: int, test: str) -> bool:
    """Whether a run says something of its kernel: not where the command line was at fault, the
    host, or the harness. A guest that was lost (status 20 as well) has left a result."""
    if exit_code == ExitCode.HOST and directory is not None:
        told = recorded.load(directory)
        return not told.error and bool(_of(told, test))
    return exit_code in set(ExitCode) - _STOP


def _of(told: Recorded, test: str) -> list[Result]:
    return [one for one in told.results if one.test == test]


class _Seen:
    """Results by what they say."""

    def __init__(self) -> None:
        self.failed = 0
        self.passed = 0
        self.same: list[Result] = []
        self.lost: Counter[str] = Counter()


def _sorted(results: Sequence[Result], wanted: Signature | None) -> _Seen:
    seen = _Seen()
    for one in results:
        if signature.passed(one):
            seen.passed += 1
        elif not signature.failed(one):
            seen.lost[f"{one.outcome}: {one.detail}"] += 1
        elif wanted is None or signature.same(wanted, one):
            seen.failed += 1
            seen.same.append(one)
        else:
            seen.lost[f"another failure: {signature.of(one).words}"] += 1
    return seen


def _reason(exit_code: int, error: str) -> str:
    said = {**_UNTESTABLE, **_LOST}.get(ExitCode(exit_code), f"harness ended with {exit_code}")
    return f"{said}: {error}" if error else said


def _costs(directory: Path) -> dict[str, Any]:
    """Builds, boots and their seconds; which program the kernel is."""
    times: list[datetime] = []
    stages: Counter[str] = Counter()
    events: Counter[str] = Counter()
    built, program = False, ""
    for event in journal.read(directory):
        events[event["event"]] += 1
        times.append(datetime.fromisoformat(event["time"]))
        if event["event"] == "stage":
            stages[event["name"].partition(" ")[0]] += event["duration_s"]
        elif event["event"] == "kernel":
            built = built or not event["cached"]
        elif event["event"] == "program":
            program = event["digest"]
    return {
        "program": program,
        "built": built,
        "boots": events["boot"],
        "build_s": round(stages["kernel"], 3),
        "test_s": round(stages["run"], 3),
        "duration_s": round((max(times) - min(times)).total_seconds(), 3) if times else 0.0,
    }
