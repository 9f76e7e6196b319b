# SPDX-License-Identifier: GPL-2.0-only
"""Who is blocked, by which lock, who holds it, and what the CPUs do, from a memory dump."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drgn import FaultError, Object, offsetof

from harness.crash import aio, waits
from harness.crash.core import Core
from harness.crash.waits import Layout, Wait

_FLAGS = 7  # of owner fields, which a task's alignment leaves free
_READER = 1  # rw_semaphore.owner: the last of the readers, who may be gone
_WRITER = 1  # rw_semaphore.count
_READERS_SHIFT = 8

# The struct and the members of an entry, the struct and the list of the lock.
_TYPES = {
    "mutex": ("struct mutex_waiter", "list", "task", "struct mutex", "wait_list"),
    "rw_semaphore": (
        *("struct rwsem_waiter", "list", "task"),
        *("struct rw_semaphore", "wait_list"),
    ),
    "semaphore": (
        *("struct semaphore_waiter", "list", "task"),
        *("struct semaphore", "wait_list"),
    ),
    "completion": (
        *("struct swait_queue", "task_list", "task"),
        *("struct completion", "wait.task_list"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds a lock: a task's address, 0 where it does not say. `shared`: one of several that
    may read; `note` what else there is to say."""

    task: int = 0
    shared: bool = False
    note: str = ""


def layouts(core: Core) -> dict[str, Layout]:
    """The kinds of locks that this kernel has with a list of waiters."""
    found = {}
    for kind, (entry, ring, task, lock, head) in _TYPES.items():
        try:
            waiter, whole = core.prog.type(entry), core.prog.type(lock)
            found[kind] = Layout(
                kind=kind,
                list=offsetof(waiter, ring),
                task=offsetof(waiter, task),
                head=offsetof(whole, head),
            )
        except LookupError:
            continue  # of PREEMPT_RT, which has rt_mutexes instead
    return found


def read(core: Core) -> dict[str, Any]:
    """`blocked`, `locks`, `deadlocks` and `running` of the document; a part that cannot be read
    is a line of `errors`."""
    known, errors = layouts(core), []
    blocked, found = [], {}
    for address in core.tasks:
        try:
            state = core.state(address)
            wait = _wait(core, known, address)
        except (FaultError, LookupError, AttributeError, ValueError) as error:
            errors.append(f"task {address:#x}: {error}")
            continue
        if state == "D" or wait is not None:
            blocked.append(core.about(address))
        if wait is not None:
            found[address] = wait
    locks: list[dict[str, Any]] = []
    holders: dict[int, int] = {}
    for lock in dict.fromkeys((wait.lock, wait.kind) for wait in found.values()):
        those = {task: wait for task, wait in found.items() if (wait.lock, wait.kind) == lock}
        try:
            owner = owner_of(core, *lock)
        except (FaultError, LookupError, AttributeError) as error:
            owner = Owner(note=f"its holder cannot be read: {error}")
        locks.append(_lock(core, those, owner))
        holders |= dict.fromkeys(those, owner.task)
    circles = waits.circles({task: holder for task, holder in holders.items() if holder})
    return {
        "blocked": blocked,
        "locks": locks,
        "deadlocks": [_circle(core, circle, locks) for circle in circles],
        "running": list(_running(core)),
        "errors": errors,
    }


def _wait(core: Core, known: dict[str, Layout], address: int) -> Wait | None:
    """What a task waits for that sleeps."""
    stack = core.stacks.get(address)
    if stack is None or address in core.running.values():
        return None
    if wait := _pi_wait(core, address):
        return wait
    if stack.task not in stack.words:  # no entry of any list; spares most tasks the unwinding
        return None
    kind = waits.kind_of([frame["function"] for frame in core.frames(address)])
    return waits.find(known[kind], stack, core.stacks, core.word) if kind in known else None


def _pi_wait(core: Core, address: int) -> Wait | None:
    """An rt_mutex, which every sleeping lock is with PREEMPT_RT; the task itself names it."""
    task = core.tasks[address]
    if not hasattr(task, "pi_blocked_on") or not task.pi_blocked_on:
        return None
    return Wait(kind="rt_mutex", lock=task.pi_blocked_on.lock.value_(), waiters=(address,))


def owner_of(core: Core, address: int, kind: str) -> Owner:
    """Who holds the lock at that address."""
    if kind in ("semaphore", "completion"):
        return Owner(note=f"a {kind} does not say who is to give it")
    if kind == "rt_mutex":
        lock = Object(core.prog, "struct rt_mutex_base *", address)
        return Owner(task=lock.owner.value_() & ~_FLAGS)
    lock = Object(core.prog, f"struct {kind} *", address)
    owner = lock.owner.counter.value_() & (1 << 64) - 1
    if kind == "mutex":
        return Owner(task=owner & ~_FLAGS, note="" if owner & ~_FLAGS else "nobody holds it")
    count = lock.count.counter.value_()
    if not count & _WRITER and (readers := max(0, count) >> _READERS_SHIFT):
        note = f"held by {readers} reader{'s' * (readers > 1)}, of whom it is known who came last"
        return Owner(task=owner & ~_FLAGS, shared=True, note=note)
    if not count & _WRITER or owner & _READER:
        return Owner(note="nobody holds it")
    return Owner(task=owner & ~_FLAGS)


def _lock(core: Core, those: dict[int, Wait], owner: Owner) -> dict[str, Any]:
    wait = next(iter(those.values()))
    name, inside = core.name_of(wait.lock)
    # In the order of the lock's list, which has all of them; an rt_mutex has a tree.
    waiters = [task for task in wait.waiters if task in core.tasks]
    waiters += [task for task in those if task not in waiters]
    return {
        "kind": wait.kind,
        "address": hex(wait.lock),
        "name": name,
        "object": "" if name else aio.inside(core, wait.lock) or inside,
        "waiters": [core.tasks[task].pid.value_() for task in waiters],
        "holder": core.about(owner.task) if owner.task else None,
        "shared": owner.shared,
        "note": owner.note,
    }


def _circle(
    core: Core, circle: tuple[int, ...], locks: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each task of the circle with the lock that it waits for, from the oldest one on."""
    told = []
    for task in circle:
        pid = core.tasks[task].pid.value_()
        lock = next(one for one in locks if pid in one["waiters"])
        comm = core.tasks[task].comm.string_().decode(errors="replace")
        about = {key: lock[key] for key in ("kind", "address", "name", "object", "shared")}
        told.append({"pid": pid, "comm": comm, "lock": about})
    first = min(range(len(told)), key=lambda number: told[number]["pid"])
    return told[first:] + told[:first]


def _running(core: Core) -> Iterator[dict[str, Any]]:
    """What each CPU does, and on which lock it spins."""
    for cpu, address in sorted(core.running.items()):
        about = core.about(address)
        spins = waits.spins([frame["function"] for frame in about["stack"]])
        yield {"cpu": cpu, **about, "spins": spins, "lock": _spun(core, address) if spins else ""}


def _spun(core: Core, address: int) -> str:
    """The lock that a frame of a spinning task has as `lock`, where the compiler kept it."""
    for frame in list(core.trace(address))[:8]:
        try:
            lock = frame["lock"].value_()
        except (LookupError, FaultError, ValueError, TypeError):  # no such variable, or no more
            continue
        if isinstance(lock, int) and lock:
            name, inside = core.name_of(lock)
            return name or inside or hex(lock)
    return ""
