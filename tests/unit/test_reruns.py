# SPDX-License-Identifier: GPL-2.0-only
"""What is run again, how often, and what is said of it in the end."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import reruns, verdict
from harness.errors import BootError
from harness.model import (
    Outcome,
    Reruns,
    Result,
    Series,
    Settled,
    Splat,
    Step,
    Tally,
    Verdict,
)
from harness.model import Test as PlannedTest
from harness.record import Record
from harness.recorded import load
from harness.stages import Stages

PASS, FAIL, CRASH = Outcome.PASS, Outcome.FAIL, Outcome.CRASH
XFAIL, ERROR, SKIP = Outcome.XFAIL, Outcome.ERROR, Outcome.SKIP
TEST = PlannedTest(name="s/t", argv=("t",))
Roll = Callable[[], Outcome]


class Kernel:
    """An execution whose tests come out as `roll` says; `passes` counts how often it was asked."""

    def __init__(self, label: str, roll: Roll, first: Sequence[Outcome] | None = None) -> None:
        self._roll = roll
        self._label = label
        self.passes = 0
        self.results = [self._result(one) for one in first or [roll()]]

    def _result(self, outcome: Outcome) -> Result:
        splats = (Splat(kind="bug", title="BUG", fingerprint=("b",)),) if outcome is CRASH else ()
        return Result(test="s/t", outcome=outcome, kernel=self._label, splats=splats)

    def run_again(self, tests: Sequence[PlannedTest]) -> None:
        self.passes += 1
        self.results += [self._result(self._roll()) for _ in tests]


class Quiet:
    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def settle(tmp_path: Path, base: Kernel, tip: Kernel, **limits: Any) -> Settled | None:
    columns = [
        verdict.Column(label="base", patch="", results=tuple(base.results)),
        verdict.Column(label="tip", patch="p", results=tuple(tip.results)),
    ]
    rows = verdict.table(columns, frozenset())
    executions: Any = {"base": base, "tip": tip}
    doubtful = reruns.doubts(rows, [TEST], {}, executions)
    watch: Any = Quiet()
    with Record(tmp_path, series="s", base="b", kconfig="k") as record:
        record.plan(
            [Step(label="base", stack=Series(name="s")), Step(label="tip", stack=Series(name="s"))],
            [TEST],
        )
        for one in (*base.results, *tip.results):
            record.result(one)
        judge = reruns.Judge(executions, record, Stages(record, watch))
        judge.settle(doubtful, Reruns(**limits))
        found = judge.settled.get("s/t")
    assert load(record.path).run.rows[0].settled == found, "and it is in the journal"
    return found


def always(outcome: Outcome) -> Roll:
    return lambda: outcome


def at_times(rate: float, seed: int = 1) -> Roll:
    source = random.Random(seed)
    return lambda: FAIL if source.random() < rate else PASS


@pytest.mark.parametrize(
    ("base", "tip", "expected"),
    [
        (PASS, FAIL, Verdict.NEW),
        (FAIL, PASS, Verdict.FIXED),
        (FAIL, FAIL, Verdict.PRE_EXISTING),
        (FAIL, CRASH, Verdict.CHANGED),
        (XFAIL, FAIL, Verdict.PRE_EXISTING),
    ],
)
def test_what_never_varies(tmp_path: Path, base: Outcome, tip: Outcome, expected: Verdict) -> None:
    found = settle(tmp_path, Kernel("base", always(base)), Kernel("tip", always(tip)))
    assert found is not None and found.verdict is expected
    assert found.patched.runs <= 8 and found.base.runs <= 8


@pytest.mark.parametrize(
    ("base", "tip"), [(PASS, PASS), (XFAIL, PASS), (SKIP, FAIL), (ERROR, FAIL), (FAIL, SKIP)]
)
def test_what_is_not_run_again(tmp_path: Path, base: Outcome, tip: Outcome) -> None:
    kernels = Kernel("base", always(base)), Kernel("tip", always(tip))
    assert settle(tmp_path, *kernels) is None
    assert [kernel.passes for kernel in kernels] == [0, 0]


def test_flaky_on_both_and_new_on_one(tmp_path: Path) -> None:
    flaky = settle(
        tmp_path,
        Kernel("base", at_times(0.5, 2), [PASS]),
        Kernel("tip", at_times(0.5, 3), [FAIL]),
    )
    new = settle(tmp_path, Kernel("base", always(PASS)), Kernel("tip", at_times(0.5), [FAIL]))
    assert flaky is not None and flaky.verdict is Verdict.FLAKY and flaky.probability < 0.2
    assert new is not None and new.verdict is Verdict.NEW and new.probability > 0.99


def test_the_other_kernel_is_run_twice_for_each_run_of_the_suspect(tmp_path: Path) -> None:
    base, tip = Kernel("base", always(PASS)), Kernel("tip", always(FAIL))
    settle(tmp_path, base, tip)
    assert base.passes == 2 * tip.passes > 0


def test_reruns_have_their_limits(tmp_path: Path) -> None:
    base, tip = Kernel("base", always(PASS)), Kernel("tip", at_times(0.1), [FAIL])
    ended = settle(tmp_path, base, tip, most=2)
    assert tip.passes == 2 and ended is not None and ended.verdict is not Verdict.UNKNOWN
    base, tip = Kernel("base", always(PASS)), Kernel("tip", always(FAIL))
    unknown = settle(tmp_path, base, tip, budget_s=0.0)
    assert tip.passes == 0 and unknown is not None and unknown.verdict is Verdict.UNKNOWN


def test_a_guest_that_does_not_come_back_leaves_it_open(tmp_path: Path) -> None:
    def dies() -> Outcome:
        raise BootError("the guest did not boot")

    base, tip = Kernel("base", dies, [PASS]), Kernel("tip", always(FAIL))
    found = settle(tmp_path, base, tip)
    assert found is not None and found.verdict is Verdict.UNKNOWN
    assert (found.base, found.patched) == (Tally(runs=1), Tally(failed=1, runs=1))


def test_inherited_results_are_not_compared_with_themselves() -> None:
    columns = [
        verdict.Column(label="base", patch="", results=(Result(test="s/t", outcome=FAIL),)),
        verdict.Column(
            label="tip",
            patch="p",
            results=(Result(test="s/t", outcome=FAIL, kernel="tip"),),
            inherited="base",
        ),
    ]
    rows = verdict.table(columns, frozenset())
    assert reruns.doubts(rows, [TEST], {"tip": "base"}, ["base"]) == []


def test_the_patch_that_is_bad_and_mended_is_what_is_run_again() -> None:
    columns = [
        verdict.Column(
            label=label,
            patch=label,
            results=(Result(test="s/t", outcome=outcome, kernel=label),),
        )
        for label, outcome in (("base", PASS), ("0001", FAIL), ("0002", FAIL), ("tip", PASS))
    ]
    rows = verdict.table(columns, frozenset())
    (doubt,) = reruns.doubts(rows, [TEST], {"0001": "0002"}, ["base", "0002", "tip"])
    assert (doubt.label, doubt.fixed, doubt.suspect, doubt.other) == ("0002", False, "0002", "base")


def test_what_is_decided_stays_when_somebody_interrupts(tmp_path: Path) -> None:
    def interrupts() -> Outcome:
        raise KeyboardInterrupt

    base, tip = Kernel("base", interrupts, [PASS] * 9), Kernel("tip", always(FAIL), [FAIL])
    executions: Any = {"base": base, "tip": tip}
    doubt = reruns.Doubt(test=TEST, label="tip", fixed=False)
    with Record(tmp_path, series="s", base="b", kconfig="k") as record:
        judge = reruns.Judge(executions, record, Stages(record, Quiet()))
        with pytest.raises(KeyboardInterrupt):
            judge.settle([doubt], Reruns())
    assert judge.settled["s/t"].verdict is Verdict.UNKNOWN
    assert judge.settled["s/t"].base == Tally(runs=9)
    assert '"settled"' in (record.path / "journal.jsonl").read_text()


def test_of_repeated_runs_the_one_that_failed_more_often_is_asked_about(tmp_path: Path) -> None:
    base = Kernel("base", always(FAIL), [FAIL] * 9)
    tip = Kernel("tip", always(PASS), [FAIL, *[PASS] * 9])
    found = settle(tmp_path, base, tip)
    assert found is not None and found.verdict is Verdict.FIXED
