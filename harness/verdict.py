# SPDX-License-Identifier: GPL-2.0-only
"""What two results of one test, base and patched, say together. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from harness import perf
from harness.errors import ExitCode
from harness.model import Mark, Outcome, Result, Row, Run, Settled, Splat, Tally, Verdict

Fingerprint = tuple[str, ...]

BUILD, BOOT = OWN_TESTS = ("build", "boot")
"""Tests of no suite: that a kernel of the series compiles without a new warning, and that it boots.
They are in a report where they fail."""

_NOT_WITH = "fails, but not with"
_GOOD = {Outcome.PASS, Outcome.XFAIL}
_FAILED = {Outcome.FAIL, Outcome.TIMEOUT, Outcome.CRASH, Outcome.XFAIL}  # as it is, on the base
_OLD = {Verdict.PRE_EXISTING, Verdict.FLAKY}


def expect_failure(result: Result, reasons: dict[str, str]) -> Result:
    """A result on the base, judged by the series' `fails-on-base` (test or suite/test -> text):
    xfail when it failed for the stated reason, xpass when it did not fail."""
    short = result.test.partition("/")[2]
    reason = reasons.get(result.test, reasons.get(short))
    if reason is None:
        return result
    if result.outcome is Outcome.PASS:
        detail = "passes on the base, though the series says that it needs the series"
        return replace(result, outcome=Outcome.XPASS, detail=detail)
    if not result.outcome.bad:
        return result
    if reason in result.detail or reason in result.output:
        return replace(result, outcome=Outcome.XFAIL)
    detail = f"{_NOT_WITH} {reason!r}: {result.detail}"
    return replace(result, detail=detail)


def tally(results: Iterable[Result]) -> Tally:
    """How often a test failed, expected or not, of the runs that say something of the kernel."""
    found = Tally()
    for one in results:
        if one.outcome not in (Outcome.SKIP, Outcome.ERROR):
            found = found.plus(one.outcome not in (Outcome.PASS, Outcome.XPASS))
    return found


def is_retold(result: Result) -> bool:
    """The detail is not the test's own any more: expect_failure() has added its words."""
    return result.outcome is Outcome.XPASS or result.detail.startswith(_NOT_WITH)


def rows(
    patched: Iterable[Result],
    base: Iterable[Result],
    settled: Mapping[str, Settled] = MappingProxyType({}),
) -> tuple[Row, ...]:
    """The patched results, a row for each test in the order of its first one, each beside the
    base's of the same test."""
    before = _by_test(base)
    made = []
    for test, results in _by_test(patched).items():
        result = _telling(results)
        old = _telling(before[test]) if test in before else None
        known = settled.get(test)
        first = None if old is None else compare(old, result)
        made.append(
            Row(
                result=result,
                base=old,
                verdict=known.verdict if known else first,
                settled=known,
                all_results=tuple(results),
                metrics=perf.compare(before.get(test, ()), results),
            )
        )
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A step and its results; without `built` its kernel did not compile. `inherited` is as in
    Mark."""

    label: str
    patch: str
    results: tuple[Result, ...] = ()
    inherited: str = ""
    built: bool = True


def inherited(results: Iterable[Result], label: str) -> tuple[Result, ...]:
    """The results of a step whose kernel is the same program as that of `label`'s step. What the
    base was expected to fail with is a failure there."""
    raw = {Outcome.XFAIL: Outcome.FAIL, Outcome.XPASS: Outcome.PASS}
    return tuple(
        replace(one, kernel=label, outcome=raw.get(one.outcome, one.outcome))
        for one in results
        if one.test not in OWN_TESTS
    )


def table(
    columns: Sequence[Column],
    shown: frozenset[Fingerprint],
    settled: Mapping[str, Settled] = MappingProxyType({}),
) -> tuple[Row, ...]:
    """The rows of a report. The last column is what it is about, the first one the base where
    there are several; `shown` are the splats that the base shows, `settled` what reruns say."""
    columns = _with_own_tests(columns)
    tip, before = columns[-1], columns[0].results if len(columns) > 1 else ()
    made = rows([mark(one, shown) for one in tip.results], before, settled)
    if tip.inherited:  # its figures are those of another column
        made = tuple(replace(row, metrics=()) for row in made)
    if not any(column.patch for column in columns):
        return made
    return tuple(_across(row, columns) for row in made)


def _with_own_tests(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns that all say something of building and booting, where one has failed in it."""
    failed = {one.test for column in columns for one in column.results if one.outcome.bad}
    made = []
    for column in columns:
        has = {one.test for one in column.results}
        good = {BUILD: column.built, BOOT: bool(has - set(OWN_TESTS))}
        new = [test for test in OWN_TESTS if good[test] and test in failed - has]
        own = tuple(Result(test=test, outcome=Outcome.PASS, kernel=column.label) for test in new)
        made.append(replace(column, results=own + column.results))
    return tuple(made)


