# SPDX-License-Identifier: GPL-2.0-only
"""The run of a bisection that shows the failure best: on the culprit, or as near as there is."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import recorded
from harness.bisect import outcome, signature
from harness.bisect.record import Told
from harness.bisect.run import AnySearch
from harness.bisect.search import contained
from harness.errors import HarnessError
from harness.model import Probed, Result, Splat
from harness.recorded import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A step whose kernel failed, its run, the first result there that shows it, and what the
    kernel reported, None where it said nothing. `own`: the kernel is the culprit's."""

    step: Probed
    run: Recorded
    result: Result
    splat: Splat | None
    own: bool

    @property
    def name(self) -> str:
        """The run's, for `harness show`."""
        return recorded.short_name(self.run.directory)


def nearest(told: Told, search: AnySearch) -> Failing | None:
    """The first of the failing runs that is still there, those next to the culprit first."""
    found = outcome.culprits(search, told)
    for step in _nearest_first(told, found):
        with contextlib.suppress(OSError, HarnessError):  # the run was removed
            run = recorded.load(Path(step.run_dir))
            if (result := _first(run, told, search)) is not None:
                known = search.signature
                splat = signature.shown(known, result) if known is not None else None
                own = step.chosen == found if step.chosen else found == (step.number,)
                return Failing(step=step, run=run, result=result, splat=splat, own=own)
    return None


def _first(run: Recorded, told: Told, search: AnySearch) -> Result | None:
    wanted = None if told.question.any_failure else search.signature
    for one in run.results:
        failed = one.test == told.question.test and signature.failed(one)
        if failed and (wanted is None or signature.same(wanted, one)):
            return one
    return None


def _nearest_first(told: Told, found: tuple[int, ...]) -> Iterator[Probed]:
    """The steps that failed: those with a culprit first, of them those with the least else."""
    contains = contained(told.question.candidates)
    wanted = sum(1 << number for number in found)

    def far(one: Probed) -> tuple[bool, int]:
        mask = sum(1 << number for number in one.chosen)
        if not one.chosen and one.number >= 0:
            mask = contains[one.number]
        return not mask & wanted, mask.bit_count()

    yield from sorted((one for one in told.steps if one.failed and one.run_dir), key=far)
