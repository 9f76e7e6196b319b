# SPDX-License-Identifier: GPL-2.0-only
import contextlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bisect import answer, outcome, record, text
from harness.bisect.run import resumable
from harness.bisect.search import Search
from harness.cli import main
from harness.errors import EndsError, ExitCode, HostError, UsageError
from harness.model import Question
from tests.unit.bisections import TEST, Kernels, World, begin, go_on, linear


def found(question: Question, world: World) -> tuple[ExitCode, Search, Kernels]:
    executor = Kernels(world)
    code, search = go_on(begin(question), executor)
    assert isinstance(search, Search)
    return code, search, executor


def names(search: Search) -> list[str]:
    return [search.question.candidates[number].name for number in outcome.culprits(search)]


def test_a_deterministic_failure_takes_one_run_a_step() -> None:
    for culprit in (0, 1, 31, 62, 63):
        code, search, executor = found(linear(64), World(culprit=culprit))
        assert (code, names(search)) == (ExitCode.OK, [f"c{culprit}"])
        between = [order for order in executor.orders if "--repeat" not in order.argv]
        assert len(between) <= 7  # the good end once, then six
        assert search.found.probability >= 0.99


def test_what_does_not_build_or_crashes_otherwise_is_skipped() -> None:
    world = World(culprit=40, broken={20, 21, 47}, crash=set(range(30, 40)))
    code, search, _ = found(linear(64), world)
    assert code == ExitCode.OK
    assert "c40" in names(search)
    assert set(names(search)) <= {f"c{n}" for n in range(30, 41)}
    assert all(search.tallies[n].lost == 3 for n in search.tallies if n in world.crash)


def test_another_crash_is_bad_where_any_failure_is_asked_for() -> None:
    world = World(culprit=40, crash=set(range(30, 40)))
    code, search, _ = found(linear(64, any_failure=True), world)
    assert (code, names(search)) == (ExitCode.OK, ["c30"])


def test_a_flaky_failure_is_found() -> None:
    right = 0
    for seed in range(4):
        code, search, _ = found(linear(32), World(culprit=seed * 9, rate=0.3, seed=seed))
        assert code == ExitCode.OK
        right += names(search) == [f"c{seed * 9}"]
    assert right >= 3


def test_the_same_program_is_not_run_again() -> None:
    same = dict.fromkeys(range(10, 16), "p")
    code, search, executor = found(linear(16), World(culprit=9, programs=same))
    assert (code, names(search)) == (ExitCode.OK, ["c9"])
    code, search, executor = found(linear(16), World(culprit=12, programs={11: "x", 8: "x"}))
    assert (code, names(search)) == (ExitCode.OK, ["c12"])
    assert len(executor.orders) <= 8


def test_two_at_once_find_the_same() -> None:
    code, search, executor = found(linear(64, jobs=2), World(culprit=23))
    assert (code, names(search)) == (ExitCode.OK, ["c23"])
    assert {order.cpus for order in executor.orders} == {1}


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (World(culprit=3, good_fails=True, never=True), "passed all 100 runs"),
        (World(culprit=99, good_fails=True), "have they changed places"),
        (World(culprit=3, good_fails=True), "the good end, good, fails too: 1 of 1 runs"),
        (World(culprit=99, programs={-1: "p", 15: "p"}), "both ends are the same program"),
        (World(culprit=3, broken={15}), "the bad end, c15, says nothing of aio-core/cancel: does"),
        (World(culprit=3, broken={-1}), "the good end, good, says nothing of aio-core/cancel"),
    ],
)
def test_wrong_ends_are_refused_with_their_reason(world: World, words: str) -> None:
    with pytest.raises(EndsError) as caught:
        found(linear(16), world)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_range_in_which_nothing_can_be_tested() -> None:
    code, search, _ = found(linear(8), World(culprit=3, broken=set(range(7))))
    said = "\n".join(text.lines(answer.of(record.load(record.recent()[0]))))
    assert code == ExitCode.FAILED
    assert "nothing between the ends can be tested: does not build: fs/aio.c: oh" in said


