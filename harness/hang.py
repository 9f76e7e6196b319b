# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel and QEMU say of a guest that hangs -> the lines that tell most. Pure.

Formats: sched_show_task() in kernel/sched/core.c, debug_show_all_locks() in
kernel/locking/lockdep.c, show_mem() in mm/show_mem.c (6.1 to 6.18), `info registers` of QEMU.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.splat import lines
from harness.splat.frames import LOCKING, REPORTING, TIMER, named

KINDS = frozenset({"hung-task", "soft-lockup", "hard-lockup", "rcu-stall"})
"""Kinds of splats by which the kernel says that something does not get on."""

_SUMMARY_MAX = 30
_TASK = re.compile(r"task:(?P<name>.+?)\s+state:(?P<state>[A-Z])\b.*? pid:\s*(?P<pid>\d+)")
_HELD = re.compile(r"\d+ locks? held by (?P<name>.+)/(?P<pid>\d+):")
_FREE = re.compile(r"\s*free:(?P<pages>\d+)")
_BANNER = re.compile(r"sysrq: ")
_REGISTER = re.compile(r"\b(?P<name>RIP|RSP|RBP|CPL|HLT)=(?P<value>[0-9a-f]+)")
_CALLERS = 4
_TASKS_MOST = 8
_LOCKS_MOST = 6
_IDLE = re.compile(r"(pv_)?(native_)?safe_halt|\w*_idle\w*|mwait_\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that SysRq shows; `stack` are its functions, the innermost first."""

    name: str
    pid: int
    state: str
    stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """A processor, stopped: addresses as QEMU has them, `stack` what they are, if that is known."""

    number: int
    rip: int
    rsp: int
    rbp: int
    user: bool
    halted: bool
    stack: tuple[str, ...] = ()


def cpus(registers: str) -> list[Cpu]:
    """What `info registers -a` says of each processor."""
    found = []
    for part in re.split(r"^CPU#", registers, flags=re.MULTILINE)[1:]:
        told = {one["name"]: int(one["value"], 16) for one in _REGISTER.finditer(part)}
        if "RIP" in told:
            found.append(
                Cpu(
                    number=int(part.split()[0]),
                    rip=told["RIP"],
                    rsp=told.get("RSP", 0),
                    rbp=told.get("RBP", 0),
                    user=told.get("CPL") == 3,
                    halted=bool(told.get("HLT")),
                )
            )
    return found


def blocked(console: str) -> list[Task]:
    """The tasks in uninterruptible sleep, as they first stand there, by what SysRq w or t shows."""
    found: dict[int, Task] = {}
    for task in _tasks(console):
        if task.state == "D":
            found.setdefault(task.pid, task)
    return list(found.values())


def _tasks(console: str) -> Iterator[Task]:
    begun: Task | None = None
    stack: list[str] = []
    for text in _texts(console):
        if started := _TASK.match(text):
            if begun:
                yield replace(begun, stack=tuple(stack))
            begun = Task(name=started["name"], pid=int(started["pid"]), state=started["state"])
            stack = []
        elif begun and (_BANNER.match(text) or text.startswith("Showing ")):
            yield replace(begun, stack=tuple(stack))
            begun = None
        elif begun and (function := named(text)):
            stack.append(function)
    if begun:
        yield replace(begun, stack=tuple(stack))


def _texts(console: str) -> Iterator[str]:
    for number, raw in enumerate(console.split("\n"), 1):
        yield lines.parse(raw.encode(), number).text


def held(console: str) -> list[str]:
    """Who holds which locks, in lockdep's words."""
    found: list[str] = []
    said = 0
    for text in _texts(console):
        if owner := _HELD.match(text):
            found.append(f"{owner['name']}/{owner['pid']} holds")
            said = len(found)
        elif said == len(found) and found and re.match(r" #\d+: ", text):
            # `#0: ffff88800... (&ctx->lock){....}-{2:2}, at: function+0x..`
            name = re.search(r"\((?P<name>.+?)\)\{", text)
            at = re.search(r"at: (?P<at>[\w.]+)", text)
            found[-1] += f" {name['name'] if name else text.strip()}"
            found[-1] += f" (taken in {at['at']})" if at else ""
        else:
            said = -1
    return [one for one in found if not one.endswith(" holds")]


def free_kib(console: str) -> int | None:
    """Free memory by SysRq m, in KiB."""
    free = next((found for text in _texts(console) if (found := _FREE.match(text))), None)
    return int(free["pages"]) * 4 if free else None


def interrupted(console: str) -> tuple[str, ...]:
    """What a processor did when it got an NMI of which it panicked, the innermost first."""
    texts = list(_texts(console))
    end = next((n for n, text in enumerate(texts) if text.strip() == "</NMI>"), None)
    if end is None:
        return ()
    pointer = (re.match(r"RIP: 0010:(?P<name>[\w.]+)\+", text) for text in texts)
    first = [one["name"] for one in pointer if one][-1:]
    rest = [name for text in texts[end:] if (name := named(text))]
    return (*first, *rest)


def summary(
    *, console: str, processors: Sequence[Cpu], alive: bool, memory: Sequence[str] = ()
) -> tuple[str, ...]:
    """30 lines at most, the first a sentence: what hangs, by what the console shows since SysRq was
    asked for and where each processor is. `alive`: the agent answers, so that it is not the whole
    guest; `memory`: what a dump of it says."""
    asleep = blocked(console)
    trace = interrupted(console)
    told = [_headline(asleep, processors, trace, alive=alive), *memory]
    told += [f"{one.name}/{one.pid} is blocked: {_path(one.stack)}" for one in asleep[:_TASKS_MOST]]
    if len(asleep) > _TASKS_MOST:
        told.append(f"{len(asleep) - _TASKS_MOST} more tasks are blocked")
    told += held(console)[:_LOCKS_MOST]
    told += [f"CPU {cpu.number} {_doing(cpu)}" for cpu in processors]
    if trace:
        told.append(f"at an NMI: {_path(trace)}")
    free = free_kib(console)
    if free is not None:
        told.append(f"{free >> 10} MiB of memory are free")
    return tuple(told[:_SUMMARY_MAX])


def _headline(
    asleep: Sequence[Task], processors: Sequence[Cpu], trace: Sequence[str], *, alive: bool
) -> str:
    if asleep:
        guilty = _telling(asleep[0].stack)
        rest = f" and {len(asleep) - 1} more" if len(asleep) > 1 else ""
        where = f" in {guilty[0]}" if guilty else ""
        return f"{asleep[0].name}/{asleep[0].pid} is blocked{where}{rest}"
    if trace:
        guilty = _telling(trace) or tuple(trace)
        return f"a processor does not leave {guilty[0]}"
    busy = [cpu for cpu in processors if _busy(cpu)]
    if busy and not alive:
        guilty = _telling(busy[0].stack) or busy[0].stack
        return f"CPU {busy[0].number} does not leave {guilty[0] if guilty else hex(busy[0].rip)}"
    return "nothing is blocked" if alive else "nothing shows why"


def _busy(cpu: Cpu) -> bool:
    return not cpu.halted and not cpu.user and not (cpu.stack and _IDLE.fullmatch(cpu.stack[0]))


def _doing(cpu: Cpu) -> str:
    if cpu.user:
        return "runs a program"
    if not _busy(cpu):
        return "is idle"
    return f"runs {_path(cpu.stack)}" if cpu.stack else f"is at {cpu.rip:#x}"


def _telling(stack: Sequence[str]) -> tuple[str, ...]:
    """Without what only waits, locks or keeps time."""
    skipped = (LOCKING, TIMER, REPORTING)
    return tuple(one for one in stack if not any(skip.match(one) for skip in skipped))


def _path(stack: Sequence[str]) -> str:
    """The last function that waits, and who called it: `mutex_lock < aio_migrate < ...`"""
    telling = _telling(stack)
    if not telling:
        return " < ".join(stack[:_CALLERS])
    at = stack.index(telling[0])
    return " < ".join([*stack[max(0, at - 1) : at], *telling[:_CALLERS]])
