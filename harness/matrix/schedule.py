# SPDX-License-Identifier: GPL-2.0-only
"""What of a matrix begins when: pure, on a clock that the caller has.

List scheduling: whenever there is room, the task begins that is first by priority, then builds
before tests (as those wait for them), then by the longest chain of work that hangs on it. A test
takes as many processors as its guest has, or as few as it kept busy in the past: many wait for
most of their time. A build counts as half of the machine where tests can run beside it, and uses
all that they leave (executors give it a low priority). One kernel is built at a time where there
are few processors, those of one object directory one after the other, as the next one is then a
matter of the files that differ.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.executors import Capacity
from harness.model import Kind, Task

_CPUS_A_BUILD = 8  # processors that make another build at a time worth it
_UNIT = 10  # room is given in tenths of a processor
_LEAST = 2  # of them for whatever begins
_SPARE = 1.25  # what a past load is multiplied by, as it is no even one


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A task that is to begin now, the processors that it may use, the share of the machine's that
    is counted as its own, and the memory (MiB). A build may use more processors than that: what
    tests leave idle."""

    task: Task
    cpus: int
    share: float = 1.0
    memory_mib: int = 0


Rank = tuple[int, float, int]
"""Where a task stands in its line: priority, work that hangs on it, place in the plan."""

Room = tuple[int, int, int]
"""What a test takes: tenths of processors, processors of its guest, MiB."""


@dataclass(slots=True)
class _Line:
    """Tasks that are ready and want the same room, the first one on top."""

    ranks: list[tuple[Rank, str]] = field(default_factory=list)


