#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How often the verdict on a test is wrong, and what it costs: `python -m bench.verdicts`.

Each pair is a base and a patched kernel on which a test fails at given rates. As in a run, both run
it once, and only where a kernel failed are they run again, in turn, until harness.stats decides.
`new` is the share of all pairs that is called a new failure; `detected` is its share of those pairs
in which the patched kernel failed at first, as there is nothing to see in the others. Beside the
simulation stands the exact figure, which is summed over all that can happen.
"""

import argparse
import random
from collections.abc import Callable

from harness import stats
from harness.model import Tally
from harness.stats import Decision

SETTINGS = ((0.0, 0.0), (0.0, 1.0), (0.2, 0.2), (0.05, 0.3), (0.5, 1.0))
MORE: tuple[tuple[float, float], ...] = (
    (0.02, 0.02),
    (0.05, 0.05),
    (0.1, 0.1),
    (0.5, 0.5),
    (0.8, 0.8),
    (0.95, 0.95),
    (1.0, 1.0),
)
MORE += ((0.0, 0.3), (0.1, 0.5), (0.3, 0.0), (1.0, 0.0))


def judge(fails: Callable[[str], bool], max_reruns: int) -> tuple[bool, str, int]:
    """Whether the patched kernel failed at first, the verdict, and how many rounds it took."""
    base, patched = Tally().plus(fails("base")), Tally().plus(fails("patched"))
    seen = patched.failed > 0
    if not (base.failed or patched.failed):
        return seen, "none", 0
    for done in range(max_reruns + 1):
        suspect, other = (patched, base) if seen else (base, patched)
        decision = stats.decide(suspect, other, left=max_reruns - done)
        if decision is Decision.DIFFERENT:
            return seen, "new" if seen else "fixed", done
        if decision is Decision.SAME:
            return seen, "same", done
        for _ in range(stats.OTHER_RUNS if seen else 1):
            base = base.plus(fails("base"))
        for _ in range(1 if seen else stats.OTHER_RUNS):
            patched = patched.plus(fails("patched"))
    raise AssertionError("the last round decides")


def simulate(base: float, patched: float, pairs: int, max_reruns: int) -> dict[str, float]:
    """Shares of verdicts, and the mean number of rounds of those pairs that were run again."""
    source = random.Random(f"{base} {patched}")
    rates = {"base": base, "patched": patched}
    seen = new = found = reruns = again = 0
    for _ in range(pairs):
        failed, verdict, rounds = judge(lambda which: source.random() < rates[which], max_reruns)
        seen += failed
        new += verdict == "new"
        found += verdict == "new" and failed
        reruns += rounds
        again += rounds > 0
    return {
        "new": new / pairs,
        "detected": found / seen if seen else 0.0,
        "reruns": reruns / again if again else 0.0,
    }


def exact(base: float, patched: float, max_reruns: int) -> dict[str, float]:
    """The same without chance, of the pairs in which the patched kernel failed at first."""
    if not patched:
        return {"new": 0.0, "detected": 0.0, "reruns": 0.0}
    states = {(1, 1): base, (1, 0): 1 - base}  # failed runs of the patched and of the base
    found = rounds = 0.0
    for done in range(max_reruns + 1):
        following: dict[tuple[int, int], float] = {}
        for (failed, before), chance in states.items():
            suspect = Tally(failed=failed, runs=done + 1)
            other = Tally(failed=before, runs=1 + stats.OTHER_RUNS * done)
            decision = stats.decide(suspect, other, left=max_reruns - done)
            if decision is not None:
                found += chance * (decision is Decision.DIFFERENT)
                rounds += chance * done
                continue
            for more, likely in ((1, patched), (0, 1 - patched)):
                for bad in range(stats.OTHER_RUNS + 1):
                    ways = base**bad * (1 - base) ** (stats.OTHER_RUNS - bad)
                    ways *= 2 if 0 < bad < stats.OTHER_RUNS else 1
                    key = failed + more, before + bad
                    following[key] = following.get(key, 0.0) + chance * likely * ways
        states = following
    return {"new": found * patched, "detected": found, "reruns": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--max-reruns", type=int, default=40)
    arguments = parser.parse_args()
    print("base  patched       new  exact   detected  exact   reruns  exact")
    for base, patched in (*SETTINGS, *MORE):
        one = simulate(base, patched, arguments.pairs, arguments.max_reruns)
        sure = exact(base, patched, arguments.max_reruns)
        print(
            f"{base:4.2f}  {patched:7.2f}  {one['new']:8.4f} {sure['new']:6.4f}"
            f"  {one['detected']:9.3f} {sure['detected']:6.3f}"
            f"  {one['reruns']:7.1f} {sure['reruns']:6.1f}"
        )


if __name__ == "__main__":
    main()
