# SPDX-License-Identifier: GPL-2.0-only
"""Which tests run, in which order, how often, and which may share a guest."""

import fnmatch
import threading
from collections.abc import Callable, Sequence

from harness.errors import NothingRanError
from harness.model import Result, Rounds, Test


def select(every: Sequence[Test], globs: Sequence[str]) -> tuple[Test, ...]:
    """The tests that match one of the globs, by full or short name; all without globs.

    NothingRanError when there is none.
    """
    if not every:
        raise NothingRanError("the suites hold no test")
    names = matching([test.name for test in every], globs)
    return tuple(test for test in every if test.name in names)


def matching(names: Sequence[str], globs: Sequence[str]) -> tuple[str, ...]:
    """The names (suite/test) that match one of the globs, with or without their suite."""
    chosen = tuple(name for name in names if not globs or _matches(name, globs))
    if not chosen:
        shown = ", ".join(names[:6])
        raise NothingRanError(
            f"no test matches {', '.join(globs)}",
            hint=f"there are {len(names)}: {shown}{', ...' if len(names) > 6 else ''}",
        )
    return chosen


def _matches(name: str, globs: Sequence[str]) -> bool:
    """A name with brackets in it is a glob of something else, so it also matches as it is."""
    forms = (name, name.partition("/")[2])
    return any(form == glob or fnmatch.fnmatchcase(form, glob) for form in forms for glob in globs)


def may_share(one: Test, other: Test) -> bool:
    """Two tests may run in one boot."""
    wishes = {one.isolation, other.isolation}
    same = suite_of(one) == suite_of(other)
    return "test" not in wishes and (same or "suite" not in wishes)


def suite_of(test: Test) -> str:
    """The name of its suite."""
    return test.name.partition("/")[0]


def groups(
    tests: Sequence[Test], fit: Callable[[Test, Test], bool]
) -> tuple[tuple[Test, ...], ...]:
    """The tests in their order, together where they may share a guest and one guest is `fit` for
    both."""
    found: list[list[Test]] = []
    for test in tests:
        if found and may_share(found[-1][-1], test) and fit(found[-1][-1], test):
            found[-1].append(test)
        else:
            found.append([test])
    return tuple(tuple(group) for group in found)


class Queue:
    """The groups still to run on one kernel, round by round, the first one of number `first`; for
    workers in any thread."""

    def __init__(self, groups: Sequence[tuple[Test, ...]], rounds: Rounds, first: int = 1) -> None:
        self._groups = groups
        self._rounds = rounds
        self._first = first
        self._lock = threading.Lock()
        self._at = 0
        self._bad = False
        self.over = False

    def take(self) -> tuple[tuple[Test, ...], int] | None:
        """The group that is first in line and its round; None at the end."""
        with self._lock:
            done, at = divmod(self._at, len(self._groups))
            last = self._rounds.count and done >= self._rounds.count
            if self.over or last or (self._bad and self._rounds.until_fail and at == 0):
                return None
            self._at += 1
            return self._groups[at], done + self._first

    def done(self, result: Result) -> None:
        """A test of a group that was taken has its result; `over` once no other is to begin."""
        with self._lock:
            self._bad |= result.outcome.bad
            self.over |= result.outcome.bad and self._rounds.fail_fast
