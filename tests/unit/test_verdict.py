# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path
from typing import Any

import pytest

from harness import verdict
from harness.errors import ExitCode
from harness.model import (
    Outcome,
    Result,
    Row,
    Run,
    Settled,
    Splat,
    Subtest,
    Tally,
    Verdict,
)

PASS, FAIL, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
XFAIL, XPASS, ERROR = Outcome.XFAIL, Outcome.XPASS, Outcome.ERROR


def result(outcome: Outcome, *, bad: str = "", detail: str = "") -> Result:
    subtests = (Subtest(name=bad, outcome=FAIL),) if bad else ()
    return Result(test="s/t", outcome=outcome, subtests=subtests, detail=detail)


@pytest.mark.parametrize(
    ("base", "patched", "expected"),
    [
        (result(PASS), result(PASS), None),
        (result(PASS), result(FAIL), Verdict.NEW),
        (result(FAIL), result(PASS), Verdict.FIXED),
        (result(XFAIL), result(PASS), Verdict.FIXED),
        (result(FAIL, bad="a"), result(FAIL, bad="a"), Verdict.PRE_EXISTING),
        (result(XFAIL, bad="a"), result(FAIL, bad="a"), Verdict.PRE_EXISTING),
        (result(FAIL, bad="a"), result(FAIL, bad="b"), Verdict.CHANGED),
        (result(FAIL), result(Outcome.CRASH), Verdict.CHANGED),
        (result(SKIP), result(FAIL), Verdict.UNKNOWN),
        (result(FAIL), result(SKIP), Verdict.UNKNOWN),
        (result(ERROR), result(PASS), Verdict.UNKNOWN),
    ],
)
def test_what_the_series_changed(base: Result, patched: Result, expected: Verdict | None) -> None:
    assert verdict.compare(base, patched) is expected


def test_a_failure_on_the_base_must_have_its_stated_reason() -> None:
    reasons = {"t": "EINVAL"}
    right = verdict.expect_failure(result(FAIL, detail="io_submit: EINVAL"), reasons)
    wrong = verdict.expect_failure(result(FAIL, detail="io_setup: ENOMEM"), reasons)
    fine = verdict.expect_failure(result(PASS), reasons)
    assert [one.outcome for one in (right, wrong, fine)] == [XFAIL, FAIL, XPASS]
    assert "ENOMEM" in wrong.detail and "EINVAL" in wrong.detail
    assert verdict.expect_failure(result(FAIL), {"other": ""}).outcome is FAIL


def run(*rows: Row, stray: tuple[Splat, ...] = ()) -> Run:
    return Run(
        directory=Path("/r"),
        series="s",
        base="6.12",
        kernel_release="6.12.7",
        guest="vng",
        accel="tcg",
        rows=rows,
        stray=stray,
    )


def row(patched: Outcome, base: Outcome | None = None, said: Verdict | None = None) -> Row:
    return Row(result=result(patched), base=result(base) if base else None, verdict=said)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ((row(PASS), row(SKIP)), ExitCode.OK),
        ((row(PASS), row(FAIL)), ExitCode.FAILED),
        ((row(PASS, XFAIL),), ExitCode.OK),
        ((row(PASS, XPASS),), ExitCode.FAILED),
        ((row(PASS, FAIL),), ExitCode.OK),
        ((row(ERROR), row(FAIL)), ExitCode.FAILED),
        ((row(ERROR), row(PASS)), ExitCode.HOST),
        ((row(SKIP),), ExitCode.NOTHING_RAN),
        ((), ExitCode.NOTHING_RAN),
    ],
)
def test_exit_codes(rows: tuple[Row, ...], code: ExitCode) -> None:
    assert verdict.exit_code(run(*rows)) is code


def test_new_only_forgives_what_the_base_shows_alike() -> None:
    old = row(FAIL, FAIL, Verdict.PRE_EXISTING)
    assert verdict.exit_code(run(old)) is ExitCode.FAILED
    assert verdict.exit_code(run(old), new_only=True) is ExitCode.OK
    assert verdict.exit_code(run(old, row(FAIL, PASS, Verdict.NEW)), new_only=True) == 1


def test_a_splat_outside_of_the_tests_is_a_failure() -> None:
    splat = Splat(kind="warning", title="WARNING in f")
    assert verdict.exit_code(run(row(PASS), stray=(splat,))) is ExitCode.FAILED


def test_a_splat_that_the_base_shows_too_is_marked_in_whatever_test_it_came() -> None:
    old = Splat(kind="warning", title="WARNING in f", fingerprint=("warning", "f"), line_from=3)
    new = Splat(kind="warning", title="WARNING in g", fingerprint=("warning", "g"))
    base = Result(test="s/other", outcome=FAIL, splats=(old,))
    tip = Result(test="s/t", outcome=FAIL, splats=(new, old))
    shown = verdict.fingerprints([base])
    assert [splat.on_base for splat in verdict.mark(tip, shown).splats] == [False, True]
    assert verdict.marked([new], verdict.fingerprints([], [new]))[0].on_base


def test_what_the_base_shows_outside_of_the_tests_is_no_failure_of_the_series() -> None:
    splat = Splat(kind="warning", title="WARNING in f", on_base=True)
    assert verdict.exit_code(run(row(PASS), stray=(splat,))) is ExitCode.OK