class Schedule:
    """The tasks of a plan that are not `done`. A task that is larger than the machine has it for
    itself. `waiting` says how many of a kind have not begun, `waiting_work_s` the processors'
    seconds that they take; `left_out` those for which there is no time."""

    def __init__(self, tasks: Sequence[Task], capacity: Capacity, done: Iterable[str] = ()) -> None:
        over = set(done)
        self._tasks = {task.name: task for task in tasks if task.name not in over}
        self._place = {task.name: number for number, task in enumerate(tasks)}
        self._capacity = capacity
        self._builds_at_once, self._jobs = builds_at_once(capacity)
        self._free, self._free_mib = capacity.cpus * _UNIT, capacity.memory_mib
        self._crowd = 0  # processors of the guests that run
        self._after: dict[str, list[str]] = defaultdict(list)
        self._missing: dict[str, int] = {}
        for task in self._tasks.values():
            needs = [name for name in task.needs if name in self._tasks]
            self._missing[task.name] = len(needs)
            for name in needs:
                self._after[name].append(task.name)
        self._tails = tails(list(self._tasks.values()))
        self._tests: dict[Room, _Line] = defaultdict(_Line)
        self._builds: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._group = ""
        self._grants: dict[str, Grant] = {}
        self.waiting = Counter(task.kind for task in self._tasks.values())
        self._idle = set(self._tasks)
        self.left_out: list[Task] = []
        self.waiting_work_s = self._idle_work_s()
        for name, missing in self._missing.items():
            if not missing:
                self._ready(name)

    @property
    def running(self) -> Mapping[str, Grant]:
        """The tasks that have begun and not ended."""
        return self._grants

    def resize(self, capacity: Capacity) -> None:
        """There is more room, or less: machines have come or gone. What runs keeps its own."""
        self._free += (capacity.cpus - self._capacity.cpus) * _UNIT
        self._free_mib += capacity.memory_mib - self._capacity.memory_mib
        self._builds_at_once, self._jobs = builds_at_once(capacity)
        self._capacity = capacity
        lines = [line for line in self._tests.values() if line.ranks]
        self._tests = defaultdict(_Line)
        for rank, name in (one for line in lines for one in line.ranks):
            self._tests[self._room(self._tasks[name])].ranks.append((rank, name))
        for line in self._tests.values():
            heapq.heapify(line.ranks)
        self.waiting_work_s = self._idle_work_s()

    def begin(self, left_s: float | None = None) -> Grant | None:
        """The next task, which has begun with this; None when there is no room for any. One that
        would not end within `left_s` seconds is left out, and what needs it."""
        while (task := self._first()) is not None:
            if left_s is not None and self._needs_s(task) > left_s:
                self._leave_out(task.name)
                continue
            return self._grant(task)
        return None

    def ended(self, name: str) -> None:
        """A task has come to its end, well or not: what needs it may begin."""
        grant = self._grants.pop(name)
        self._free += round(grant.share * _UNIT)
        self._free_mib += grant.memory_mib
        if grant.task.kind is Kind.TEST:
            self._crowd -= grant.cpus
        for after in self._after[name]:
            self._missing[after] -= 1
            if not self._missing[after] and after in self._idle:
                self._ready(after)

    def _ready(self, name: str) -> None:
        task = self._tasks[name]
        if task.kind is Kind.BUILD:
            place = -task.priority, self._place[name], name
            heapq.heappush(self._builds[task.group], place)
            return
        line = self._tests[self._room(task)]
        heapq.heappush(line.ranks, (self._rank(task), name))

    def _rank(self, task: Task) -> Rank:
        return -task.priority, -self._tails[task.name], self._place[task.name]

    def _first(self) -> Task | None:
        """The one that is to begin. Tests of one priority may pass each other where there is no
        room for the first; what is of a lower one waits, or the first would wait for ever."""
        build = self._first_build()
        tops = [(line.ranks[0], room) for room, line in self._tests.items() if line.ranks]
        most = max((-rank[0] for (rank, _), _ in tops), default=None)
        if build is not None and (most is None or build.priority >= most):
            wanted = self._compilers() // 2  # a share that it keeps to its end
            return build if self._fits((wanted, 0, self._memory(build))) else None
        fitting = [top for top, room in tops if -top[0][0] == most and self._fits(room)]
        return self._tasks[min(fitting)[1]] if fitting else None

    def _first_build(self) -> Task | None:
        """The next kernel, of all that may be built beside those that are."""
        building = [one for one in self._grants.values() if one.task.kind is Kind.BUILD]
        if len(building) >= self._builds_at_once:
            return None
        busy = {one.task.group for one in building}
        tops = [
            (priority, group != self._group, place, name)
            for group, line in self._builds.items()
            if line and group not in busy
            for priority, place, name in line[:1]
        ]
        return self._tasks[min(tops)[-1]] if tops else None

    def _grant(self, task: Task) -> Grant:
        if task.kind is Kind.BUILD:
            heapq.heappop(self._builds[task.group])
            self._group = task.group
        else:
            heapq.heappop(self._tests[self._room(task)].ranks)
        self._no_more_waits(task)
        units = self._units(task) if task.kind is Kind.TEST else self._compilers()
        units = min(units, self._free)
        cpus = self._cpus(task) if task.kind is Kind.TEST else self._jobs
        self._free -= units
        memory_mib = self._memory(task)
        self._free_mib -= memory_mib
        if task.kind is Kind.TEST:
            self._crowd += cpus
        grant = Grant(task=task, cpus=cpus, share=units / _UNIT, memory_mib=memory_mib)
        self._grants[task.name] = grant
        return grant

    def _no_more_waits(self, task: Task) -> None:
        self._idle.discard(task.name)
        self.waiting[task.kind] -= 1
        self.waiting_work_s -= task.expected_s * self._units(task) / _UNIT

    def _compilers(self) -> int:
        """The room of a build: what its machine has, and half where tests use the rest, or
        could."""
        cpus = self._capacity.cpus // self._capacity.machines
        rest = (cpus - cpus // 2) * _UNIT
        ready = (units for (units, _, _), line in self._tests.items() if line.ranks)
        shared = self._crowd or any(units <= rest for units in ready)
        return max(1, self._jobs // (2 if shared else 1)) * _UNIT

    def _room(self, task: Task) -> Room:
        return self._units(task), self._cpus(task), self._memory(task)

    def _fits(self, room: Room) -> bool:
        units, cpus, memory = room
        crowd = self._crowd + cpus <= self._capacity.crowd * self._capacity.cpus
        return units <= self._free and crowd and memory <= self._free_mib

    def _units(self, task: Task) -> int:
        """Tenths of a processor that a task has to have."""
        most = self._cpus(task) * _UNIT
        return min(most, max(_LEAST, math.ceil(task.load * _SPARE * _UNIT))) if task.load else most

    def _cpus(self, task: Task) -> int:
        return min(task.cpus, max(1, self._capacity.cpus // self._capacity.machines))

    def _idle_work_s(self) -> float:
        idle = (self._tasks[name] for name in self._idle)
        return sum(task.expected_s * self._units(task) / _UNIT for task in idle)

    def _memory(self, task: Task) -> int:
        return min(task.memory_mib, self._capacity.memory_mib // self._capacity.machines)

    def _needs_s(self, task: Task) -> float:
        """Until something has come of it: of a kernel, the cell that is soonest done, with all
        other kernels that it waits for; for ever where all of its cells are left out."""
        if task.kind is Kind.TEST:
            return task.expected_s
        then = []
        after = self._after[task.name]
        for cell in (self._tasks[name] for name in after if name in self._idle):
            others = [self._tasks[name] for name in cell.needs if name in self._idle]
            then.append(cell.expected_s + sum(one.expected_s for one in others))
        return min(then, default=math.inf if after else task.expected_s)

    def _leave_out(self, name: str) -> None:
        task = self._tasks[name]
        if name not in self._idle:
            return
        self._no_more_waits(task)
        self.left_out.append(task)
        if task.kind is Kind.BUILD:
            heapq.heappop(self._builds[task.group])
        elif not self._missing[name]:
            heapq.heappop(self._tests[self._room(task)].ranks)
        for after in self._after[name]:
            self._leave_out(after)


def builds_at_once(capacity: Capacity) -> tuple[int, int]:
    """How many kernels are built at a time, and with how many compilers each."""
    cpus = max(1, capacity.cpus // capacity.machines)
    on_each = max(1, cpus // _CPUS_A_BUILD)
    return on_each * capacity.machines, max(1, cpus // on_each)


def tails(tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds from the begin of each task to the end of the last one that waits for it."""
    after: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        for name in task.needs:
            after[name].append(task)
    found: dict[str, float] = {}
    # A plan is two deep: builds, then cells, which nothing needs.
    for task in sorted(tasks, key=lambda one: bool(after[one.name])):
        then = [found[one.name] for one in after[task.name]]
        found[task.name] = task.expected_s + max(then, default=0.0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds that a plan takes: as it is going to run, and at least, whatever the order: the
    longest chain of tasks, all kernels one after another and a test of the last, or all tasks'
    processors' time, whichever is most."""

    total_s: float
    critical_s: float


def estimate(tasks: Sequence[Task], capacity: Capacity) -> Estimate:
    """Run the plan on a clock of its own."""
    schedule = Schedule(tasks, capacity)
    now, work = 0.0, 0.0
    ends: list[tuple[float, str]] = []
    while True:
        while (grant := schedule.begin()) is not None:
            heapq.heappush(ends, (now + grant.task.expected_s, grant.task.name))
            work += grant.task.expected_s * grant.share
        if not ends:
            break
        now, name = heapq.heappop(ends)
        schedule.ended(name)
    longest = max(tails(tasks).values(), default=0.0)
    builds_s = _builds_s(tasks) if builds_at_once(capacity)[0] == 1 else 0.0
    return Estimate(total_s=now, critical_s=max(longest, builds_s, work / capacity.cpus))


def _builds_s(tasks: Sequence[Task]) -> float:
    """All kernels, one at a time, and the shortest test that waits for any."""
    tests = [one.expected_s for one in tasks if one.needs]
    return sum(one.expected_s for one in tasks if one.kind is Kind.BUILD) + min(tests, default=0.0)
