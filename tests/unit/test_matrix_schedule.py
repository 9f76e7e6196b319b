# SPDX-License-Identifier: GPL-2.0-only
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.executors import Capacity
from harness.matrix.schedule import Schedule, estimate, tails
from harness.model import Kind, Task

TWO = Capacity(cpus=2, memory_mib=8192)


def build(name: str, *, group: str = "", priority: int = 0, seconds: float = 30.0) -> Task:
    return Task(
        name=name,
        kind=Kind.BUILD,
        argv=("build", name),
        group=group or name,
        priority=priority,
        expected_s=seconds,
    )


def cell(
    name: str, *needs: str, cpus: int = 1, mib: int = 512, priority: int = 0, seconds: float = 10.0
) -> Task:
    return Task(
        name=name,
        kind=Kind.TEST,
        argv=("run", name),
        cpus=cpus,
        memory_mib=mib,
        needs=needs,
        priority=priority,
        expected_s=seconds,
    )


def begun(schedule: Schedule) -> list[tuple[str, int]]:
    """The tasks that begin now, with their processors."""
    found = []
    while (grant := schedule.begin()) is not None:
        found.append((grant.task.name, grant.cpus))
    return found


def test_tests_begin_when_their_kernel_is_ready_while_another_is_built() -> None:
    schedule = Schedule([build("k1"), build("k2"), cell("a", "k1"), cell("b", "k2")], TWO)
    assert begun(schedule) == [("k1", 2)]  # nothing to test: all of the machine
    schedule.ended("k1")
    assert begun(schedule) == [("k2", 2), ("a", 1)]
    schedule.ended("k2")
    assert begun(schedule) == [("b", 1)]
    schedule.ended("a")
    schedule.ended("b")
    assert begun(schedule) == [] and not schedule.running
    assert schedule.waiting[Kind.TEST] == schedule.waiting[Kind.BUILD] == 0
    assert schedule.waiting_work_s == 0


def test_a_test_waits_for_all_its_kernels() -> None:
    schedule = Schedule([build("k1"), build("k2"), cell("a", "k1", "k2")], TWO)
    assert begun(schedule) == [("k1", 2)]
    schedule.ended("k1")
    assert begun(schedule) == [("k2", 2)]
    schedule.ended("k2")
    assert begun(schedule) == [("a", 1)]


def test_builds_of_one_object_directory_follow_each_other() -> None:
    tasks = [build("a1", group="a"), build("b1", group="b"), build("a2", group="a")]
    schedule = Schedule([*tasks, build("b2", group="b")], TWO)
    order = []
    while now := begun(schedule):
        order += [name for name, _ in now]
        schedule.ended(now[0][0])
    assert order == ["a1", "a2", "b1", "b2"]


def test_a_large_machine_builds_more_than_one_but_not_in_one_directory() -> None:
    large = Capacity(cpus=16, memory_mib=65536)
    tasks = [build("a1", group="a"), build("a2", group="a"), build("b1", group="b")]
    schedule = Schedule([*tasks, cell("now"), cell("then")], large)
    assert begun(schedule) == [("a1", 8), ("b1", 8), ("now", 1), ("then", 1)]


def test_the_longest_comes_first() -> None:
    tasks = [cell("short", seconds=1), cell("long", seconds=9), cell("middle", seconds=5)]
    schedule = Schedule(tasks, TWO)
    assert [name for name, _ in begun(schedule)] == ["long", "middle"]


def test_priority_comes_before_length() -> None:
    schedule = Schedule([cell("long", seconds=9), cell("urgent", priority=1, seconds=1)], TWO)
    assert [name for name, _ in begun(schedule)] == ["urgent", "long"]


def test_what_is_urgent_and_large_is_not_passed_for_ever() -> None:
    small = [cell(f"small{number}") for number in range(9)]
    schedule = Schedule([*small, build("k"), cell("large", "k", cpus=2, priority=1)], TWO)
    assert [name for name, _ in begun(schedule)] == ["k", "small0"]
    schedule.ended("k")
    assert begun(schedule) == []  # a processor is free, and kept for it
    schedule.ended("small0")
    assert begun(schedule) == [("large", 2)]
    schedule.ended("large")
    assert len(begun(schedule)) == 2


def test_of_one_priority_the_small_pass_the_large() -> None:
    tasks = [cell("a", seconds=9), cell("large", cpus=2, seconds=5), cell("b", seconds=1)]
    schedule = Schedule(tasks, TWO)
    assert [name for name, _ in begun(schedule)] == ["a", "b"]


def test_memory_is_not_given_twice() -> None:
    schedule = Schedule([cell("a", mib=6000), cell("b", mib=6000)], TWO)
    assert [name for name, _ in begun(schedule)] == ["a"]


def test_what_is_larger_than_the_machine_has_it_alone() -> None:
    schedule = Schedule([cell("huge", cpus=64, mib=1 << 20, seconds=99), cell("a")], TWO)
    assert begun(schedule) == [("huge", 2)]
    schedule.ended("huge")
    assert begun(schedule) == [("a", 1)]


