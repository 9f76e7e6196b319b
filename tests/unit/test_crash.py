# SPDX-License-Identifier: GPL-2.0-only
"""Locks from the words of stacks, and the lines about them; memory and documents are made up."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from harness import crash
from harness.crash import text, waits
from harness.crash.waits import Layout, Stack
from harness.errors import HostError

# As struct mutex_waiter and struct mutex have them.
MUTEX = Layout(kind="mutex", list=0, task=16, head=16)
STACK_WORDS = 64


class Memory:
    """Words at addresses; what was never written is not there."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.stacks: dict[int, range] = {}

    def task(self, address: int, stack: int) -> int:
        """A task with an empty stack."""
        self.stacks[address] = range(stack, stack + 8 * STACK_WORDS, 8)
        self.words |= dict.fromkeys(self.stacks[address], 0)
        return address

    def wait(self, lock: int, *entries: tuple[int, int], layout: Layout = MUTEX) -> None:
        """Tasks with entries at addresses wait for a lock, in that order."""
        ring = [lock + layout.head, *(entry + layout.list for _, entry in entries)]
        for before, member in zip([ring[-1], *ring], ring, strict=False):
            self.words[before], self.words[member + 8] = member, before
        for task, entry in entries:
            self.words[entry + layout.task] = task

    def read(self, address: int) -> int:
        return self.words[address]

    def find(self, task: int, layout: Layout = MUTEX) -> waits.Wait | None:
        stacks = {
            one: Stack(task=one, start=places[0], words=[self.words[place] for place in places])
            for one, places in self.stacks.items()
        }
        return waits.find(layout, stacks[task], stacks, self.read)


@pytest.fixture
def memory() -> Memory:
    made = Memory()
    for number in (1, 2, 3):
        made.task(0x1000 * number, 0x10000 * number)
    return made


def test_the_lock_is_the_one_member_that_is_no_waiter(memory: Memory) -> None:
    memory.wait(0x9000, (0x2000, 0x20040), (0x1000, 0x10080), (0x3000, 0x30100))
    for task in (0x1000, 0x2000, 0x3000):
        found = memory.find(task)
        assert found is not None and found.lock == 0x9000
        assert found.waiters == (0x2000, 0x1000, 0x3000), "in the order in which they came"


@pytest.mark.parametrize(
    "layout",
    [
        Layout(kind="completion", list=8, task=0, head=16),
        Layout(kind="rw_semaphore", list=0, task=16, head=24),
    ],
)
def test_other_kinds_have_other_places(memory: Memory, layout: Layout) -> None:
    memory.wait(0x9000, (0x1000, 0x10080), layout=layout)
    found = memory.find(0x1000, layout)
    assert found == waits.Wait(kind=layout.kind, lock=0x9000, waiters=(0x1000,))


def test_a_task_that_is_on_its_stack_by_chance_waits_for_nothing(memory: Memory) -> None:
    for place in (0x10010, 0x10080, 0x101F8):
        memory.words[place] = 0x1000
    assert memory.find(0x1000) is None


def test_what_is_left_of_an_earlier_wait_is_passed_over(memory: Memory) -> None:
    memory.wait(0x8000, (0x1000, 0x10020))
    memory.words[0x8000 + 16] = memory.words[0x8000 + 24] = 0x8010  # it is empty by now
    memory.wait(0x9000, (0x1000, 0x10080))
    found = memory.find(0x1000)
    assert found is not None and found.lock == 0x9000


@pytest.mark.parametrize("broken", [0, 0x10081, 0x666000, 0x20000])
def test_a_list_that_is_not_whole_is_none(memory: Memory, broken: int) -> None:
    memory.wait(0x9000, (0x1000, 0x10080), (0x2000, 0x20040))
    memory.words[0x20040] = broken
    assert memory.find(0x1000) is None


def test_a_list_that_never_comes_back_has_an_end(memory: Memory) -> None:
    memory.wait(0x9000, (0x1000, 0x10080))
    # From the lock on it goes round without us: each step looks whole.
    memory.words |= {0x9010: 0xA000, 0xA008: 0x9010, 0xA000: 0xA010, 0xA018: 0xA000}
    memory.words |= {0xA010: 0xA020, 0xA028: 0xA010, 0xA020: 0xA010}
    assert memory.find(0x1000) is None


