# SPDX-License-Identifier: GPL-2.0-only
"""What is known of the culprit is Bayes' rule, and the search by it is short and right."""

import math
import random
from collections.abc import Iterable

import pytest

from bench import bisect_simulation as simulation
from harness import posterior, stats
from harness.posterior import Posterior, Probe, Seen

ALWAYS = Seen(failed=posterior.bad_end_runs(Seen()))
Runs = Iterable[tuple[int, Seen]]


def free(_commit: int) -> float:
    return 0.0


def dear(_commit: int) -> float:
    return 300.0


def by_hand(contains: list[int], runs: Runs, steps: int = 20_000) -> tuple[list[float], float]:
    """The probability of each culprit and the mean rate, with p summed over a grid. The grid is
    even in the square root of p, as the density of p has a pole at 0."""
    weights, rates = [], []
    for culprit in range(len(contains)):
        failed = passed = stray = 0
        for commit, seen in runs:
            if contains[commit] >> culprit & 1:
                failed, passed = failed + seen.failed, passed + seen.passed
            else:
                stray += seen.failed
        total = mean = 0.0
        for step in range(steps):
            root = (step + 0.5) / steps
            p = root * root
            # Beta(1/2, 2) is 3/4 (1 - p) / sqrt(p), and dp is 2 sqrt(p) droot.
            one = 0.05 * 1.5 * (1 - p) / steps * p**failed * (1 - p) ** passed
            total, mean = total + one, mean + one * p
        if not passed:
            total, mean = total + 0.95, mean + 0.95
        weights.append(total * 1e-6**stray)
        rates.append(mean * 1e-6**stray)
    every = sum(weights)
    return [weight / every for weight in weights], sum(rates) / every


FORKED = [0b1, 0b11, 0b101, 0b1111, 0b11111]  # 1 and 2 are branches, 3 joins them


@pytest.mark.parametrize("contains", [posterior.line(5), FORKED], ids=["line", "forked"])
@pytest.mark.parametrize(
    "runs",
    [
        [(4, Seen(failed=3))],
        [(4, Seen(failed=3)), (1, Seen(passed=1)), (3, Seen(failed=1))],
        [(4, Seen(failed=2, passed=5)), (2, Seen(passed=4)), (1, Seen(passed=3))],
        [(4, Seen(failed=1, passed=9)), (1, Seen(failed=1, passed=1)), (2, Seen(passed=30))],
        [(4, Seen(failed=2)), (1, Seen(failed=1)), (2, Seen(failed=1)), (0, Seen(passed=7))],
    ],
)
def test_the_posterior_is_bayes_rule(contains: list[int], runs: list[tuple[int, Seen]]) -> None:
    known = Posterior(contains)
    for commit, seen in runs:
        known.add(commit, seen)
    shares, rate = by_hand(contains, runs)
    for x, share in enumerate(shares):
        assert known.probability(x) == pytest.approx(share, rel=1e-4, abs=1e-12)
        inside = sum(other for y, other in enumerate(shares) if contains[x] >> y & 1)
        assert known.inside(x) == pytest.approx(inside, rel=1e-4)
    assert known.rate == pytest.approx(rate, rel=1e-4)
    assert known.culprits().probability == pytest.approx(max(shares), rel=1e-4)


def test_more_runs_of_a_commit_are_as_good_at_once() -> None:
    one, other = Posterior(posterior.line(4)), Posterior(posterior.line(4))
    one.add(3, Seen(failed=3, passed=4))
    for seen in (Seen(failed=1), Seen(passed=4), Seen(failed=2)):
        other.add(3, seen)
    assert one.seen(3) == other.seen(3)
    assert one.rate == pytest.approx(other.rate)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 33])
def test_what_always_fails_takes_one_run_for_each_halving(count: int) -> None:
    for culprit in range(count):
        known = Posterior(posterior.line(count))
        known.add(count - 1, ALWAYS)
        steps = 0
        while not known.settled(0.99):
            probe = known.next(dear)
            assert probe is not None
            assert probe.runs == 1
            assert known.seen(probe.commit) == Seen()
            fails = culprit <= probe.commit
            known.add(probe.commit, Seen(failed=fails, passed=not fails))
            steps += 1
        assert known.culprits().commits == (culprit,)
        assert steps <= math.ceil(math.log2(count))


@pytest.mark.parametrize("culprit", [0, 511, 512, 700, 1023])
def test_a_thousand_commits_take_ten_runs(culprit: int) -> None:
    known = Posterior(posterior.line(1024))
    known.add(1023, ALWAYS)
    for _ in range(10):
        probe = known.next(dear)
        assert probe is not None
        fails = culprit <= probe.commit
        known.add(probe.commit, Seen(failed=fails, passed=not fails))
    assert known.culprits().commits == (culprit,)
    assert known.settled(0.99)


