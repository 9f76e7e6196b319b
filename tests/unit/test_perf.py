# SPDX-License-Identifier: GPL-2.0-only
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import perf
from harness.model import Better, Metric, Outcome, Result


def test_a_metric_is_a_line_of_its_own() -> None:
    text = """KTAP version 1
1..1
# metric read_MBps=123.4 unit=MB/s better=higher
    # # metric sync.ctxt=812 better=lower unit=switches
ok 1 read # metric no=1
# metric plain=-2e3
"""
    assert perf.parse(text) == (
        Metric(name="read_MBps", value=123.4, unit="MB/s", better=Better.HIGHER),
        Metric(name="sync.ctxt", value=812, unit="switches", better=Better.LOWER),
        Metric(name="plain", value=-2000),
    )


@pytest.mark.parametrize(
    "line",
    [
        "# metric a=nan",
        "# metric a=inf",
        "# metric a=1e999",
        "# metric a=0x10",
        "# metric a=1_0",
        "# metric a=1 better=faster",
        "# metric a b=1",
        "# metric =1",
        "metric a=1",
        "# metrics a=1",
    ],
)
def test_what_is_no_figure_is_none(line: str) -> None:
    assert perf.parse(f"{line}\n") == ()


def test_the_last_of_two_metrics_with_one_name_counts() -> None:
    assert [m.value for m in perf.parse("# metric a=1\n# metric a=2\n")] == [2]


# Expected: scipy.stats.mannwhitneyu of SciPy 1.17.1, exact where there are no ties.
@pytest.mark.parametrize(
    ("base", "patched", "p"),
    [
        ((1, 2, 3, 4), (5, 6, 7, 8), 0.02857142857142857),
        ((1, 3, 5, 7), (2, 4, 6, 8), 0.6857142857142857),
        ((1.1, 2.2, 3.3), (0.5, 0.7, 9.0), 0.7),
        ((1, 2, 2, 3), (2, 3, 4, 5), 0.1366582),
    ],
)
def test_the_rank_test_has_the_known_values(
    base: tuple[float, ...], patched: tuple[float, ...], p: float
) -> None:
    assert perf.rank_test(base, patched) == pytest.approx(p, abs=1e-7)


def test_equal_figures_are_no_change() -> None:
    assert perf.rank_test((3, 3, 3), (3, 3)) == 1
    assert perf.rank_test((), (1,)) == 1


@given(st.integers(1, 5), st.integers(1, 5))
def test_the_ways_are_those_of_counting(n: int, m: int) -> None:
    counted = [0] * (n * m + 1)
    for chosen in itertools.combinations(range(n + m), n):
        counted[sum(place - rank for rank, place in enumerate(chosen))] += 1
    assert list(perf._ways(n, m)) == counted


@given(
    st.lists(st.floats(0.1, 1e6), min_size=1, max_size=12),
    st.lists(st.floats(0.1, 1e6), min_size=1, max_size=12),
)
def test_what_is_swapped_gives_the_inverse(base: list[float], patched: list[float]) -> None:
    there, back = perf.ratio_of(base, patched), perf.ratio_of(patched, base)
    assert perf.rank_test(base, patched) == pytest.approx(perf.rank_test(patched, base))
    assert (there[1] is None) == (back[1] is None)
    if there[1] and there[2] and back[1] and back[2]:
        assert there[1] * back[2] == pytest.approx(1)
        assert there[0] and there[1] <= there[0] <= there[2]


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    dice = random.Random(1)
    held = 0
    for _ in range(1000):
        base = [math.exp(dice.gauss(0, 0.1)) for _ in range(6)]
        patched = [1.2 * math.exp(dice.gauss(0, 0.1)) for _ in range(6)]
        _, low, high = perf.ratio_of(base, patched)
        assert low is not None and high is not None
        held += low <= 1.2 <= high
    assert 0.93 <= held / 1000 <= 0.985  # discrete: 6 and 6 runs give 95.9 %


def test_three_runs_have_no_interval_and_four_have_one() -> None:
    assert perf.ratio_of((1, 2, 3), (4, 5, 6))[1:] == (None, None)
    assert perf.ratio_of((1, 2, 3, 4), (4, 5, 6, 7))[1] is not None


def test_figures_that_are_not_above_zero_have_no_ratio() -> None:
    assert perf.ratio_of((0, 1), (1, 2)) == (None, None, None)


def result(value: float, outcome: Outcome = Outcome.PASS) -> Result:
    return Result(
        test="s/a",
        outcome=outcome,
        metrics=(Metric(name="MBps", value=value, unit="MB/s", better=Better.HIGHER),),
    )


def test_runs_that_failed_are_not_compared() -> None:
    base = [result(value) for value in (10, 11, 12, 13)]
    patched = [*(result(value) for value in (20, 22, 24, 26)), result(1, Outcome.FAIL)]
    (one,) = perf.compare(base, patched)
    assert one.patched == (20, 22, 24, 26)
    assert one.changed and one.improved
    assert one.ratio == pytest.approx(2.0, rel=0.05)
    assert perf.compare(base, []) == ()
