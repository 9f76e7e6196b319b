# SPDX-License-Identifier: GPL-2.0-only
"""What a bisection came to, with all that a report of it says. Reads runs and the tree."""

import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.bisect import facts, failing, outcome, replay, table
from harness.bisect.facts import Culprit
from harness.bisect.failing import Failing
from harness.bisect.record import Told
from harness.bisect.replay import Move
from harness.bisect.run import AnySearch, searched
from harness.bisect.subset import SubsetSearch
from harness.bisect.table import Row

BUNDLE = "repro"
"""The reproducer bundle, in the directory of a bisection."""
_TOLD_MOST = 5  # culprits of which all is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known of a bisection. `culprits`: none where there is no answer; more than one where
    nothing tells them apart, or where several patches are needed. `failing` is the run that shows
    the failure best, None where all are gone. `repro` is the bundle, None where there is none."""

    told: Told
    search: AnySearch
    culprits: tuple[Culprit, ...]
    failing: Failing | None
    rows: tuple[Row, ...]
    moves: tuple[Move, ...]
    repro: Path | None

    @property
    def subset(self) -> bool:
        """It is patches that are needed together."""
        return isinstance(self.search, SubsetSearch)

    @property
    def culprit(self) -> Culprit | None:
        """The one that there is, None where there are none or several."""
        return self.culprits[0] if len(self.culprits) == 1 else None

    @property
    def probability(self) -> float:
        """How sure it is; 0 where that is no question."""
        return self.search.progress().probability

    @property
    def missing(self) -> tuple[str, ...]:
        """Why there is no answer, in a sentence and one more; empty where there is one."""
        if self.culprits:
            return ()
        asked = self.told.question
        if self.moves and self.moves[-1].wrong:
            return (self.moves[-1].wrong,)
        yet = " yet" if self.told.exit is None else ""
        head = f"not found{yet} in {asked.place}: what breaks {asked.test}"
        if reason := outcome.nothing_testable(self.search):
            return head, f"nothing between the ends can be tested: {reason}"
        if self.probability:
            return head, f"the likeliest has {self.probability:.1%}"
        return (head,)

    @property
    def failure(self) -> str:
        """`context_of_the_parent fails, always`."""
        known = self.search.signature
        rate = outcome.rate(self.search)
        passed = any(0 < row.failed < row.runs for row in self.rows)
        often = f"in about {rate:.0%} of runs" if passed else "always"
        return f"{known.words}, {often}" if known else "it has not failed yet"

    @property
    def again(self) -> tuple[str, ...]:
        """Command lines that show more of it."""
        if self.failing is None:
            return ()
        name, test = self.failing.name, self.told.question.test
        lines = [["harness", "show", name], ["harness", "repro", name, test]]
        if self.failing.run.steps[-1:] != (self.failing.result.kernel,):
            lines[1] += ["--kernel", self.failing.result.kernel]
        return tuple(shlex.join(words) for words in lines)


def of(told: Told) -> Answer:
    """The answer as far as there is one."""
    search = searched(told.question, told.steps)
    found = outcome.culprits(search, told)
    brief = len(found) > _TOLD_MOST
    bundle = told.directory / BUNDLE
    return Answer(
        told=told,
        search=search,
        culprits=tuple(facts.of(told, number, brief=brief) for number in found),
        failing=failing.nearest(told, search),
        rows=tuple(table.rows(told, search)),
        moves=tuple(replay.moves(told)),
        repro=bundle if found and (bundle / "run.sh").is_file() else None,
    )


def document(one: Answer, exit_code: int) -> dict[str, Any]:
    """The JSON of `harness bisect --json` (docs/design.md)."""
    found, shown = one.culprit, one.failing
    return {
        **outcome.document(one.told, exit_code),
        "subject": found.title if found else None,
        "author": found.author if found else None,
        "date": found.date if found else None,
        "diffstat": list(found.diffstat) if found else [],
        "fixes": found.fixes or None if found else None,
        "others": list(found.others) if found else [],
        "notes": [culprit.note for culprit in one.culprits if culprit.note],
        "run_dir": str(shown.run.directory) if shown else None,
        "splat": _splat(shown) if shown else None,
        "repro": str(one.repro) if one.repro else None,
    }


def _splat(shown: Failing) -> dict[str, Any] | None:
    return asdict(replace(shown.splat, text=())) if shown.splat else None
