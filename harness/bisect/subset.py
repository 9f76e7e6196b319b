# SPDX-License-Identifier: GPL-2.0-only
"""Which few patches of a series are needed for a failure: delta debugging. No I/O.

The algorithm is ddmin (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
IEEE TSE 28(2), 2002): parts of what fails are tried alone, then what is left without each part,
then smaller parts. The answer fails, and fails no more without any one of its patches; where a
set does not apply or build, nothing is known of it, and it counts as one that does not fail.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness import posterior
from harness.bisect import ends
from harness.bisect.ends import Tally
from harness.model import Probed, Progress, Question, Signature, Wish
from harness.posterior import Seen

Chosen = tuple[int, ...]


def smallest(count: int, known: Mapping[Chosen, bool]) -> tuple[Chosen, Chosen | None]:
    """The smallest set that is known to fail among the numbers below `count`, and the next one to
    try; None when there is no other to try. `known` says of sets whether they fail."""
    left: Chosen = tuple(range(count))
    parts = 2
    while len(left) > 1:
        smaller: Chosen | None = None
        for trial in _trials(left, parts):
            if trial not in known:
                return left, trial
            if known[trial]:
                smaller = trial
                break
        if smaller is not None:
            parts = 2 if len(smaller) * parts <= len(left) else max(parts - 1, 2)
            left = smaller
        elif parts < len(left):
            parts = min(len(left), 2 * parts)
        else:
            break
    return left, None


def _trials(left: Chosen, parts: int) -> Iterator[Chosen]:
    """Each part, then all without it."""
    size = len(left) / parts
    cuts = [left[round(n * size) : round((n + 1) * size)] for n in range(parts)]
    yield from cuts
    if parts > 2:
        yield from (tuple(one for one in left if one not in cut) for cut in cuts)


class SubsetSearch:
    """As search.Search, of sets of patches."""

    def __init__(self, question: Question, steps: Iterable[Probed] = ()) -> None:
        self.question = question
        self.tallies: dict[int, Tally] = {}
        self.sets: dict[Chosen, Tally] = {}
        self.signature: Signature | None = None
        for one in steps:
            self.take(one)

    def take(self, probed: Probed) -> None:
        """See search.Search."""
        if probed.chosen:
            self.sets.setdefault(probed.chosen, Tally()).add(probed)
            return
        self.tallies.setdefault(probed.number, Tally()).add(probed)
        if probed.number == self.question.bad and probed.failed and self.signature is None:
            self.signature = probed.signature

    def next(self, pending: Sequence[Wish] = ()) -> Wish | None:
        """See search.Search: one look at a time."""
        if pending:
            return None
        if not self._ends_known:
            return ends.wish(self.question, self.tallies, self.signature)
        _, trial = self._smallest()
        if trial is None:
            return None
        wanted = posterior.good_end_runs(self._bad, self.question.confidence)
        runs = wanted - self.sets.get(trial, Tally()).runs
        return Wish(number=self.question.bad, runs=runs, chosen=trial)

    @property
    def _bad(self) -> Seen:
        return self.tallies[self.question.bad].seen

    def _smallest(self) -> tuple[Chosen, Chosen | None]:
        wanted = posterior.good_end_runs(self._bad, self.question.confidence)
        known = {
            chosen: tally.failed > 0
            for chosen, tally in self.sets.items()
            if tally.failed or tally.given_up or tally.runs >= wanted
        }
        return smallest(len(self.question.candidates), known)

    def others(self, wish: Wish) -> tuple[str, ...]:
        """See search.Search: a set's program says nothing of another."""
        return ()

    @property
    def _ends_known(self) -> bool:
        return ends.known(self.question, self.tallies)

    @property
    def settled(self) -> bool:
        """See search.Search."""
        return self._ends_known and self._smallest()[1] is None

    @property
    def needed(self) -> Chosen:
        """The smallest set by now, by number."""
        return self._smallest()[0] if self._ends_known else ()

    def progress(self) -> Progress:
        """See search.Search."""
        left = self._smallest()[0] if self._ends_known else ()
        return Progress(left=len(left) or len(self.question.candidates), likeliest=left)
