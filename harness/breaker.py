# SPDX-License-Identifier: GPL-2.0-only
"""Which commit broke it: a search in a history that forks and joins. Pure.

Git's own way first: halve what is left of the suspects, and whatever holds leaves its ancestors
innocent. That needs the least checks, and is wrong where something broke twice, or never held on
a branch that is older than the good end. So its answer counts only when the commit does not hold
and all its parents do; else a path from good to bad is searched, where a step from the one to the
other is sure to be found whatever lies between.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

Graph = Mapping[str, tuple[str, ...]]
Holds = Callable[[str], bool]


class History(Protocol):
    """What the search asks of a history; commits are any strings."""

    def between(self, old: str, new: str) -> Graph:
        """The commits that `new` has and `old` has not, with their parents, which come first."""

    def fork(self, one: str, other: str) -> str | None:
        """The newest commit that both have, None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The commit that broke it: it does not hold, all its parents do.

    Except for a merge that joins what holds with a branch where it never did: `never` is that
    parent, and empty otherwise.
    """

    commit: str
    never: str = ""


def search(
    history: History, ends: tuple[str, str], holds: Holds, suspects: Set[str]
) -> Found | None:
    """The commit that broke it, between ends of which the first is an ancestor of the second,
    which does not hold. `suspects` are those that change anything; a wrong or empty set costs
    checks, never the truth of the answer.

    None where the first does not hold either and nothing between them was found to. It is looked
    at last: what holds in between tells the same, and one check is saved.
    """
    good, bad = ends
    graph = history.between(good, bad)
    suspect = _halved(graph, suspects, holds)
    if suspect and graph[suspect] and not holds(suspect) and all(map(holds, graph[suspect])):
        return Found(commit=suspect)
    return _walked(history, ends, holds) if holds(good) else None


def _halved(graph: Graph, suspects: Set[str], holds: Holds) -> str | None:
    """The one that is left when each check halves the suspects, as bits of numbers."""
    order = [commit for commit in graph if commit in suspects]
    bits = {commit: 1 << number for number, commit in enumerate(order)}
    below: dict[str, int] = {}
    checks: dict[int, str] = {}  # of commits with the same suspects below them the oldest
    for commit, parents in graph.items():
        mine = bits.get(commit, 0)
        for parent in parents:
            mine |= below.get(parent, 0)
        below[commit] = mine
        checks.setdefault(mine, commit)
    left = (1 << len(order)) - 1
    while (count := left.bit_count()) > 1:

        def even(mine: int, left: int = left, count: int = count) -> int:
            return min(inside := (mine & left).bit_count(), count - inside)

        middle = max(checks, key=even)
        left &= ~middle if holds(checks[middle]) else middle
    return order[left.bit_length() - 1] if left else None


def _walked(history: History, ends: tuple[str, str], holds: Holds) -> Found:
    """Down a path to a step from good to bad. If that is a merge and another of its parents is
    bad as well, it came in from there: go on between where that branch left and its end."""
    good, bad = ends
    while True:
        graph = history.between(good, bad)
        before, commit = _step(_path(graph, good, bad), holds)
        others = [parent for parent in graph[commit] if parent != before and not holds(parent)]
        forks = ((parent, history.fork(before, parent)) for parent in others)
        onward = next(((fork, parent) for parent, fork in forks if fork and holds(fork)), None)
        if onward is None:
            return Found(commit=commit, never=others[0] if others else "")
        good, bad = onward


def _path(graph: Graph, good: str, bad: str) -> list[str]:
    """From good to bad by parents, the first one where there is a choice."""
    above = {good}
    for commit, parents in graph.items():
        if not above.isdisjoint(parents):
            above.add(commit)
    path = [bad]
    while path[-1] != good:
        path.append(next(parent for parent in graph[path[-1]] if parent in above))
    return path[::-1]


def _step(path: list[str], holds: Holds) -> tuple[str, str]:
    low, high = 0, len(path) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(path[middle]) else (low, middle)
    return path[low], path[high]
