# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Sequence

from harness import measure
from harness.model import Outcome, Result
from harness.model import Test as PlannedTest

FAST = PlannedTest(name="s/fast", argv=("./fast",), samples=4)
SLOW = PlannedTest(name="s/slow", argv=("./slow",), samples=2)


class Kernel:
    """Notes what runs on it; `bad` fails."""

    def __init__(self, label: str, order: list[str], bad: str = "") -> None:
        self._label, self._order, self._bad = label, order, bad
        self.results: list[Result] = []

    def run_again(self, tests: Sequence[PlannedTest], *, alone: bool = False) -> None:
        assert alone
        for test in tests:
            self._order.append(f"{self._label} {test.name}")
            outcome = Outcome.FAIL if test.name == self._bad else Outcome.PASS
            self.results.append(Result(test=test.name, outcome=outcome))


def test_kernels_take_turns_and_the_first_changes() -> None:
    order: list[str] = []
    kernels = {label: Kernel(label, order) for label in ("base", "tip")}
    assert measure.sample([FAST], ["base", "tip"], kernels) == 8
    assert [line.split()[0] for line in order] == ["base", "tip", "tip", "base"] * 2


def test_each_test_runs_as_often_as_it_wants() -> None:
    order: list[str] = []
    kernels = {label: Kernel(label, order) for label in ("base", "tip")}
    measure.sample([FAST, SLOW], ["base", "tip"], kernels)
    assert {line: order.count(line) for line in order} == {
        "base s/fast": 4,
        "tip s/fast": 4,
        "base s/slow": 2,
        "tip s/slow": 2,
    }


def test_what_failed_is_run_no_more() -> None:
    order: list[str] = []
    kernels = {"base": Kernel("base", order), "tip": Kernel("tip", order, bad="s/fast")}
    measure.sample([FAST], ["base", "tip"], kernels)
    assert order == ["base s/fast", "tip s/fast"]


def test_one_kernel_is_not_compared() -> None:
    order: list[str] = []
    measure.sample([FAST], ["base"], {"base": Kernel("base", order)})
    assert order == ["base s/fast"]
