# SPDX-License-Identifier: GPL-2.0-only
"""The sequential test keeps what docs/verdicts.md promises of it; bench/verdicts.py says more."""

import pytest

from bench import verdicts
from harness import stats
from harness.model import Tally
from harness.stats import Decision

RERUNS = 40


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 0.95, 1.0])
def test_what_is_equal_is_hardly_ever_called_new(rate: float) -> None:
    assert verdicts.exact(rate, rate, RERUNS)["new"] <= 0.01


@pytest.mark.parametrize(
    ("base", "patched"), [(0.0, 1.0), (0.5, 1.0), (0.05, 0.3), (0.0, 0.3), (0.1, 0.5)]
)
def test_what_is_new_is_found(base: float, patched: float) -> None:
    assert verdicts.exact(base, patched, RERUNS)["detected"] >= 0.95


@pytest.mark.parametrize(("base", "patched"), verdicts.SETTINGS)
def test_the_simulation_agrees_with_the_sum(base: float, patched: float) -> None:
    seen, sure = (
        verdicts.simulate(base, patched, 400, RERUNS),
        verdicts.exact(base, patched, RERUNS),
    )
    assert abs(seen["new"] - sure["new"]) < 0.07
    assert abs(seen["detected"] - sure["detected"]) < 0.07 or not base + patched


def test_what_always_fails_is_decided_soon() -> None:
    assert verdicts.exact(0.0, 1.0, RERUNS)["reruns"] <= 3
    assert verdicts.exact(1.0, 1.0, RERUNS)["reruns"] <= 3


def test_a_decision_is_made_in_the_end() -> None:
    suspect, other = Tally(failed=1, runs=2), Tally(runs=3)
    assert stats.decide(suspect, other, left=1) is None
    assert stats.decide(suspect, other, left=0) in (Decision.SAME, Decision.DIFFERENT)


def test_the_probability_follows_the_evidence() -> None:
    none = stats.probability(Tally(failed=9, runs=9), Tally(failed=9, runs=9))
    some = stats.probability(Tally(failed=3, runs=9), Tally(failed=1, runs=9))
    sure = stats.probability(Tally(failed=9, runs=9), Tally(failed=0, runs=9))
    assert 0 < none < 0.1 < some < 0.9 < 0.999 < sure < 1


def test_a_tally_counts() -> None:
    tally = Tally().plus(True).plus(False).plus(False).plus(True)
    assert (tally.failed, tally.runs, tally.rate, Tally().rate) == (2, 4, 0.5, 0.0)
