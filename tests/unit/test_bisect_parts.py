# SPDX-License-Identifier: GPL-2.0-only
import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from harness import kconfig
from harness.bisect import options, signature, subset, view
from harness.bisect.ends import Tally
from harness.bisect.search import contained
from harness.errors import EndsError
from harness.model import (
    Candidate,
    Outcome,
    Question,
    Result,
    Signature,
    Space,
    Splat,
    Subtest,
    Wish,
)
from tests.unit.bisections import linear

FAILED = Result(test="t", outcome=Outcome.FAIL, kernel="base", boot=1, duration_s=1.0, detail="")


def reported(title: str, *functions: str, first: bool = True) -> Splat:
    return Splat(kind="bug", title=title, fingerprint=("bug", title, *functions), first=first)


def failing(*names: str) -> Result:
    subtests = tuple(Subtest(name=name, outcome=Outcome.FAIL) for name in names)
    return replace(FAILED, subtests=(Subtest(name="fine", outcome=Outcome.PASS), *subtests))


def test_the_same_report_is_the_same_failure_whoever_called() -> None:
    one = replace(FAILED, outcome=Outcome.CRASH, splats=(reported("BUG in aio", "aio_read", "a"),))
    other = replace(FAILED, splats=(reported("BUG in aio", "aio_read", "b"),))
    strange = replace(one, splats=(reported("BUG in pipe", "pipe_read"),))
    assert signature.same(signature.of(one), other)
    assert not signature.same(signature.of(one), strange)
    assert not signature.same(signature.of(one), failing("x"))
    assert signature.of(one).words == "BUG in aio"


def test_damage_of_an_earlier_report_is_not_what_it_is_named_for() -> None:
    both = (reported("late", first=False), reported("cause"))
    assert signature.of(replace(FAILED, splats=both)).splat == ("bug", "cause")


def test_a_subtest_in_common_is_the_same_failure_unless_the_kernel_reports() -> None:
    wanted = signature.of(failing("x", "y"))
    assert signature.same(wanted, failing("y", "z"))
    assert not signature.same(wanted, failing("z"))
    assert not signature.same(wanted, replace(failing("x"), splats=(reported("BUG"),)))


def test_without_either_it_is_how_the_test_failed() -> None:
    wanted = signature.of(FAILED)
    assert signature.same(wanted, replace(FAILED, detail="other words"))
    assert not signature.same(wanted, replace(FAILED, outcome=Outcome.TIMEOUT))
    assert signature.same(wanted, replace(FAILED, outcome=Outcome.XFAIL))


def test_most_failures_say_which_one_is_meant() -> None:
    results = [failing("x"), failing("y"), failing("x"), replace(FAILED, outcome=Outcome.PASS)]
    assert signature.usual(results).subtests == ("x",)
    assert signature.usual(results[3:]) == Signature()


def minimised(count: int, fails: set[subset.Chosen] | None, needed: set[int]) -> subset.Chosen:
    """What delta debugging comes to where a set fails if it has all that is needed; each set is
    tried once."""
    known: dict[subset.Chosen, bool] = {}
    while True:
        left, trial = subset.smallest(count, known)
        if trial is None:
            return left
        assert trial not in known
        known[trial] = trial in fails if fails is not None else needed <= set(trial)


def test_delta_debugging_finds_exactly_what_is_needed() -> None:
    for count in range(1, 9):
        for size in (1, 2, 3):
            for needed in itertools.combinations(range(count), size):
                assert minimised(count, None, set(needed)) == needed


def test_its_answer_fails_no_more_without_any_one_whatever_the_truth() -> None:
    dice = random.Random(7)
    for _ in range(200):
        count = dice.randint(2, 7)
        sets = [
            chosen
            for size in range(1, count + 1)
            for chosen in itertools.combinations(range(count), size)
        ]
        fails = {one for one in sets if dice.random() < 0.2} | {tuple(range(count))}
        found = minimised(count, fails, set())
        assert found in fails
        smaller = [tuple(x for x in found if x != one) for one in found]
        assert len(found) == 1 or not fails.intersection(smaller)


def test_options_come_as_the_bad_end_has_them_and_absent_is_n() -> None:
    good = kconfig.parse("CONFIG_A=y\nCONFIG_OLD=y\nCONFIG_Z=1\n# CONFIG_N is not set\n")
    bad = kconfig.parse("CONFIG_B=y\nCONFIG_A=y\nCONFIG_Z=2\n")
    found = options.between(good, bad)
    assert [(one.name, one.title) for one in found] == [
        ("CONFIG_B", "absent -> y"),
        ("CONFIG_OLD", "y -> absent"),
        ("CONFIG_Z", "1 -> 2"),
    ]
    with pytest.raises(EndsError, match="the same"):
        options.between(good, {**good, "MORE": "n"})


def test_each_option_comes_with_those_before_it(tmp_path: Path) -> None:
    good = {"A": "y", "OLD": "y", "Z": "1"}
    bad = {"B": "y", "A": "y", "Z": "2", "B_MORE": "n"}  # of B: else its default
    options.keep(tmp_path, good, bad)
    asked = replace(linear(1), space=Space.OPTIONS, candidates=options.between(good, bad))
    made = [
        kconfig.parse(options.write(tmp_path, asked, number).read_text()) for number in range(-1, 3)
    ]
    assert made == [
        {**good, "B_MORE": "n"},
        {"A": "y", "OLD": "y", "Z": "1", "B": "y", "B_MORE": "n"},
        {"A": "y", "Z": "1", "B": "y", "B_MORE": "n"},
        {"A": "y", "Z": "2", "B": "y", "B_MORE": "n"},
    ]


def test_what_commits_of_a_history_that_forks_contain() -> None:
    def one(*parents: int) -> Candidate:
        return Candidate(name="", title="", value="", parents=parents)

    assert contained([one(), one(0), one(0), one(1, 2)]) == [0b1, 0b11, 0b101, 0b1111]


def test_a_kernel_that_says_nothing_is_given_up_after_three_tries() -> None:
    assert not Tally(lost=2).given_up
    assert Tally(lost=3).given_up
    assert Tally(lost=3).silent
    assert not Tally(lost=4, passed=1).given_up
    assert Tally(lost=5, passed=4).given_up
    assert not Tally(lost=5, passed=4).silent  # what it has shown counts
    assert not Tally(lost=5, passed=5).given_up
    assert Tally(untestable=True).given_up


def test_candidates_have_short_names() -> None:
    commits: Question = replace(linear(1), good=Candidate(name="a" * 40, title="", value=""))
    patches = replace(linear(12), space=Space.PATCHES)
    assert view.short(commits, -1) == "a" * 12
    assert view.short(patches, 3) == "4/12"
    assert view.where(patches, Wish(number=11, runs=1)) == "bad end"
    assert view.where(patches, Wish(number=11, runs=1, chosen=(0, 1, 2, 6))) == "1-3,7"
