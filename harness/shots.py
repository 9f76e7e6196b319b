# SPDX-License-Identifier: GPL-2.0-only
"""Which shot is next: at each test one after the other, in as many guests as there are.

A test runs once with its calls counted and nothing failing, which also tells whether it passes at
all. Then its first call fails, its second, and so on, until one run ends before its turn comes.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.failnth import COUNTING
from harness.model import FailNth, Outcome, Result, Test

_POLL_S = 0.2
_LOST_MAX = 2  # guests in a row of which nobody knows whether a call failed: it is the test's doing


@dataclass(slots=True)
class _Chain:
    """The shots at one test. `numbers` is None while its calls are being counted."""

    test: Test
    numbers: Iterator[int] | None = None
    counting: bool = False
    round: int = 0
    lost: int = 0
    over: bool = False


class Shots:
    """In place of plan.Queue: each shot is a group of its own, its number that of the run of the
    test, from 1."""

    def __init__(self, tests: Sequence[Test], wish: FailNth) -> None:
        self._wish = wish
        self._chains = {test.name: _Chain(test) for test in tests}
        self._changed = threading.Condition()
        self.over = False
        if wish.first > 1:  # what somebody has seen, again
            for chain in self._chains.values():
                chain.numbers = iter(range(wish.first, wish.most + 1))

    def take(self) -> tuple[tuple[Test, ...], int] | None:
        """The next shot; waits where that depends on one under way. None at the end."""
        with self._changed:
            while not self.over:
                if (taken := self._next()) is not None:
                    return taken
                if not any(one.counting for one in self._chains.values()):
                    return None
                self._changed.wait(_POLL_S)  # `over` is set from outside
        return None

    def _next(self) -> tuple[tuple[Test, ...], int] | None:
        for chain in self._chains.values():
            if chain.over or (chain.counting and chain.numbers is None):
                continue
            if chain.numbers is None:
                chain.counting = True
                return self._made(chain, COUNTING)
            nth = next(chain.numbers, 0)
            if nth:
                return self._made(chain, nth)
            chain.over = True
        return None

    def _made(self, chain: _Chain, nth: int) -> tuple[tuple[Test, ...], int]:
        chain.round += 1
        return (replace(chain.test, fail_nth=nth),), chain.round

    def done(self, result: Result) -> None:
        """A shot that was taken has its result."""
        with self._changed:
            chain, fault = self._chains[result.test], result.fault
            if chain.counting and result.round == 1:
                chain.counting = False
                left = fault.left if fault else None
                if result.outcome is not Outcome.PASS or not left:
                    chain.over = True  # it fails by itself, or there is nothing to count
                else:
                    chain.numbers = iter(numbers(COUNTING - left, self._wish.most))
            elif fault is not None and fault.left:
                chain.over = True
            elif fault is None or not fault.injected:
                chain.lost += 1
                chain.over = chain.over or chain.lost >= _LOST_MAX
            else:
                chain.lost = 0
            self._changed.notify_all()


def numbers(calls: int, most: int) -> Iterator[int]:
    """Which calls are to fail, of so many: each, and on to the first that does not come, as no two
    runs need have the same; where there are more than `most`, so many at equal distances."""
    if calls <= most:
        yield from range(1, most + 1)
    else:
        yield from (1 + shot * calls // most for shot in range(most))
