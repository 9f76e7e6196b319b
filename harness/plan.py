# SPDX-License-Identifier: GPL-2.0-only
"""Which tests run, in which order, how often, and which may share a guest."""

import fnmatch
from collections.abc import Sequence

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
    suites = {test.name.partition("/")[0] for test in (one, other)}
    return "test" not in wishes and (len(suites) == 1 or "suite" not in wishes)


class Queue:
    """The tests still to run on one kernel, round by round."""

    def __init__(self, tests: Sequence[Test], rounds: Rounds) -> None:
        self._tests = tests
        self._rounds = rounds
        self._at = 0
        self._over = False
        self._bad = False

    @property
    def next(self) -> Test | None:
        """The test that is first in line, None at the end."""
        if self._over:
            return None
        done, at = divmod(self._at, len(self._tests))
        if self._rounds.count and done >= self._rounds.count:
            return None
        return None if self._bad and self._rounds.until_fail and at == 0 else self._tests[at]

    @property
    def round(self) -> int:
        """The repetition that the next test belongs to, from 1."""
        return self._at // len(self._tests) + 1

    def done(self, result: Result) -> None:
        """The first in line has its result."""
        self._at += 1
        self._bad |= result.outcome.bad
        self._over |= result.outcome.bad and self._rounds.fail_fast
