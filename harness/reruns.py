# SPDX-License-Identifier: GPL-2.0-only
"""Tests that failed, run again on base and patched in turn until it is known what that is."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import stats, verdict
from harness.errors import StageError
from harness.execution import Execution
from harness.model import Outcome, Reruns, Result, Row, Settled, Tally, Test, Verdict
from harness.record import Record
from harness.stages import Stages
from harness.stats import OTHER_RUNS, Decision


@dataclass(slots=True)
class Doubt:
    """A test whose failure may be one of the series, or not. `label` is the step that is compared
    with the base; `fixed`: it failed on the base and no more."""

    test: Test
    label: str
    fixed: bool
    first: bool = True
    decision: Decision | None = None
    seen: dict[str, Tally] = field(default_factory=dict)

    @property
    def suspect(self) -> str:
        """The step that failed and is asked about."""
        return "base" if self.fixed else self.label

    @property
    def other(self) -> str:
        """The step that it is compared with."""
        return self.label if self.fixed else "base"

    def look(self, executions: Mapping[str, Execution], left: int) -> None:
        """Count, and decide if that is enough."""
        for label in (self.suspect, self.other):
            mine = (one for one in executions[label].results if one.test == self.test.name)
            self.seen[label] = verdict.tally(mine)
        if self.first:  # of repeated runs, the one that failed more often
            self.first = False
            base, patched = self.seen["base"], self.seen[self.label]
            if base.rate != patched.rate:
                self.fixed = base.rate > patched.rate
        self.decision = stats.decide(self.seen[self.suspect], self.seen[self.other], left=left)


def doubts(
    rows: Iterable[Row], tests: Sequence[Test], sources: Mapping[str, str], ran: Iterable[str]
) -> list[Doubt]:
    """What is worth to be run again. `sources` are the steps whose results others inherited, `ran`
    those that ran themselves."""
    by_name = {test.name: test for test in tests}
    labels = set(ran)
    found = []
    for row in rows:
        test = by_name.get(row.result.test)
        if test is None or row.base is None:
            continue
        where = _where(row)
        label = sources.get(where, where)
        if where and label != "base" and {label, "base"} <= labels:
            fixed = not row.result.outcome.bad and not row.first_bad
            found.append(Doubt(test=test, label=label, fixed=fixed))
    return found


def _where(row: Row) -> str:
    """The step to compare with the base; empty where there is no doubt."""
    assert row.base is not None
    nothing = (Outcome.SKIP, Outcome.ERROR)
    if row.base.outcome in nothing:
        return ""
    if row.result.outcome.bad:
        return row.result.kernel
    if row.first_bad:
        return next(mark.label for mark in row.marks if mark.patch == row.first_bad)
    # What the series says fails on the base needs no proof.
    expected = row.base.outcome in (Outcome.XFAIL, Outcome.XPASS)
    failed = row.base.outcome.bad and not expected
    return row.result.kernel if failed and row.result.outcome not in nothing else ""


class Judge:
    """Runs doubtful tests again, and says what came out: `settled`, also while it is at it."""

    def __init__(self, executions: Mapping[str, Execution], record: Record, stages: Stages) -> None:
        self._executions = executions
        self._record = record
        self._stages = stages
        self._deadline = 0.0
        self.settled: dict[str, Settled] = {}

    def settle(self, doubtful: Sequence[Doubt], limits: Reruns) -> None:
        """Decide on these tests. A guest that does not come back ends it early."""
        if not doubtful:
            return
        self._deadline = time.monotonic() + limits.budget_s
        with self._stages.stage("reruns") as said:
            rounds, why = 0, ""
            try:
                while open_ := self._look(doubtful, limits.most - rounds):
                    if not self._round(open_):
                        why = f"the budget of {limits.budget_s:.0f} s is spent"
                        break
                    rounds += 1
            except StageError as error:
                why = error.message
            finally:  # interrupted, too
                left = self._look(doubtful, 1)
                for doubt in left:
                    self._settle(doubt)
            count = len(doubtful)
            said.append(f"{count} test{'s' * (count != 1)}, {rounds} round{'s' * (rounds != 1)}")
            if why:
                said.append(f"{len(left)} not decided: {why}")

    def _look(self, doubtful: Sequence[Doubt], left: int) -> list[Doubt]:
        """Those that are not decided, with the rounds that are left."""
        for doubt in doubtful:
            if doubt.test.name not in self.settled:
                doubt.look(self._executions, left)
                if doubt.decision is not None:
                    self._settle(doubt)
        return [doubt for doubt in doubtful if doubt.test.name not in self.settled]

    def _settle(self, doubt: Doubt) -> None:
        one = self.settled[doubt.test.name] = _settled(doubt, self._executions)
        self._record.settled(one)

    def _round(self, open_: Sequence[Doubt]) -> bool:
        """Each test once on its suspect, and more often on the other step; False when the budget is
        spent before."""
        for number in range(OTHER_RUNS):
            for label in dict.fromkeys(name for one in open_ for name in (one.other, one.suspect)):
                tests = [
                    one.test
                    for one in open_
                    if one.other == label or (one.suspect == label and number == 0)
                ]
                if time.monotonic() > self._deadline:
                    return False
                if tests:
                    self._executions[label].run_again(tests)
        return True


def _settled(doubt: Doubt, executions: Mapping[str, Execution]) -> Settled:
    base, patched = doubt.seen["base"], doubt.seen[doubt.label]
    mine = {
        label: [one for one in executions[label].results if one.test == doubt.test.name]
        for label in ("base", doubt.label)
    }
    return Settled(
        test=doubt.test.name,
        step=doubt.label,
        verdict=_verdict(doubt, mine["base"], mine[doubt.label]),
        probability=round(stats.probability(doubt.seen[doubt.suspect], doubt.seen[doubt.other]), 6),
        base=base,
        patched=patched,
    )


def _verdict(doubt: Doubt, base: Sequence[Result], patched: Sequence[Result]) -> Verdict:
    if doubt.decision is None:
        return Verdict.UNKNOWN
    if doubt.decision is Decision.DIFFERENT:
        return Verdict.FIXED if doubt.fixed else Verdict.NEW
    if all(tally.failed == tally.runs for tally in doubt.seen.values()):
        return verdict.alike(base, patched)
    return Verdict.FLAKY
