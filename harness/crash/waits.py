# SPDX-License-Identifier: GPL-2.0-only
"""Which lock a task waits for, from the words on its stack; who waits in a circle. Pure.

A task that waits for a mutex, a rw_semaphore, a semaphore or a completion has an entry of the
lock's list of waiters on its stack, which names the task. Neither lockdep nor the lock's own
debugging is needed to find it: it is where the task's address stands on the stack with a list
around it that is whole. The one member of that list that is nobody's entry is the lock's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_LIST_MAX = 4096

Word = Callable[[int], int]
"""The word of the guest's memory at an address; LookupError where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a kind of lock and an entry of its list have what: offsets in bytes.

    `list` (its list_head) and `task` are of the entry, `head` (its list_head) is of the lock.
    """

    kind: str
    list: int
    task: int
    head: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What is left of a task's stack: the address of its first word, and the words."""

    task: int
    start: int
    words: Sequence[int]

    def holds(self, address: int) -> bool:
        """The address is on it."""
        return self.start <= address < self.start + 8 * len(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A task waits for the lock at that address, whose list has these tasks, first come first."""

    kind: str
    lock: int
    waiters: tuple[int, ...]


KINDS = {
    "mutex": re.compile(r"_*(ww_)?mutex_lock"),
    "rw_semaphore": re.compile(r"_*(rwsem_)?down_(read|write)"),
    "semaphore": re.compile(r"_*down(_common|_interruptible|_killable|_timeout)?$"),
    "completion": re.compile(r"_*(wait_for_common|wait_for_completion|do_wait_for_common)"),
}
"""The functions in which a task waits for a lock of the kind."""

_SCHEDULER = re.compile(r"_*(schedule|context_switch|switch_to|io_schedule)")
_INNER = re.compile(
    r"_*rt_(mutex|spin)|rwbase_|rwsem_|queued_spin|_raw_spin|do_raw_spin|osq_lock"
    r"|cpu_relax|rep_nop|native_pause|(arch_|raw_)?atomic(64)?_"  # inlined into what spins
)
_SPINS = re.compile(
    r"virt_spin_lock|(native_|__pv_)?queued_spin_lock|_*(raw_)?spin_lock|do_raw_spin_lock|osq_lock"
    r"|queued_(read|write)_lock_slowpath|(mutex|rwsem)_(spin_on_owner|optimistic_spin)"
)


def kind_of(functions: Sequence[str]) -> str:
    """What kind of lock a task waits for whose stack has these functions, innermost first."""
    for function in functions:
        if _SCHEDULER.match(function):
            continue
        for kind, pattern in KINDS.items():
            if pattern.match(function):
                return kind
        if not _INNER.match(function):
            return ""
    return ""


def spins(functions: Sequence[str]) -> bool:
    """They are of a task that runs and waits for a spinlock, or for who is to let a lock go."""
    return any(_SPINS.match(function) for function in functions[:4])


def asks(functions: Sequence[str]) -> int:
    """The index of the frame that asks for the lock: the first one below what locks and
    schedules; the last where all do."""
    patterns = (_SCHEDULER, _INNER, _SPINS, *KINDS.values())
    for number, function in enumerate(functions):
        if not any(pattern.match(function) for pattern in patterns):
            return number
    return max(0, len(functions) - 1)


def find(layout: Layout, stack: Stack, stacks: Mapping[int, Stack], word: Word) -> Wait | None:
    """What the task of `stack` waits for; `stacks` are those of all tasks, by task."""
    for number, value in enumerate(stack.words):
        if value != stack.task:
            continue
        entry = stack.start + 8 * number - layout.task
        try:
            members = tuple(_ring(entry + layout.list, word))
        except LookupError:
            continue
        named = [_waiter(layout, member, stacks, word) for member in members]
        if named.count(None) != 1:
            continue  # a list of something else
        head = named.index(None)
        waiters = [task for task in named[head + 1 :] + named[:head] if task is not None]
        return Wait(kind=layout.kind, lock=members[head] - layout.head, waiters=tuple(waiters))
    return None


def _ring(first: int, word: Word) -> Iterator[int]:
    """The members of a list from `first` on. LookupError where it is not whole."""
    member = first
    for _ in range(_LIST_MAX):
        yield member
        following = word(member)
        if following in (0, member) or following % 8 or word(following + 8) != member:
            raise LookupError(hex(member))
        if following == first:
            return
        member = following
    raise LookupError(f"{first:#x} has more than {_LIST_MAX} neighbours")


def _waiter(layout: Layout, member: int, stacks: Mapping[int, Stack], word: Word) -> int | None:
    """The task whose entry a member of a list is: it is on its stack and names it."""
    try:
        task = word(member - layout.list + layout.task)
    except LookupError:
        return None
    own = stacks.get(task)
    return task if own is not None and own.holds(member) else None


def circles(waits_for: Mapping[int, int]) -> list[tuple[int, ...]]:
    """Each circle of tasks of which every one waits for the next, by who holds what it wants;
    begins with the smallest number."""
    found: dict[tuple[int, ...], None] = {}
    for first in waits_for:
        path = [first]
        while (following := waits_for.get(path[-1])) is not None and following not in path:
            path.append(following)
        if following is not None:
            circle = path[path.index(following) :]
            at = circle.index(min(circle))
            found[(*circle[at:], *circle[:at])] = None
    return list(found)