def test_a_list_of_entries_that_are_not_on_stacks_is_none_of_ours(memory: Memory) -> None:
    memory.wait(0x9000, (0x1000, 0x10080), (0x2000, 0x50000))
    assert memory.find(0x1000) is None, "two members could be the lock"


SCHEDULES = ("context_switch", "__schedule", "schedule", "schedule_preempt_disabled")


@pytest.mark.parametrize(
    ("functions", "kind"),
    [
        (("__mutex_lock_common", "__mutex_lock", "mutex_lock", "f"), "mutex"),
        (("__ww_mutex_lock.constprop.0", "ww_mutex_lock", "f"), "mutex"),
        (("rwsem_down_read_slowpath", "__down_read_common", "down_read"), "rw_semaphore"),
        (("schedule_timeout", "___down_common", "__down", "down", "f"), "semaphore"),
        (("schedule_timeout", "do_wait_for_common", "wait_for_completion"), "completion"),
        (("schedule_timeout", "msleep", "mutex_lock"), ""),
        (("down_the_road", "f"), ""),
        ((), ""),
    ],
)
def test_the_kind_is_told_by_the_innermost_functions(functions: tuple[str, ...], kind: str) -> None:
    assert waits.kind_of((*SCHEDULES, *functions)) == kind


def test_who_asks_is_the_first_frame_below_the_locking() -> None:
    locking = (*SCHEDULES, "__mutex_lock_common", "__mutex_lock_slowpath", "mutex_lock")
    assert waits.asks((*locking, "aio_read_events", "mutex_lock", "f")) == len(locking)
    assert waits.asks(("queued_spin_lock_slowpath", "_raw_spin_lock", "f", "g")) == 2
    assert waits.asks(("cpu_relax", "virt_spin_lock", "_raw_spin_lock", "f")) == 3
    assert waits.asks(locking) == len(locking) - 1
    assert waits.asks(()) == 0


def test_a_cpu_spins_where_its_innermost_frames_do() -> None:
    assert waits.spins(("virt_spin_lock", "queued_spin_lock_slowpath", "f"))
    assert waits.spins(("mutex_spin_on_owner", "mutex_optimistic_spin"))
    assert not waits.spins(("f", "g", "h", "i", "_raw_spin_lock"))
    assert not waits.spins(("spin_the_disk",))


@pytest.mark.parametrize(
    ("graph", "circles"),
    [
        ({1: 2, 2: 1}, [(1, 2)]),
        ({3: 1, 1: 2, 2: 1, 4: 3}, [(1, 2)]),
        ({1: 1}, [(1,)]),
        ({5: 7, 7: 6, 6: 5, 1: 2, 2: 1, 8: 9}, [(5, 7, 6), (1, 2)]),
        ({1: 2, 2: 3}, []),
        ({}, []),
    ],
)
def test_circles(graph: dict[int, int], circles: list[tuple[int, ...]]) -> None:
    assert waits.circles(graph) == circles


def frames(*functions: str) -> list[dict[str, Any]]:
    return [
        {"function": one, "file": "fs/aio.c", "line": 10 * n} for n, one in enumerate(functions, 1)
    ]


def task(pid: int, *functions: str) -> dict[str, Any]:
    return {"pid": pid, "comm": f"t{pid}", "state": "D", "stack": frames(*functions)}


def lock(name: str, waiters: list[int], holder: Any = None, note: str = "") -> dict[str, Any]:
    about = {"kind": "mutex", "address": "0x90", "name": name, "object": "", "shared": False}
    return {**about, "waiters": waiters, "holder": holder, "note": note}


def document(**parts: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("blocked", "locks", "deadlocks", "running", "aio", "errors"), ())
    return {**empty, **parts}