def test_what_is_done_is_not_run_and_not_waited_for() -> None:
    schedule = Schedule([build("k"), cell("a", "k"), cell("b", "k")], TWO, ["k", "a"])
    assert begun(schedule) == [("b", 1)]


def test_nothing_begins_that_would_not_end_in_time() -> None:
    tasks = [build("k"), cell("a", "k", seconds=20), cell("b", seconds=20), cell("c", seconds=9)]
    schedule = Schedule(tasks, TWO)
    grant = schedule.begin(10)
    assert grant is not None and grant.task.name == "c"
    assert schedule.begin(10) is None
    assert {task.name for task in schedule.left_out} == {"k", "a", "b"}
    schedule.ended("c")
    assert schedule.begin(10) is None and not schedule.running
    assert schedule.waiting_work_s == 0


def test_a_kernel_is_built_only_where_a_test_of_it_has_time() -> None:
    tasks = [build("k", seconds=30), cell("a", "k", seconds=60), cell("b", "k", seconds=20)]
    assert Schedule(tasks, TWO).begin(49) is None
    assert Schedule(tasks, TWO).begin(51) is not None


def test_a_chain_is_as_long_as_the_build_and_its_longest_test() -> None:
    tasks = [build("k", seconds=30), cell("a", "k", seconds=60), cell("b", "k", seconds=20)]
    assert tails(tasks) == {"k": 90, "a": 60, "b": 20}


def test_an_estimate_of_one_chain_is_the_chain() -> None:
    made = estimate([build("k", seconds=30), cell("a", "k", seconds=60)], TWO)
    assert made.total_s == made.critical_s == 90


def test_kernels_one_after_another_and_a_test_are_a_path_too() -> None:
    kernels = [build(f"k{n}", group=str(n), seconds=30) for n in range(3)]
    cells = [cell(f"c{n}", f"k{n}", seconds=10 + n) for n in range(3)]
    made = estimate([*kernels, *cells], TWO)
    assert (made.critical_s, made.total_s) == (100, 102)


@pytest.mark.parametrize("seed", range(20))
def test_any_plan_ends_within_graham_s_bound(seed: int) -> None:
    tasks = _random_plan(random.Random(seed))
    capacity = Capacity(cpus=4, memory_mib=1 << 20)
    made = estimate(tasks, capacity)
    alone = [one for one in tasks if one.kind is Kind.TEST and one.cpus == 1]
    assert made.critical_s <= made.total_s + 1e-6
    # List scheduling of tasks with one processor each is at most 2 - 1/m from the best (Graham
    # 1966); builds come one at a time, and large tests wait for each other.
    builds_s = sum(one.expected_s for one in tasks if one.kind is Kind.BUILD)
    large_s = sum(one.expected_s for one in tasks if one not in alone and one.kind is Kind.TEST)
    assert made.total_s <= 2 * made.critical_s + builds_s + 2 * large_s


def _random_plan(dice: random.Random) -> Sequence[Task]:
    builds = [build(f"k{n}", group=f"g{n % 3}", seconds=dice.uniform(1, 50)) for n in range(8)]
    cells = [
        cell(
            f"c{n}",
            f"k{dice.randrange(8)}",
            cpus=dice.choice((1, 1, 1, 2, 4)),
            priority=dice.choice((0, 0, 5)),
            seconds=dice.uniform(1, 90),
        )
        for n in range(60)
    ]
    return [*builds, *cells]


@pytest.mark.parametrize("seed", range(20))
def test_everything_of_a_plan_runs_once_within_the_machine(seed: int) -> None:
    dice = random.Random(seed)
    tasks = _random_plan(dice)
    capacity = Capacity(cpus=3, memory_mib=4096)
    schedule = Schedule(tasks, capacity)
    seen: list[str] = []
    ended: set[str] = set()
    while True:
        seen += [name for name, _ in begun(schedule)]
        running = schedule.running
        assert sum(grant.share for grant in running.values()) <= 3
        assert all(need in ended for grant in running.values() for need in grant.task.needs)
        if not running:
            break
        name = dice.choice(list(running))
        schedule.ended(name)
        ended.add(name)
    assert sorted(seen) == sorted(task.name for task in tasks)


def test_what_waits_for_most_of_its_time_is_run_beside_others() -> None:
    idle = [replace(cell(f"idle{n}", seconds=99), load=0.2) for n in range(9)]
    schedule = Schedule([*idle, cell("busy", seconds=9)], TWO)
    names = [name for name, _ in begun(schedule)]
    assert names == ["idle0", "idle1", "idle2", "idle3"]  # no more guests than twice the machine
    for name in names:
        schedule.ended(name)
    assert len(begun(schedule)) == 4
    free = Schedule([idle[0], cell("one"), cell("two")], TWO)
    assert [name for name, _ in begun(free)] == ["idle0", "one"]  # 0.3 and 1 of 2, no room for 1


