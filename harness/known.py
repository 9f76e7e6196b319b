# SPDX-License-Identifier: GPL-2.0-only
"""What an earlier run knows of a step, so that it need not be run again."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from harness import recorded, verdict
from harness.errors import HarnessError
from harness.history import History
from harness.model import Result, Splat
from harness.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The name of that run, its results, and its splats of no test."""

    run: str
    results: tuple[Result, ...]
    stray: tuple[Splat, ...]


def find(label: str, contexts: Mapping[str, str], watch: Watch) -> Known | None:
    """The results of the newest run with the same tests in the same contexts (context.py) on that
    step. A history that cannot be asked knows nothing, and says so."""
    if "" in contexts.values():
        return None
    try:
        with History() as history:
            history.sync()
            place = history.run_with(label, list(contexts.values()))
    except (HarnessError, sqlite3.Error) as error:
        watch.note(f"the history is not asked: {error}")
        return None
    if place is None:
        return None
    found, stray = recorded.results_of(place, label)
    results = tuple(one for one in found if one.test in contexts)
    if {one.test for one in results} != set(contexts) or any(map(verdict.is_retold, results)):
        return None
    return Known(run=place.name, results=verdict.inherited(results, label), stray=stray)
