# SPDX-License-Identifier: GPL-2.0-only
"""A plan on guests that answer at once: who shares one, who dies, how many at a time."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import host, journal, model
from harness.boots import Needs
from harness.execution import Execution, Target
from harness.guest import Guest
from harness.model import (
    Cell,
    Command,
    CommandResult,
    FailNth,
    Kernel,
    Loss,
    Mount,
    Outcome,
    Rounds,
    Series,
    Splat,
)
from harness.record import Record

KERNEL = Kernel(key="k", release="r", tree="t", dir=Path("/k"), cached=True)
Answer = Callable[[Command], CommandResult]


class Answers:
    """A guest that answers as it is told to, until one answer is its loss."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._gone = threading.Event()
        self.release, self.slowness, self.accel = "r", 1.0, "tcg"
        self.scratch: dict[str, str] = {}
        self.loss: Loss | None = None

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        ended = self._answer(command)
        if ended.timed_out:
            self._gone.wait(30)
            ended = CommandResult(loss=Loss.QEMU)
        self.loss = ended.loss
        return ended

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        return b""

    def find_leaks(self) -> bytes:
        return b""

    def stray_splats(self) -> tuple[Splat, ...]:
        return (Splat(kind="warning", title="between two", phase="between"),)

    def abort(self) -> None:
        self._gone.set()


class Guests:
    """A source of them; `needs` is what each boot was for, `most` how many were up at once."""

    def __init__(self, answer: Answer, kind: str) -> None:
        self._answer = answer
        self._kind = kind
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._up = self.most = 0
        self.needs: list[Needs] = []

    def kind_of(self, needs: Needs) -> str:
        return self._kind

    @contextlib.contextmanager
    def boot(
        self, kernel: Kernel, mounts: tuple[Mount, ...], needs: Needs, *, again: bool
    ) -> Iterator[tuple[Guest, int]]:
        with self._lock:
            self._up += 1
            self.most = max(self.most, self._up)
            self.needs.append(needs)
            number = next(self._numbers)
        yield Answers(self._answer), number
        with self._lock:
            self._up -= 1