def test_a_load_is_never_more_than_the_guest_has_nor_nothing() -> None:
    hot = replace(cell("hot"), load=1.7)
    cold = [replace(cell(f"cold{n}"), load=0.001) for n in range(4)]
    assert [name for name, _ in begun(Schedule([hot, cell("other")], TWO))] == ["hot", "other"]
    assert len(begun(Schedule([hot, *cold], TWO))) == 4


def test_a_build_goes_on_beside_tests_that_wait() -> None:
    idle = [replace(cell(f"idle{n}"), load=0.3) for n in range(2)]
    schedule = Schedule([*idle, build("k"), cell("later", "k")], TWO)
    assert begun(schedule) == [("k", 2), ("idle0", 1), ("idle1", 1)]


def test_a_build_waits_for_half_of_its_share_at_least() -> None:
    large = Capacity(cpus=8, memory_mib=65536)
    tests = [cell(f"t{n}", priority=1, seconds=n + 1) for n in range(7)]
    schedule = Schedule([*tests, build("k"), cell("later", "k")], large)
    assert [name for name, _ in begun(schedule)] == [f"t{n}" for n in reversed(range(7))]
    schedule.ended("t0")
    assert begun(schedule) == [("k", 8)]  # and uses all that tests leave
    assert schedule.running["k"].share == 2


def test_a_kernel_is_built_only_where_the_others_of_its_cell_have_time_too() -> None:
    tasks = [
        build("base", seconds=120),
        build("tip", seconds=120),
        cell("a", "base", "tip", seconds=60),
    ]
    schedule = Schedule(tasks, TWO)
    assert schedule.begin(200) is None and len(schedule.left_out) == 3
    assert Schedule(tasks, TWO).begin(301) is not None


def test_a_build_leaves_nothing_to_tests_that_have_no_room_beside_it() -> None:
    large = Task(name="6.12/s/base/two", kind=Kind.TEST, argv=(), cpus=2)
    small = Task(name="6.12/s/base/one", kind=Kind.TEST, argv=(), cpus=1)
    build = Task(name="k", kind=Kind.BUILD, argv=())
    for ready, share in ((large, 2), (small, 1)):
        grant = Schedule([build, ready], Capacity(cpus=2, memory_mib=1 << 20)).begin()
        assert grant is not None
        assert (grant.task, grant.share, grant.cpus) == (build, share, 2)


def test_machines_that_come_are_filled_and_those_that_go_are_not() -> None:
    def room(machines: int) -> Capacity:
        return Capacity(cpus=2 * machines, memory_mib=4096 * machines, machines=machines, crowd=1)

    schedule = Schedule([cell(name) for name in "abcdefgh"], room(1))
    assert begun(schedule) == [("a", 1), ("b", 1)]
    schedule.resize(room(3))
    assert begun(schedule) == [("c", 1), ("d", 1), ("e", 1), ("f", 1)]
    schedule.resize(room(1))
    for name in "abcd":
        schedule.ended(name)
        assert begun(schedule) == []
    schedule.ended("e")
    assert begun(schedule) == [("g", 1)]
    schedule.resize(Capacity(cpus=0, memory_mib=0))
    schedule.ended("f")
    schedule.ended("g")
    assert begun(schedule) == [], "all are gone"
    schedule.resize(room(1))
    assert begun(schedule) == [("h", 1)]


def test_each_machine_builds_but_not_two_of_one_directory() -> None:
    three = Capacity(cpus=12, memory_mib=1 << 15, machines=3, crowd=1)
    builds = [build("a1", group="a"), build("a2", group="a"), build("b1"), build("c1")]
    schedule = Schedule(builds, three)
    assert begun(schedule) == [("a1", 4), ("b1", 4), ("c1", 4)]
    schedule.ended("a1")
    assert begun(schedule) == [("a2", 4)]


def test_a_guest_is_no_larger_than_one_of_the_machines() -> None:
    three = Capacity(cpus=6, memory_mib=3 << 10, machines=3, crowd=1)
    schedule = Schedule([cell("a", cpus=4, mib=2048), cell("b", cpus=4, mib=2048)], three)
    assert begun(schedule) == [("a", 2), ("b", 2)]


@pytest.mark.parametrize("seed", range(20))
def test_memory_is_given_back_whole_whatever_the_size_was(seed: int) -> None:
    dice = random.Random(seed)
    names = [f"t{number}" for number in range(30)]
    schedule = Schedule([cell(name, mib=dice.randrange(100, 9000)) for name in names], TWO)
    ended = 0
    while ended < len(names):
        begun(schedule)
        for name in dice.sample(sorted(schedule.running), len(schedule.running) // 2 or 1):
            schedule.ended(name)
            ended += 1
        machines = dice.randrange(1, 4)
        schedule.resize(Capacity(cpus=2 * machines, memory_mib=4096 * machines, machines=machines))
    schedule.resize(TWO)
    assert (schedule._free, schedule._free_mib, schedule._crowd) == (20, TWO.memory_mib, 0)
