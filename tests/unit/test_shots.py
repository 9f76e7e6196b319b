# SPDX-License-Identifier: GPL-2.0-only
"""Which shot is next, and when there is none."""

import threading
import time

from harness import model
from harness.failnth import COUNTING
from harness.model import FailNth, Fault, Outcome, Result
from harness.shots import Shots, numbers


def named(*names: str) -> list[model.Test]:
    return [model.Test(name=name, argv=(name,), isolation="test") for name in names]


class Kernel:
    """Answers shots at tests that make so many calls each."""

    def __init__(self, **calls: int) -> None:
        self.calls = calls

    def shoot(self, test: model.Test, number: int) -> Result:
        left = max(0, test.fail_nth - self.calls[test.name])
        fault = Fault(nth=test.fail_nth, left=left, kind="failslab" if not left else "")
        return Result(test=test.name, outcome=Outcome.PASS, round=number, fault=fault)

    def run(self, shots: Shots) -> list[tuple[str, int]]:
        made = []
        while (taken := shots.take()) is not None:
            (test,), number = taken
            made.append((test.name, test.fail_nth))
            shots.done(self.shoot(test, number))
        return made


def test_each_call_fails_once_and_then_none_comes() -> None:
    made = Kernel(a=3, b=1).run(Shots(named("a", "b"), FailNth()))
    assert made == [
        *(("a", nth) for nth in (COUNTING, 1, 2, 3, 4)),
        *(("b", nth) for nth in (COUNTING, 1, 2)),
    ]


def test_of_more_than_are_allowed_so_many_all_over() -> None:
    made = [nth for _, nth in Kernel(a=1000).run(Shots(named("a"), FailNth(most=4)))]
    assert made == [COUNTING, 1, 251, 501, 751]
    assert list(numbers(4, 4)) == [1, 2, 3, 4]
    spread = list(numbers(1001, 1000))
    assert len(spread) == len(set(spread)) == 1000 and max(spread) <= 1001


def test_a_call_more_than_were_counted_is_shot_at_too() -> None:
    shots = Shots(named("a"), FailNth())
    kernel = Kernel(a=2)
    (test,), number = shots.take() or ((), 0)
    shots.done(kernel.shoot(test, number))
    kernel.calls["a"] = 4
    assert [nth for _, nth in kernel.run(shots)] == [1, 2, 3, 4, 5]


def test_what_somebody_saw_again() -> None:
    made = Kernel(a=9).run(Shots(named("a"), FailNth(first=7, most=8)))
    assert made == [("a", 7), ("a", 8)]


def test_a_test_that_fails_by_itself_is_not_shot_at() -> None:
    for outcome in (Outcome.FAIL, Outcome.SKIP, Outcome.CRASH):
        shots = Shots(named("a"), FailNth())
        (test,), number = shots.take() or ((), 0)
        told = Fault(nth=test.fail_nth, left=COUNTING - 5)
        shots.done(Result(test="a", outcome=outcome, round=number, fault=told))
        assert shots.take() is None


def test_guests_that_are_lost_for_no_fault_end_it() -> None:
    shots = Shots(named("a"), FailNth())
    kernel, taken = Kernel(a=100), 0
    while (found := shots.take()) is not None:
        (test,), number = found
        taken += 1
        made = kernel.shoot(test, number)
        if test.fail_nth in (2, 3):
            made = Result(
                test="a", outcome=Outcome.CRASH, round=number, fault=Fault(nth=test.fail_nth)
            )
        shots.done(made)
    assert taken == 4


def test_who_has_nothing_to_do_waits_for_calls_being_counted() -> None:
    shots = Shots(named("a"), FailNth())
    (test,), number = shots.take() or ((), 0)
    found: list[int] = []
    waits = threading.Thread(
        target=lambda: found.extend(one[0].fail_nth for one, _ in [shots.take() or ((), 0)] if one)
    )
    waits.start()
    time.sleep(0.05)
    assert not found
    shots.done(Kernel(a=2).shoot(test, number))
    waits.join(10)
    assert found == [1]


def test_a_stop_ends_the_wait() -> None:
    shots = Shots(named("a"), FailNth())
    shots.take()
    ended = threading.Thread(target=shots.take)
    ended.start()
    shots.over = True
    ended.join(10)
    assert not ended.is_alive()
