# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import breaker
from harness.breaker import Found
from tests.unit.histories import Stream, grow


@dataclass(frozen=True)
class Graph:
    """A breaker.History in memory; commits come after their parents."""

    parents: dict[str, tuple[str, ...]]

    def before(self, commit: str) -> frozenset[str]:
        """The commit and all that it has."""
        found, todo = set(), [commit]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += self.parents[one]
        return frozenset(found)

    def between(self, old: str, new: str) -> dict[str, tuple[str, ...]]:
        inside = self.before(new) - self.before(old)
        return {one: parents for one, parents in self.parents.items() if one in inside}

    def fork(self, one: str, other: str) -> str | None:
        both = self.before(one) & self.before(other)
        return next((commit for commit in reversed(self.parents) if commit in both), None)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, str, str]:
    """A history of up to thirty commits, its last one, and one that this one has."""
    parents: dict[str, tuple[str, ...]] = {"0": ()}
    for number in range(1, draw(st.integers(2, 30))):
        known = st.integers(max(0, number - 6), number - 1)
        chosen = draw(st.lists(known, min_size=1, max_size=3, unique=True))
        parents[str(number)] = tuple(map(str, chosen))
    graph, last = Graph(parents), str(len(parents) - 1)
    older = sorted(graph.before(last) - {last}, key=int)
    return graph, draw(st.sampled_from(older)), last


@settings(max_examples=100, deadline=None, derandomize=True)
@given(graphs(), st.data())
def test_what_one_commit_broke_is_found_in_it(
    made: tuple[Graph, str, str], data: st.DataObject
) -> None:
    graph, good, bad = made
    culprit = data.draw(st.sampled_from(sorted(graph.between(good, bad))))
    found = breaker.search(
        graph,
        (good, bad),
        lambda commit: culprit not in graph.before(commit),
        frozenset(graph.between(good, bad)),
    )
    assert found == Found(commit=culprit)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(graphs(), st.data())
def test_whatever_holds_where_the_answer_is_a_step_from_good_to_bad(
    made: tuple[Graph, str, str], data: st.DataObject
) -> None:
    """Nothing follows from anything here: as where it broke twice, was never right on an old
    branch, or the suspects are the wrong ones."""
    graph, good, bad = made
    commits = st.sets(st.sampled_from(list(graph.parents)))
    held = (data.draw(commits) | {good}) - {bad}
    found = breaker.search(graph, (good, bad), held.__contains__, data.draw(commits))
    assert found is not None
    parents = graph.parents[found.commit]
    assert found.commit not in held
    assert any(parent in held for parent in parents)
    assert found.never in (parent for parent in (*parents, "") if parent not in held)
    assert found.never or all(parent in held for parent in parents)


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_suspects_take_twelve_checks(seed: int) -> None:
    stream = Stream(render=lambda *_: b"")
    line = grow(stream, 1000, lambda mark: "f", seed=seed)
    marks = {0: (), **stream.parents}
    graph = Graph({str(mark): tuple(map(str, parents)) for mark, parents in marks.items()})
    good, bad = str(line[0]), str(line[-1])
    suspects = graph.between(good, bad)
    for culprit in sorted(suspects, key=int)[seed::97]:
        bad_ones = {one for one in suspects if culprit in graph.before(one)}
        asked = {bad}

        def holds(commit: str, bad_ones: set[str] = bad_ones, asked: set[str] = asked) -> bool:
            asked.add(commit)
            return commit not in bad_ones

        found = breaker.search(graph, (good, bad), holds, frozenset(suspects))
        assert found == Found(commit=culprit)
        assert len(asked) <= 12


def test_a_branch_that_is_older_than_what_the_series_needs_is_not_blamed() -> None:
    """1 - 2 (needed) - 3 (good) - 5 (breaks) - 6 (merges 4, which left at 1, where it never
    held) - 7."""
    graph = Graph(
        {"1": (), "2": ("1",), "3": ("2",), "4": ("1",)}
        | {"5": ("3",), "6": ("5", "4"), "7": ("6",)}
    )
    found = breaker.search(graph, ("3", "7"), {"2", "3"}.__contains__, frozenset("456"))
    assert found == Found(commit="5")


def test_without_suspects_a_branch_is_searched_as_well() -> None:
    """3 broke it on a branch that left at 1; 4 merges it into the main line, 1 - 2."""
    graph = Graph({"1": (), "2": ("1",), "3": ("1",), "4": ("2", "3"), "5": ("4",)})
    found = breaker.search(graph, ("1", "5"), {"1", "2"}.__contains__, frozenset())
    assert found == Found(commit="3")


def test_nothing_held_and_nothing_is_found() -> None:
    graph = Graph({"1": (), "2": ("1",), "3": ("2",)})
    assert breaker.search(graph, ("1", "3"), set().__contains__, frozenset("23")) is None


def test_a_merge_that_takes_the_older_side_is_blamed() -> None:
    graph = Graph({"1": (), "2": ("1",), "3": ("1",), "4": ("2", "3")})
    found = breaker.search(graph, ("2", "4"), {"2"}.__contains__, frozenset("34"))
    assert found == Found(commit="4", never="3")
