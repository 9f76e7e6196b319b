# SPDX-License-Identifier: GPL-2.0-only
"""Failures that come and go: is one new, and which commit is to blame? Two models; pure.

**Does a test fail more often on one kernel than on another?** One kernel is the *suspect*, on which
the test failed first: the patched one for a failure that may be new, the base for one that may be
fixed. The *other* is the one it is compared with. They are run again in turn, one run of the
suspect for two of the other, until decide() knows.

Of two explanations each gets the probability that it gives to what was seen (the Bayes factor;
Kass and Raftery 1995): that both kernels fail at the same rate, any rate, most likely one near 0 or
1 (a Beta(1/2, 1/2) over it); or that the suspect has a failure of its own. Then either the other
hardly ever fails (Beta(1/2, 9)) and the suspect at any rate, or the suspect hardly ever passes and
the other does at times. The evidence that ends it early is stronger than what has to do at the end,
as it is looked at after each round. docs/verdicts.md has the error rates, bench/verdicts.py
measures them.

**Which commit of a range broke it?** The model of harness bisect, which posterior.py searches by:
- One commit is the culprit, each as likely as another before anything was run.
- A run on a commit that contains it fails at one rate p, wherever. p is 1 with the probability
  `_ALWAYS`: it fails always. Else it is Beta(1/2, 2) distributed: what fails at times mostly fails
  seldom. The 1/2 is as p is measured by counting runs until some have failed, which makes it look
  higher than it is; the 2 says that few fail nine times of ten. Both and `_ALWAYS` are such that
  ten failures of ten do for one run per step to the end: with an even prior for p, the 512 commits
  that one pass has cleared would be as likely together as the one that is left.
- A run on any other commit never fails like that, but for `STRAY`, which keeps what contradicts
  all this from being an impossible division.
- A commit that cannot be built or booted says nothing, of itself nor of others. What only such
  commits could tell apart stays together, and is reported together.
docs/bisect.md says how often the answer is right, bench/bisect_simulation.py measures it.
"""

import functools
import math
from enum import Enum

from harness.model import Tally

OTHER_RUNS = 2
"""Runs of the other kernel for one of the suspect: what tells a new failure from an old and rare
one is how sure we are that the other kernel does not fail. With one for one, no test at all that
calls 1 % of what is equal new finds 95 % of the changes from .05 to .3 in 41 runs (94.9 %)."""

_SURE = 5.2  # natural logarithm of the Bayes factor that ends it at any time,
_LIKELY = 1.2  # at the end,
_UNLIKELY = -2.2  # and that ends it the other way

_ANY = (1.0, 1.0)
_EXTREME = (0.5, 0.5)
_RARELY = (0.5, 9.0)
_NEARLY_ALWAYS = (9.0, 0.5)
_AT_TIMES = (2.0, 2.0)
_ALWAYS_SHARE = 0.3  # of the second way to have a failure of its own

STRAY = 1e-6
"""How often a commit without the culprit fails like one that has it. So small as it counts for each
innocent commit of a range together."""

_ALWAYS = 0.95
_FLAKY = (0.5, 2.0)


class Decision(Enum):
    """What the sequential test says in the end."""

    DIFFERENT = "different"
    SAME = "same"


def decide(suspect: Tally, other: Tally, *, left: int) -> Decision | None:
    """What is known by now; None: another round is worth it. `left`: how many there may be."""
    evidence = log_bayes_factor(suspect, other)
    if evidence >= _SURE:
        return Decision.DIFFERENT
    if evidence <= _UNLIKELY:
        return Decision.SAME
    if left > 0:
        return None
    return Decision.DIFFERENT if evidence >= _LIKELY else Decision.SAME


def probability(suspect: Tally, other: Tally) -> float:
    """Posterior probability that the suspect has a failure of its own, where both explanations
    were as likely before."""
    evidence = log_bayes_factor(suspect, other)
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, evidence))))


def log_bayes_factor(suspect: Tally, other: Tally) -> float:
    """Natural logarithm of the evidence for a failure of the suspect's own against none."""
    rare = _evidence(suspect, _ANY) + _evidence(other, _RARELY)
    always = _evidence(suspect, _NEARLY_ALWAYS) + _evidence(other, _AT_TIMES)
    both = Tally(failed=suspect.failed + other.failed, runs=suspect.runs + other.runs)
    more = max(rare, always)
    own = (1 - _ALWAYS_SHARE) * math.exp(rare - more) + _ALWAYS_SHARE * math.exp(always - more)
    return more + math.log(own) - _evidence(both, _EXTREME)


@functools.cache
def _evidence(tally: Tally, prior: tuple[float, float]) -> float:
    """log of the probability of these outcomes in their order, the rate being Beta-distributed."""
    fails, passes = prior
    return _log_beta(fails + tally.failed, passes + tally.runs - tally.failed) - _log_beta(*prior)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@functools.cache
def log_likelihood(failed: int, passed: int) -> float:
    """log of the probability of these runs, in their order, on commits that have the culprit."""
    flaky = math.log(1 - _ALWAYS) + _log_flaky(failed, passed)
    if passed:
        return flaky
    return math.log(_ALWAYS) + math.log1p(math.exp(flaky - math.log(_ALWAYS)))


@functools.cache
def always(failed: int, passed: int) -> float:
    """The probability that what failed and passed so often on bad commits fails always there."""
    if passed:
        return 0.0
    return math.exp(math.log(_ALWAYS) - log_likelihood(failed, passed))


def mean_rate(failed: int, passed: int) -> float:
    """The failure rate to expect after these runs on bad commits."""
    fails, passes = _FLAKY[0] + failed, _FLAKY[1] + passed
    sure = always(failed, passed)
    return sure + (1 - sure) * fails / (fails + passes)


@functools.lru_cache(maxsize=4096)
def unseen(failed: int, passed: int, most: int) -> tuple[float, ...]:
    """The probabilities that 0, 1, ... `most` further runs on a bad commit pass one and all."""
    fails, passes = _FLAKY[0] + failed, _FLAKY[1] + passed
    chances = [1 - always(failed, passed)]
    for run in range(most):
        chances.append(chances[-1] * (passes + run) / (fails + passes + run))
    return (1.0, *chances[1:])


def _log_flaky(failed: int, passed: int) -> float:
    fails, passes = _FLAKY
    return _log_beta(fails + failed, passes + passed) - _log_beta(fails, passes)