def test_interrupted_at_any_moment_it_finds_the_same_and_repeats_nothing() -> None:
    world = World(culprit=37, broken={33, 40})
    code, undisturbed, executor = found(linear(64), world)
    steps = len(executor.orders)
    code, search, path = interrupted(linear(64), world)
    assert (code, names(search)) == (ExitCode.OK, names(undisturbed))
    assert ended(path) == list(range(1, steps + 1))
    assert not record.load(path).begun


@pytest.mark.parametrize("seed", range(4))
def test_interrupted_no_run_counts_for_two_steps(seed: int) -> None:
    """A rare failure wants the same kernel twice at once."""
    world = World(culprit=9, rate=0.3, seed=seed)
    code, search, path = interrupted(linear(16, jobs=3), world, seed=seed)
    assert (code, names(search)) == (ExitCode.OK, ["c9"])
    runs = [one.run_dir for one in record.load(path).steps]
    assert len(runs) == len(set(runs))
    assert len(ended(path)) == len(set(ended(path))) == len(runs)


def interrupted(asked: Question, world: World, seed: int = 1) -> tuple[ExitCode, Search, Path]:
    """One that is gone on with each time, after it was interrupted up to 20 times."""
    dice = random.Random(seed)
    path = begin(asked)
    for _ in range(20):
        executor = Kernels(world, lives=dice.randint(0, 2), early=dice.random() < 0.5)
        with contextlib.suppress(KeyboardInterrupt):
            code, search = go_on(path, executor)
            break
    else:
        code, search = go_on(path, Kernels(world))
    assert isinstance(search, Search)
    return code, search, path


def ended(path: Path) -> list[int]:
    """The steps that ended, as often as the journal has them."""
    events = map(json.loads, (path / "journal.jsonl").read_text().splitlines())
    return [event["step"] for event in events if event["event"] == "end"]


def test_a_run_that_ended_unseen_is_taken_as_it_is() -> None:
    path = begin(linear(16))
    with pytest.raises(KeyboardInterrupt):
        go_on(path, Kernels(World(culprit=5), lives=2))  # the third step's run ended
    later = Kernels(World(culprit=5))
    go_on(path, later)
    assert all("--resume" not in order.argv for order in later.orders)
    assert [one.step for one in record.load(path).steps][:3] == [1, 2, 3]


def test_a_step_that_the_host_ended_is_run_again() -> None:
    path = begin(linear(16))
    world = World(culprit=5, full={7})
    with pytest.raises(HostError, match="step 3 ended with 20: no space"):
        go_on(path, Kernels(world))
    assert [one.step for one in record.load(path).begun] == [3]
    assert main(["bisect", "undo", "3"]) == ExitCode.OK
    assert not record.load(path).begun
    with pytest.raises(HostError, match="step 4 ended with 20: no space"):
        go_on(path, Kernels(world))
    world.full = ()
    code, search = go_on(path, Kernels(world))
    assert isinstance(search, Search)
    assert (code, names(search)) == (ExitCode.OK, ["c5"])
    assert not any(tally.lost for tally in search.tallies.values())


def test_a_run_without_a_record_says_nothing_and_is_not_tried_for_ever() -> None:
    code, search, executor = found(linear(16), World(culprit=5, silent={7}))
    assert (code, names(search)) == (ExitCode.OK, ["c5"])
    assert search.tallies[7].lost == 3
    assert len(executor.orders) < 13


def test_a_guest_that_is_lost_is_a_skip() -> None:
    code, search, _ = found(linear(16), World(culprit=5, lost={7}))
    assert (code, names(search)) == (ExitCode.OK, ["c5"])
    assert (search.tallies[7].lost, search.tallies[7].runs) == (3, 0)
    assert search.tallies[7].why == "1 x error: the agent is gone"