def _across(row: Row, columns: Sequence[Column]) -> Row:
    """A row with what its test did on the kernel of each step."""
    marks = []
    for column in columns:
        mine = [one for one in column.results if one.test == row.result.test]
        one = _telling(mine) if mine else None
        marks.append(
            Mark(
                label=column.label,
                patch=column.patch,
                outcome=one.outcome if one else None,
                detail=one.detail if one else "",
                inherited="" if row.result.test in OWN_TESTS else column.inherited,
            )
        )
    # What reruns have shown to be none of the series has no patch that did it.
    first_bad = "" if row.settled and row.verdict in _OLD else _first_bad(marks)
    return replace(row, marks=tuple(marks), first_bad=first_bad)


def _first_bad(marks: Sequence[Mark]) -> str:
    """The patch at which a test turned bad; empty where none did."""
    before: Outcome | None = None
    for mark in marks:
        if mark.outcome is None:
            continue
        if mark.outcome.bad and mark.patch and before not in _FAILED:
            return mark.patch
        before = mark.outcome
    return ""


def fingerprints(base: Iterable[Result], stray: Iterable[Splat] = ()) -> frozenset[Fingerprint]:
    """Of all splats that the base shows, in its tests and outside of them."""
    inside = (splat for one in base for splat in one.splats)
    return frozenset(splat.fingerprint for splat in (*inside, *stray))


def marked(splats: Iterable[Splat], shown: frozenset[Fingerprint]) -> tuple[Splat, ...]:
    """Splats of the patched kernel, those marked that the base shows too."""
    return tuple(replace(splat, on_base=splat.fingerprint in shown) for splat in splats)


def mark(result: Result, shown: frozenset[Fingerprint]) -> Result:
    """A result with its splats marked."""
    return replace(result, splats=marked(result.splats, shown)) if result.splats else result


def _by_test(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.test, []).append(result)
    return found


def _telling(results: list[Result]) -> Result:
    """The one of several results of a test that says most: the first bad one, else the last."""
    return next((one for one in results if one.outcome.bad), results[-1])


def compare(base: Result, patched: Result) -> Verdict | None:
    """What the series changed for one test; None where nothing is to be said (both good)."""
    if Outcome.ERROR in (base.outcome, patched.outcome):
        return Verdict.UNKNOWN
    failed_before = base.outcome in _FAILED
    if patched.outcome.bad:
        if not failed_before:
            return Verdict.UNKNOWN if base.outcome is Outcome.SKIP else Verdict.NEW
        same = _signature(base) == _signature(patched)
        return Verdict.PRE_EXISTING if same else Verdict.CHANGED
    if failed_before:
        return Verdict.FIXED if patched.outcome in _GOOD else Verdict.UNKNOWN
    return None


def alike(base: Sequence[Result], patched: Sequence[Result]) -> Verdict:
    """Of a test that always fails on both: pre-existing where it failed on the base as it does with
    the series, once at least."""
    before = {_signature(one) for one in base}
    same = any(_signature(one) in before for one in patched)
    return Verdict.PRE_EXISTING if same else Verdict.CHANGED


def _signature(result: Result) -> tuple[object, ...]:
    """How a test failed: by the kernel's words when there were any, else by which subtests."""
    if result.splats:
        return tuple(splat.fingerprint for splat in result.splats)
    outcome = Outcome.FAIL if result.outcome is Outcome.XFAIL else result.outcome
    return (outcome, *(one.name for one in result.subtests if one.outcome.bad))


def exit_code(run: Run, *, new_only: bool = False) -> ExitCode:
    """The exit status of a finished run (docs/design.md)."""
    table = run.rows
    outcomes = [row.result.outcome for row in table]
    bad = [
        row
        for row in table
        if row.first_bad or (row.result.outcome.bad and not (new_only and row.verdict in _OLD))
    ]
    if (
        bad
        or any(not splat.on_base for splat in run.stray)
        or any(row.base is not None and row.base.outcome is Outcome.XPASS for row in table)
    ):
        return ExitCode.FAILED
    if Outcome.ERROR in outcomes:
        return ExitCode.HOST
    if not any(outcome is not Outcome.SKIP for outcome in outcomes):
        return ExitCode.NOTHING_RAN
    return ExitCode.OK