def test_a_kernel_that_is_built_is_worth_a_detour() -> None:
    known = Posterior(posterior.line(64))
    known.add(63, ALWAYS)
    middle = known.next(dear)
    cheap = known.next(lambda x: 0.0 if x == 20 else 300.0)
    assert middle is not None
    assert middle.commit in (31, 32)
    assert cheap == Probe(commit=20, runs=1)


def test_what_fails_at_times_is_run_more_than_once() -> None:
    known = Posterior(posterior.line(64))
    known.add(63, Seen(failed=6, passed=54))
    probe = known.next(dear)
    assert probe is not None
    assert probe.runs > 10
    probe = known.next(free)
    assert probe is not None
    assert probe.runs < 10


def searched(contains: list[int], culprit: int, broken: set[int]) -> Posterior:
    """The end of a search for what always fails."""
    known = Posterior(contains)
    known.add(len(contains) - 1, ALWAYS)
    while not known.settled(0.99):
        probe = known.next(dear)
        assert probe is not None
        assert known.testable(probe.commit)
        if probe.commit in broken:
            known.skip(probe.commit)
            continue
        fails = contains[probe.commit] >> culprit & 1
        known.add(probe.commit, Seen(failed=fails, passed=1 - fails))
    return known


def test_what_cannot_be_tested_is_reported_with_its_neighbour() -> None:
    broken = {10, 11, 12}
    for culprit in range(32):
        known = searched(posterior.line(32), culprit, broken)
        expected = (10, 11, 12, 13) if culprit in (10, 11, 12, 13) else (culprit,)
        assert known.culprits().commits == expected
        assert known.culprits().probability >= 0.99


def test_the_search_leaves_a_stretch_that_cannot_be_tested() -> None:
    broken = set(range(300, 640))
    known = Posterior(posterior.line(1024))
    known.add(1023, ALWAYS)
    tries = 0
    while (probe := known.next(dear)) and probe.commit in broken:
        known.skip(probe.commit)
        tries += 1
    assert 0 < tries <= 8


def test_a_tested_commit_ends_such_a_stretch() -> None:
    known = Posterior(posterior.line(100))
    known.add(99, ALWAYS)
    known.skip(50)
    near = known.next(dear)
    assert near is not None
    assert 0 < abs(near.commit - 50) < 20
    known.add(52, Seen(passed=1))
    after = known.next(dear)
    assert after is not None
    assert after.commit in (74, 75, 76)


def test_a_history_that_forks_is_searched_too() -> None:
    dice = random.Random(4)
    contains = simulation.forked(40, dice)
    for culprit in range(40):
        assert searched(contains, culprit, set()).culprits().commits == (culprit,)


def test_what_is_hidden_in_a_fork() -> None:
    # 1 and 2 are branches from 0: neither contains the other, so 3 can't speak for one of them.
    known = Posterior([0b1, 0b11, 0b101, 0b1111])
    known.add(3, ALWAYS)
    known.add(0, Seen(passed=1))
    known.skip(1)
    known.add(2, Seen(passed=1))
    assert known.culprits().commits == (1, 3)
    assert known.settled(0.99)


def test_commits_with_the_same_image_are_one() -> None:
    known = Posterior(posterior.line(8))
    known.add(7, ALWAYS)
    known.same(2, 5)  # 3, 4 and 5 change nothing
    assert sum(known.probability(x) for x in (3, 4, 5)) < 1e-6
    known.add(2, Seen(passed=1))
    assert known.seen(5) == Seen(passed=1)
    assert known.inside(5) < 0.01
    asked = set()
    while probe := known.next(free):
        asked.add(probe.commit)
        known.add(probe.commit, Seen(failed=1))
        if known.settled(0.99):
            break
    assert not asked & {3, 4, 5}
    assert known.culprits().commits == (6,)


def test_runs_of_both_count_once() -> None:
    one, other = Posterior(posterior.line(8)), Posterior(posterior.line(8))
    for known in (one, other):
        known.add(7, Seen(failed=3, passed=6))
    one.add(2, Seen(passed=3))
    one.add(4, Seen(passed=2))
    one.same(2, 4)
    other.same(4, 2)
    other.add(4, Seen(passed=5))
    assert one.seen(2) == one.seen(4) == other.seen(2) == Seen(passed=5)
    for x in range(8):
        assert one.probability(x) == pytest.approx(other.probability(x), abs=1e-9)