def column(label: str, *outcomes: Outcome, **more: Any) -> verdict.Column:
    """Results of tests a, b, c on a step; its patch is named after it."""
    results = tuple(
        Result(test=name, outcome=one, kernel=label, detail=f"why on {label}")
        for name, one in zip("abc", outcomes, strict=False)
    )
    patch = "" if label == "base" else f"{label}-patch"
    return verdict.Column(label=label, patch=patch, results=results, **more)


def test_the_first_bad_patch_of_each_test() -> None:
    columns = [
        column("base", PASS, FAIL, XFAIL),
        column("0001", PASS, FAIL, FAIL),
        column("0002", FAIL, PASS, PASS),
        column("0003", FAIL, FAIL, PASS),
        column("tip", PASS, FAIL, PASS),
    ]
    table = verdict.table(columns, frozenset())
    assert [row.first_bad for row in table] == ["0002-patch", "0003-patch", ""]
    assert [mark.outcome for mark in table[0].marks] == [PASS, PASS, FAIL, FAIL, PASS]
    assert table[0].marks[2].detail == "why on 0002"
    assert verdict.exit_code(run(table[0])) is ExitCode.FAILED, "though it passes in the end"
    assert verdict.exit_code(run(table[2])) is ExitCode.OK


def test_a_step_that_does_not_build_is_passed_over() -> None:
    broken = Result(test=verdict.BUILD, outcome=FAIL, kernel="0001")
    columns = [
        column("base", PASS),
        verdict.Column(label="0001", patch="0001-patch", results=(broken,), built=False),
        column("tip", FAIL),
    ]
    build, test = verdict.table(columns, frozenset())
    assert (build.result.test, build.first_bad) == (verdict.BUILD, "0001-patch")
    assert [mark.outcome for mark in build.marks] == [PASS, FAIL, PASS]
    assert [mark.outcome for mark in test.marks] == [PASS, None, FAIL]
    assert test.first_bad == "tip-patch"


def test_a_step_that_does_not_boot_has_no_results() -> None:
    dead = Result(test=verdict.BOOT, outcome=FAIL, kernel="0001")
    columns = [
        column("base", PASS),
        verdict.Column(label="0001", patch="0001-patch", results=(dead,)),
        column("tip", PASS),
    ]
    boot, test = verdict.table(columns, frozenset())
    assert (boot.first_bad, test.first_bad) == ("0001-patch", "")
    assert verdict.exit_code(run(boot, test)) is ExitCode.FAILED


def test_results_of_the_same_program_are_inherited_without_expectations() -> None:
    warned = Result(test=verdict.BUILD, outcome=FAIL, kernel="base")
    base = (*column("base", PASS, XFAIL, XPASS).results, warned)
    got = verdict.inherited(base, "tip")
    assert [(one.test, one.outcome, one.kernel) for one in got] == [
        ("a", PASS, "tip"),
        ("b", FAIL, "tip"),
        ("c", PASS, "tip"),
    ]
    columns = [column("base", PASS), column("0001", PASS, inherited="base"), column("tip", PASS)]
    (row,) = verdict.table(columns, frozenset())
    assert [mark.inherited for mark in row.marks] == ["", "base", ""]


def test_what_never_came_so_far_is_no_pass() -> None:
    broken = Result(test=verdict.BUILD, outcome=FAIL, kernel="0001")
    dead = Result(test=verdict.BOOT, outcome=FAIL, kernel="0002")
    columns = [
        column("base", PASS),
        verdict.Column(label="0001", patch="0001-patch", results=(broken,), built=False),
        verdict.Column(label="0002", patch="0002-patch", results=(dead,)),
        verdict.Column(label="tip", patch="tip-patch", results=(broken, dead), built=False),
    ]
    rows = {row.result.test: row for row in verdict.table(columns, frozenset())}
    outcomes = {test: [mark.outcome for mark in row.marks] for test, row in rows.items()}
    assert outcomes == {
        verdict.BUILD: [PASS, FAIL, PASS, FAIL],
        verdict.BOOT: [PASS, None, FAIL, FAIL],
    }


def test_a_flaky_test_has_no_bad_patch() -> None:
    known = Settled(
        test="a",
        step="tip",
        verdict=Verdict.FLAKY,
        probability=0.1,
        base=Tally(failed=2, runs=9),
        patched=Tally(failed=1, runs=5),
    )
    columns = [column("base", PASS), column("0001", PASS), column("tip", FAIL)]
    (row,) = verdict.table(columns, frozenset(), {"a": known})
    assert (row.first_bad, row.verdict) == ("", Verdict.FLAKY)
    assert verdict.exit_code(run(row), new_only=True) is ExitCode.OK
    assert verdict.exit_code(run(row)) is ExitCode.FAILED


def test_what_was_to_fail_on_the_base_and_did_not_is_new_with_the_series() -> None:
    columns = [column("base", XPASS), column("0001", FAIL), column("tip", FAIL)]
    (row,) = verdict.table(columns, frozenset())
    assert (row.verdict, row.first_bad) == (Verdict.NEW, "0001-patch")


def test_one_patch_has_its_mark_too() -> None:
    (row,) = verdict.table([column("base", PASS), column("tip", FAIL)], frozenset())
    assert row.first_bad == "tip-patch"
