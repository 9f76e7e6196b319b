# SPDX-License-Identifier: GPL-2.0-only
"""Which tests run, in which order, how often."""

import pytest

from harness import model, plan
from harness.errors import NothingRanError
from harness.model import Outcome, Result, Rounds

ONE, TWO = model.Test(name="area/one", argv=("1",)), model.Test(name="area/two[a]", argv=("2",))


def run(rounds: Rounds, *outcomes: Outcome) -> list[tuple[int, str]]:
    """What a queue of ONE and TWO, a group each, gives out while tests end like this."""
    queue = plan.Queue([(ONE,), (TWO,)], rounds)
    seen: list[tuple[int, str]] = []
    for outcome in outcomes:
        taken = queue.take()
        if taken is None:
            break
        (test,), number = taken
        seen.append((number, test.name))
        queue.done(Result(test=test.name, outcome=outcome))
    return seen


P, F = Outcome.PASS, Outcome.FAIL


def test_once_without_a_wish() -> None:
    assert run(Rounds(), *[P] * 9) == [(1, ONE.name), (1, TWO.name)]


def test_a_failure_does_not_end_the_plan() -> None:
    assert len(run(Rounds(count=3), *[F] * 9)) == 6


def test_fail_fast_ends_at_the_failure() -> None:
    assert len(run(Rounds(count=3, fail_fast=True), P, P, F, P)) == 3


def test_until_fail_ends_with_the_round_of_the_failure() -> None:
    rounds = Rounds(count=0, until_fail=True)
    assert [number for number, _ in run(rounds, P, P, P, P, F, P, P, P)] == [1, 1, 2, 2, 3, 3]


def test_without_end_until_something_fails() -> None:
    assert len(run(Rounds(count=0, until_fail=True), *[P] * 50)) == 50


def test_until_fail_is_bounded_by_repeat() -> None:
    assert len(run(Rounds(count=2, until_fail=True), *[P] * 50)) == 4


def test_names_match_whole_or_without_suite_and_with_brackets() -> None:
    for glob in ("area/*", "two*", "area/two[a]", "two[a]"):
        assert TWO in plan.select((ONE, TWO), [glob])
    with pytest.raises(NothingRanError, match="no test matches three"):
        plan.select((ONE, TWO), ["three"])


def named(name: str, isolation: str = "run") -> model.Test:
    return model.Test(name=name, argv=("x",), isolation=isolation)


def names(groups: tuple[tuple[model.Test, ...], ...]) -> list[list[str]]:
    return [[test.name for test in group] for group in groups]


def test_groups_are_what_suites_say_of_isolation() -> None:
    run_, suite, alone = ("run", "suite", "test")
    tests = [named("a/1"), named("a/2"), named("b/1", suite), named("b/2", suite)]
    tests += [named("c/1", alone), named("c/2", alone), named("d/1", run_)]
    together = plan.groups(tests, lambda one, other: True)
    assert names(together) == [["a/1", "a/2"], ["b/1", "b/2"], ["c/1"], ["c/2"], ["d/1"]]


def test_groups_are_split_where_a_guest_does_not_fit() -> None:
    tests = [named("a/1"), named("a/2"), named("a/3")]
    split = plan.groups(tests, lambda one, other: other.name != "a/2")
    assert names(split) == [["a/1"], ["a/2", "a/3"]]