def test_the_circle_is_told_first_and_its_tasks_once() -> None:
    one, two = task(1, "schedule", "mutex_lock", "f"), task(2, "mutex_lock", "g")
    three = task(3, "schedule", "mutex_lock", "h")
    first, second = lock("a", [1, 3], two), lock("b", [2], one)
    circle = [
        {"pid": 1, "comm": "t1", "lock": first},
        {"pid": 2, "comm": "t2", "lock": second},
    ]
    said = text.summary(
        document(blocked=[one, two, three], locks=[first, second], deadlocks=[circle])
    )
    assert said[:2] == [
        "deadlock: t1 (1) waits for mutex a, held by t2 (2)",
        "and t2 (2) waits for mutex b, held by t1 (1)",
    ]
    assert len(said) == 3 and "h() fs/aio.c:30" in said[2] and "held by t2 (2)" in said[2]
    assert "g() fs/aio.c:20" in said[2], "where the holder is"


def test_a_task_that_waits_for_itself() -> None:
    circle = [{"pid": 1, "comm": "t1", "lock": lock("a", [1])}]
    said = text.summary(document(deadlocks=[circle]))
    assert said == ["deadlock: t1 (1) waits for mutex a, which it holds itself"]


def test_a_lock_whose_holder_is_not_known_says_why() -> None:
    waiting = task(1, "schedule", "down", "f")
    (said,) = text.summary(document(blocked=[waiting], locks=[lock("s", [1], note="it is mute")]))
    assert said.startswith("t1 (1) in f() fs/aio.c:30 waits for mutex s") and "it is mute" in said


def test_a_lock_without_a_name_is_told_by_where_it_is() -> None:
    nameless = {**lock("", [1]), "object": "kioctx+0x140 (ring_lock)"}
    (said,) = text.summary(document(blocked=[task(1, "f")], locks=[nameless]))
    assert "mutex 0x90 in kioctx+0x140 (ring_lock)" in said


def test_a_summary_has_an_end_and_the_rest_is_in_the_text() -> None:
    many = document(blocked=[task(pid, "schedule", "io_schedule", "f") for pid in range(40)])
    said = text.summary(many)
    assert len(said) == 15 and said[-1] == "... and 26 lines more of this kind"
    assert all(f"t{pid} ({pid}), state D" in "\n".join(text.whole(many)) for pid in range(40))


def test_a_part_that_failed_is_a_line_beside_the_others() -> None:
    said = text.summary(document(blocked=[task(1, "schedule", "f")], errors=["aio: no memory"]))
    assert said == ["t1 (1) is blocked in f() fs/aio.c:20", "not read: aio: no memory"]


def test_contexts_are_told_with_their_requests() -> None:
    asked = {"operation": "aio_poll_cancel", "file": "pipe:[7]", "data": "0x12"}
    context = {
        **dict.fromkeys(("destroyed", "unread")),
        **dict.fromkeys(("pid", "active", "max_reqs", "nr_events"), 1),
        "user_id": "0x7f00",
        "comm": "t",
        "completed": 3,
        "requests": [{**asked, "iocb": "0x1", "cancellable": False}],
    }
    idle = {**context, "requests": [], "active": 0}
    said = text.summary(document(aio=[context, idle]))
    assert said == [
        "AIO context 0x7f00 of t (1): 1 of 1 requests active, 3 completed, ? unread",
        "  aio_poll_cancel on pipe:[7], data 0x12",
    ]
    assert "cannot be cancelled" in "\n".join(text.whole(document(aio=[context])))


def test_nothing_is_said_to_be_nothing() -> None:
    assert text.summary(document()) == ["no task is blocked and no CPU spins"]


def test_a_dump_that_is_none_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "core").write_text("no dump\n")
    found = crash.read(tmp_path / "core", tmp_path / "vmlinux")
    (line,) = found.summary
    assert "core is there, and was not read" in line and found.text == line + "\n"
    assert not found.document


def test_a_reader_that_takes_too_long_is_a_line(tmp_path: Path) -> None:
    (line,) = crash.read(tmp_path / "core", tmp_path / "vmlinux", timeout_s=0.0).summary
    assert "did not end within 0 s" in line


def test_without_drgn_there_is_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HostError, match="--dump needs drgn") as caught:
        crash.check()
    assert "pip install drgn" in caught.value.hint