def test_what_fails_in_other_ways_now_and_then_is_no_reason_to_name_the_innocent() -> None:
    refused = 0
    for seed in range(10):
        world = World(culprit=5, rate=0.3, stray=0.15, seed=seed)
        try:
            code, search, _ = found(linear(16), world)
        except EndsError as error:  # where the failure that came first was one of the others
            assert "mostly fails in other ways than at first (BUG 0." in error.message
            refused += 1
            continue
        assert (code, names(search)) == (ExitCode.OK, ["c5"])
    assert refused <= 2


def test_a_bad_end_that_failed_once_is_not_run_for_ever() -> None:
    with pytest.raises(EndsError, match=r"failed in [1-5] of \d+ runs"):
        found(linear(16, most_runs=10), World(culprit=5, rate=0.04, seed=3))


def test_a_bad_end_that_fails_in_another_way_each_time_is_refused() -> None:
    with pytest.raises(EndsError) as caught:
        found(linear(16), World(culprit=5, stray=1.0))
    said = f"{caught.value.message} {caught.value.hint}"
    assert "the bad end, c15, says nothing in 9 of 10 runs of aio-core/cancel: " in said
    assert "--any-failure" in said


def test_no_more_runs_than_wanted_of_a_bad_end_that_passes() -> None:
    with pytest.raises(EndsError, match="passed all 3 runs"):
        found(linear(16, most_runs=3), World(culprit=5, never=True))


def test_what_is_the_program_of_the_good_end_is_looked_at_once() -> None:
    code, search, executor = found(linear(16), World(culprit=12, programs={-1: "p", 8: "p"}))
    assert (code, names(search)) == (ExitCode.OK, ["c12"])
    numbers = [World(culprit=12).number(order.argv) for order in executor.orders]
    assert numbers.count(8) <= 1
    assert search.posterior.probability(8) < 1e-6


def test_the_time_in_which_nothing_was_done_does_not_count() -> None:
    path = begin(linear(4))
    with record.BisectRecord(path) as made:
        made.resume()
    lines = [json.loads(line) for line in (path / "journal.jsonl").read_text().splitlines()]
    lines[0]["time"] = "2003-06-01T00:00:00+00:00"
    (path / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert outcome.document(record.load(path), 0)["duration_s"] == 0


def test_undo_forgets_a_step_and_the_search_goes_on() -> None:
    path = begin(linear(16))
    go_on(path, Kernels(World(culprit=5)))
    with pytest.raises(UsageError, match="came to its end"):
        resumable(record.load(path))
    last = record.load(path).steps[-1].step
    with record.BisectRecord(path) as made:
        made.undo(last)
    told = resumable(record.load(path))
    assert last not in {one.step for one in told.steps}
    code, search = go_on(path, Kernels(World(culprit=5)))
    assert isinstance(search, Search)
    assert (code, names(search)) == (ExitCode.OK, ["c5"])


def test_the_document_has_what_the_design_says() -> None:
    path = begin(linear(16))
    code, _ = go_on(path, Kernels(World(culprit=5, broken={7})))
    told = answer.document(answer.of(record.load(path)), code)
    assert (told["schema"], told["culprit"], told["exit"]) == (1, "c5", 0)
    assert told["candidates"][0]["commit"] == "c5"
    assert told["probability"] >= 0.99
    assert {"steps", "builds", "boots", "duration_s"} <= set(told)
    verdicts = {one["commit"]: one["verdict"] for one in told["steps"]}
    assert verdicts["c15"] == "bad"
    assert verdicts["good"] == "good"
    assert verdicts["c7"] == "skip"


def test_the_journal_gives_back_what_was_asked() -> None:
    asked = replace(linear(5), confidence=0.95, any_failure=True, jobs=3)
    assert record.load(begin(asked)).question == asked
    assert asked.test == TEST