def test_an_image_that_cannot_be_tested_is_so_wherever_it_is() -> None:
    known = Posterior(posterior.line(8))
    known.same(2, 4)
    known.skip(4)
    assert not known.testable(2)
    assert known.testable(3)


def test_all_images_the_same_is_no_error() -> None:
    known = Posterior(FORKED)
    known.same(1, 4)
    known.same(2, 4)
    known.same(0, 4)
    assert math.isfinite(sum(known.probability(x) for x in range(5)))


def test_a_second_probe_goes_where_the_first_does_not_tell() -> None:
    known = Posterior(posterior.line(64))
    known.add(63, ALWAYS)
    first = known.next(dear)
    assert first is not None
    second = known.next(dear, [first])
    assert second is not None
    assert abs(second.commit - first.commit) in range(14, 19)
    third = known.next(dear, [first, second])
    assert third is not None
    assert abs(third.commit - second.commit) in range(29, 35)


def test_what_seems_to_fail_always_is_checked_once() -> None:
    known = searched(posterior.line(16), 9, set())
    check = known.check()
    assert check is not None
    assert check.commit == 8
    known.add(8, Seen(passed=check.runs))
    assert known.check() is None
    assert known.culprits().commits == (9,)


def test_a_check_that_fails_goes_on_with_the_search() -> None:
    known = searched(posterior.line(16), 9, set())
    known.add(8, Seen(failed=1))
    assert not known.settled(0.99)
    assert known.always < 0.05
    assert known.inside(8) > 0.95
    assert known.next(dear) is not None


def test_a_flaky_failure_needs_no_check() -> None:
    known = Posterior(posterior.line(4))
    known.add(3, Seen(failed=6, passed=6))
    known.add(1, Seen(passed=20))
    known.add(2, Seen(failed=2))
    assert known.settled(0.99)
    assert known.check() is None


def test_nothing_tells_more() -> None:
    known = Posterior(posterior.line(4))
    known.add(3, ALWAYS)
    for x in range(3):
        known.skip(x)
    assert known.next(free) is None
    assert known.culprits().commits == (0, 1, 2, 3)
    assert known.settled(0.99)
    assert Posterior(posterior.line(1)).next(free) is None


def test_the_bad_end_is_run_until_its_rate_is_known() -> None:
    assert posterior.bad_end_runs(ALWAYS) == 0
    assert posterior.bad_end_runs(Seen(failed=3)) == ALWAYS.failed - 3
    assert posterior.bad_end_runs(Seen(failed=3, passed=3)) > 0
    assert posterior.bad_end_runs(Seen(failed=60, passed=600)) == 0
    assert posterior.bad_end_runs(Seen(passed=100)) > 0
    assert posterior.bad_end_runs(Seen(passed=1000)) == 0


def test_the_good_end_must_pass_as_often_as_the_bad_one_is_seldom_bad() -> None:
    assert posterior.good_end_runs(ALWAYS, 0.99) == 1
    often = posterior.good_end_runs(Seen(failed=6, passed=6), 0.99)
    seldom = posterior.good_end_runs(Seen(failed=6, passed=114), 0.99)
    assert 5 < often < 20
    assert 90 < seldom < 250
    assert seldom < posterior.good_end_runs(Seen(failed=6, passed=114), 0.999)


def test_nearly_always_is_found_with_the_check() -> None:
    found = list(simulation.histories(simulation.Setting(commits=64, rate=0.9), 100))
    bare = simulation.tried(found, simulation.bisect)
    checked = simulation.tried(found, lambda one: simulation.bisect(one, check=True))
    assert bare.hit < 0.95 < checked.hit
    assert checked.runs < bare.runs + 8


def test_the_chances_of_further_runs_are_those_of_the_rate() -> None:
    for failed, passed in ((0, 0), (3, 0), (2, 5)):
        chances = stats.unseen(failed, passed, 3)
        assert chances[0] == 1
        assert chances[1] == pytest.approx(1 - stats.mean_rate(failed, passed))
        more = stats.log_likelihood(failed, passed + 3) - stats.log_likelihood(failed, passed)
        assert chances[3] == pytest.approx(math.exp(more))


@pytest.mark.parametrize(
    ("setting", "least"),
    [
        (simulation.Setting(commits=128, rate=1, broken=0.2), 1.0),
        (simulation.Setting(commits=16, rate=0.2, broken=0.1), 0.97),
        (simulation.Setting(commits=128, rate=0.5), 0.97),
    ],
    ids=lambda value: value.name if isinstance(value, simulation.Setting) else "",
)
def test_the_culprit_is_found(setting: simulation.Setting, least: float) -> None:
    row = simulation.tried(list(simulation.histories(setting, 200)), simulation.bisect)
    assert row.hit >= least
    assert row.unexplained == 0