class Quiet:
    """Looks on and keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def one(name: str, isolation: str = "run", **more: Any) -> model.Test:
    return model.Test(name=name, argv=(name,), isolation=isolation, **more)


def run(
    tmp_path: Path,
    tests: list[model.Test],
    answer: Answer,
    *,
    kind: str = "snapshot",
    measured: list[model.Test] | None = None,
    **cell: Any,
) -> tuple[Execution, Guests, Quiet]:
    """The plan on guests of that kind; then what is `measured`, once more and alone."""
    guests, watch = Guests(answer, kind), Quiet()
    looks: Any = watch
    with Record(tmp_path, series="s", base="b", kconfig="k") as record:
        made = Execution(
            Cell(stack=Series(name="s"), tree="t", **{"parallel": 1, **cell}),
            Target(label="tip", kernel=KERNEL),
            guests,
            record=record,
            watch=looks,
        )
        made.run(tests)
        if measured is not None:
            guests.most = 0
            made.run_again(measured, alone=True)
    return made, guests, watch


def takes_a_while(command: Command) -> CommandResult:
    time.sleep(0.05)
    return CommandResult(status=0)


def passes(command: Command) -> CommandResult:
    return CommandResult(status=0)


def test_one_guest_for_a_group_and_another_for_the_next(tmp_path: Path) -> None:
    tests = [one("a/1"), one("a/2"), one("b/1", "test"), one("b/2", "test")]
    made, guests, _ = run(tmp_path, tests, passes)
    assert [result.test for result in made.results] == ["a/1", "a/2", "b/1", "b/2"]
    assert len(guests.needs) == 3
    assert len(made.stray) == 3, "each guest was asked at its end"


def test_tests_of_other_servers_have_other_saved_guests_but_share_a_booted_one(
    tmp_path: Path,
) -> None:
    tests = [one("a/c"), one("a/py", server=("python",), cwd="/x"), one("a/c2")]
    _, guests, _ = run(tmp_path, tests, passes)
    servers = [needs.server.server if needs.server else None for needs in guests.needs]
    assert servers == [None, ("python",), None]
    _, guests, _ = run(tmp_path, tests, passes, kind="vng")
    assert len(guests.needs) == 1


def test_rounds_share_a_booted_guest_and_not_a_saved_one(tmp_path: Path) -> None:
    tests = [one("a/1"), one("a/2")]
    for kind, count in (("vng", 1), ("snapshot", 3)):
        made, guests, _ = run(tmp_path, tests, passes, kind=kind, rounds=Rounds(count=3))
        assert [result.round for result in made.results] == [1, 1, 2, 2, 3, 3]
        assert len(guests.needs) == count


def test_a_lost_guest_costs_its_test_and_a_boot(tmp_path: Path) -> None:
    def dies(command: Command) -> CommandResult:
        if command.argv == ("a/2",):
            return CommandResult(loss=Loss.RESTART)
        return CommandResult(status=0)

    made, guests, _ = run(tmp_path, [one("a/1"), one("a/2"), one("a/3")], dies)
    outcomes = [result.outcome for result in made.results]
    assert outcomes == [Outcome.PASS, Outcome.CRASH, Outcome.PASS]
    assert len(guests.needs) == 2


def test_a_test_that_had_not_begun_gets_another_guest(tmp_path: Path) -> None:
    asked: list[str] = []

    def lost_before(command: Command) -> CommandResult:
        asked.append(command.argv[0])
        if asked == ["a/1", "a/2"]:
            return CommandResult(loss=Loss.RESTART, started=False)
        return CommandResult(status=0)

    made, _, _ = run(tmp_path, [one("a/1"), one("a/2")], lost_before)
    assert [result.outcome for result in made.results] == [Outcome.PASS, Outcome.PASS]
    assert asked == ["a/1", "a/2", "a/2"]


def test_a_guest_that_never_lets_a_test_begin_is_not_tried_for_ever(tmp_path: Path) -> None:
    never = CommandResult(loss=Loss.RESTART, started=False)
    made, guests, _ = run(tmp_path, [one("a/1")], lambda _: never)
    assert [result.outcome for result in made.results] == [Outcome.CRASH]
    assert len(guests.needs) == 3


def lost_by(loss: Loss, times: int, **more: Any) -> Callable[[Command], CommandResult]:
    """The test a/2 is lost in its guest so often."""
    left = [times]

    def answer(command: Command) -> CommandResult:
        if command.argv == ("a/2",) and left[0]:
            left[0] -= 1
            return CommandResult(loss=loss, **more)
        return CommandResult(status=0)

    return answer


@pytest.mark.parametrize("loss", [Loss.QEMU, Loss.AGENT, Loss.KVM, Loss.DISK])
@pytest.mark.parametrize(("times", "outcome"), [(1, "pass"), (2, "pass"), (3, "error")])
def test_a_fault_of_the_host_costs_a_guest_and_not_the_test(
    tmp_path: Path, loss: Loss, times: int, outcome: str
) -> None:
    tests = [one("a/1"), one("a/2"), one("a/3")]
    made, guests, _ = run(tmp_path, tests, lost_by(loss, times))
    assert [str(result.outcome) for result in made.results] == ["pass", outcome, "pass"]
    again = [fault for result in made.results for fault in result.retried]
    assert len(again) == min(times, 2)
    assert all(fault.startswith(f"{loss} (boot ") for fault in again)
    assert len(guests.needs) == times + 1
    (directory,) = tmp_path.iterdir()
    told = [line for line in journal.read(directory) if line["event"] == "lost"]
    assert [(line["test"], line["what"]) for line in told] == [("a/2", str(loss))] * len(again)


def test_what_the_kernel_is_to_blame_for_is_not_run_again(tmp_path: Path) -> None:
    panic = Splat(kind="panic", title="Kernel panic - not syncing: x", complete=True)
    warning = Splat(kind="warning", title="x")
    lost: list[tuple[Loss, tuple[Splat, ...]]] = [
        (Loss.RESTART, ()),
        (Loss.SILENT, ()),
        (Loss.QEMU, (panic,)),
        (Loss.QEMU, (warning,)),
        (Loss.KVM, (warning,)),
        (Loss.AGENT, (warning,)),
    ]
    for loss, splats in lost:
        made, _, _ = run(tmp_path, [one("a/2")], lost_by(loss, 1, splats=splats))
        (result,) = made.results
        unclear = loss in (Loss.QEMU, Loss.KVM) and splats == (warning,)
        assert result.outcome is Outcome.ERROR if unclear else result.outcome.bad
        assert [splat.title for splat in result.splats] == [splat.title for splat in splats]
        assert not made.results[0].retried


def test_results_have_the_order_of_the_plan_with_guests_side_by_side(tmp_path: Path) -> None:
    def slow_first(command: Command) -> CommandResult:
        if command.argv == ("a/0",):
            time.sleep(0.2)  # so that the others are done before
        return CommandResult(status=0)

    tests = [one(f"a/{number}", "test") for number in range(8)]
    made, guests, _ = run(tmp_path, tests, slow_first, parallel=4)
    assert [result.test for result in made.results] == [test.name for test in tests]
    assert 1 < guests.most <= 4
    assert len({result.boot for result in made.results}) == 8


def test_what_is_measured_has_the_host_for_itself(tmp_path: Path) -> None:
    tests = [one(f"a/{number}", "test") for number in range(6)]

    made, guests, _ = run(tmp_path, tests[:2], takes_a_while, measured=tests, parallel=4)
    assert guests.most == 1
    assert [(r.test, r.round) for r in made.results if r.round == 2] == [
        (test.name, 2) for test in tests
    ]


def test_no_tests_are_no_guest(tmp_path: Path) -> None:
    made, guests, _ = run(tmp_path, [], passes)
    assert not made.results and not guests.needs


def test_one_group_uses_one_guest_and_says_so(tmp_path: Path) -> None:
    _, guests, watch = run(tmp_path, [one("a/1"), one("a/2")], passes, parallel=4)
    assert guests.most == 1
    assert watch.notes == ["all tests share a guest: --isolation test would use more of --jobs"]


def test_memory_bounds_how_many_guests_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "free_mib", lambda: 1400.0)
    tests = [one(f"a/{number}", "test") for number in range(8)]
    _, guests, watch = run(tmp_path, tests, passes, parallel=4)
    assert guests.most <= 2
    assert watch.notes == ["2 guests at once: there is no memory for 4"]


def test_processors_say_how_many_guests_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "processors", lambda: 6)

    tests = [one(f"a/{number}", "test") for number in range(12)]
    for cpus, most in ((1, 6), (2, 3), (8, 1)):
        spec = model.GuestSpec(cpus=cpus)
        _, guests, watch = run(tmp_path, tests, takes_a_while, parallel=None, guest=spec)
        assert (guests.most, watch.notes) == (most, [])


def test_an_error_in_one_guest_ends_those_beside_it(tmp_path: Path) -> None:
    def fails_or_hangs(command: Command) -> CommandResult:
        if command.argv == ("a/0",):
            raise ValueError("a bug of ours")
        return CommandResult(timed_out=True)  # until it is killed

    tests = [one(f"a/{number}", "test") for number in range(8)]
    with pytest.raises(ValueError, match="a bug of ours"):
        run(tmp_path, tests, fails_or_hangs, parallel=3)
    journal = next(tmp_path.glob("*/journal.jsonl")).read_text()
    assert '"result"' not in journal, "what was killed has no result"


def test_fail_fast_begins_no_other(tmp_path: Path) -> None:
    made, _, _ = run(
        tmp_path,
        [one(f"a/{number}", "test") for number in range(5)],
        lambda command: CommandResult(status=command.argv == ("a/1",)),
        rounds=Rounds(fail_fast=True),
    )
    assert [result.test for result in made.results] == ["a/0", "a/1"]


def test_splats_say_more_once_more_is_known(tmp_path: Path) -> None:
    splat = Splat(kind="warning", title="WARNING in f")
    other = Splat(kind="bug", title="BUG in g")
    ended = CommandResult(status=0, splats=(other, splat))
    made, _, _ = run(tmp_path, [one("a/1"), one("a/2")], lambda _: ended)
    known = {one: replace(one, undecoded="why") for one in made.splats if one.kind == "warning"}
    assert len(known) == 3, "of two tests, and of none"
    with Record(tmp_path, series="s", base="b", kconfig="l") as record:
        made._record = record
        made.say_more(known)
    assert [one.undecoded for one in made.splats] == ["", "why", "", "why", "why"]
    assert (record.path / "journal.jsonl").read_text().count('"why"') == 3
    told = [(one.phase, one.test, one.boot) for one in made.splats if one.kind == "warning"]
    assert told == [("test", "a/1", 1), ("test", "a/2", 1), ("between", "", 1)]


def test_each_shot_has_a_guest_of_its_own(tmp_path: Path) -> None:
    def three_calls(command: Command) -> CommandResult:
        left = max(0, command.fail_nth - 3)
        return CommandResult(status=0 if left else 1, fault_left=left)

    made, guests, _ = run(
        tmp_path,
        [one("a/1", "test"), one("a/2", "test")],
        three_calls,
        parallel=2,
        fail_nth=FailNth(most=10),
    )
    for test in ("a/1", "a/2"):
        mine = [result for result in made.results if result.test == test and result.fault]
        injected = [one.fault.nth for one in mine if one.fault and one.fault.injected]
        assert injected == [1, 2, 3]
        assert {one.outcome for one in mine} == {Outcome.PASS}, "it failed as it was made to"
        assert len({one.boot for one in mine}) == len(mine) >= 5
    assert guests.most == 2


def test_a_shot_that_breaks_the_kernel_is_bad_and_the_next_one_comes(tmp_path: Path) -> None:
    def second_is_not_looked_at(command: Command) -> CommandResult:
        if command.fail_nth == 2:
            splat = Splat(kind="null-deref", title="NULL pointer dereference in f")
            return CommandResult(loss=Loss.RESTART, splats=(splat,))
        return CommandResult(status=0, fault_left=max(0, command.fail_nth - 3))

    made, _, _ = run(
        tmp_path, [one("a/1", "test")], second_is_not_looked_at, fail_nth=FailNth(most=10)
    )
    outcomes = [result.outcome for result in made.results]
    good = Outcome.PASS
    assert outcomes == [good, good, Outcome.CRASH, good, good]
