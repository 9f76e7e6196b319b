# SPDX-License-Identifier: GPL-2.0-only
"""A memory dump as drgn shows it: tasks, stacks, names of addresses.

The modules below harness/crash that import drgn run in a process of their own (see __init__.py),
or inside drgn itself (script.py).
"""

import contextlib
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from drgn import FaultError, Program
from drgn.helpers.common import identify_address
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char

from harness.crash.waits import Stack

_THREAD_SIZE = 16 << 10
_FRAMES_MAX = 64
# Where the kernel was built: in an O= beside its sources.
_BUILT_IN = re.compile(r"^(?:\.\./)*(?:tree/)?(?:\./)?")


class Core:
    """A dump, with what is asked for more than once."""

    def __init__(self, prog: Program) -> None:
        self.prog = prog
        self.errors: list[str] = []

    @cached_property
    def tasks(self) -> dict[int, Any]:
        """All tasks, by the address of their task_struct."""
        return {task.value_(): task for task in self._tasks()}

    def _tasks(self) -> Iterator[Any]:
        found = for_each_task(self.prog)
        while True:
            try:
                yield next(found)
            except StopIteration:
                return
            except (FaultError, LookupError) as error:  # a list that was being changed
                self.errors.append(f"there may be more tasks: {error}")
                return

    @cached_property
    def running(self) -> dict[int, int]:
        """The tasks that CPUs run, by the CPU; not those that do nothing."""
        found = {}
        for cpu in range(self.prog["nr_cpu_ids"].value_()):
            try:
                queue = per_cpu(self.prog["runqueues"], cpu)
                current, idle = queue.curr.value_(), queue.idle.value_()
            except (FaultError, LookupError):
                continue  # a CPU that is not there
            if current != idle:
                found[cpu] = current
        return found

    @cached_property
    def stacks(self) -> dict[int, Stack]:
        """What is in use of the tasks' stacks; the whole one of tasks that run."""
        found = {}
        for address, task in self.tasks.items():
            try:
                low = task.stack.value_()
                start = low if address in self.running.values() else task.thread.sp.value_()
                if not low <= start < low + self._thread_size:
                    continue
                data = self.prog.read(start, low + self._thread_size - start)
            except (FaultError, AttributeError):
                continue  # a task that is gone has none
            words = memoryview(data)[: len(data) // 8 * 8].cast("Q").tolist()
            found[address] = Stack(task=address, start=start, words=words)
        return found

    @cached_property
    def _thread_size(self) -> int:
        """THREAD_SIZE, of which the init task's stack is one."""
        try:
            return int(self.prog["init_stack"].type_.size)
        except LookupError:  # 6.10 and later: a symbol of the linker's script without a type
            return _THREAD_SIZE

    def word(self, address: int) -> int:
        """See harness.crash.waits.Word."""
        try:
            return int(self.prog.read_word(address))
        except FaultError:
            raise LookupError(hex(address)) from None

    def about(self, address: int) -> dict[str, Any]:
        """Whose pid, name, state and stack a task has; of one that is gone, its address."""
        task = self.tasks.get(address)
        if task is None:
            gone = f"a task that is gone ({address:#x})"
            return {"pid": None, "comm": gone, "state": "?", "stack": []}
        return {
            "pid": task.pid.value_(),
            "comm": task.comm.string_().decode(errors="replace"),
            "state": self.state(address),
            "stack": self.frames(address),
        }

    def state(self, address: int) -> str:
        """The letter that ps shows; R for what a CPU runs, whatever it is about to be."""
        if address in self.running.values():
            return "R"
        return str(task_state_to_char(self.tasks[address]))

    def frames(self, address: int) -> list[dict[str, Any]]:
        """The functions on a task's stack, innermost first, with those that are inlined."""
        found = []
        for frame in list(self.trace(address))[:_FRAMES_MAX]:
            name = frame.function_name or ""
            if not name:
                continue  # above the entry from user space
            file, line = "", 0
            with contextlib.suppress(LookupError):  # assembly without lines
                file, line, _ = frame.source()
            found.append({"function": name, "file": _BUILT_IN.sub("", file), "line": line})
        return found

    def trace(self, address: int) -> Any:
        """drgn's own view of a stack; empty where it has none."""
        try:
            return self.prog.stack_trace(self.tasks[address])
        except (FaultError, LookupError, ValueError):
            return ()

    def name_of(self, address: int) -> tuple[str, str]:
        """What a static variable at an address is called, and in what object it is else."""
        try:
            symbol = self.prog.symbol(address)
        except LookupError:
            return "", self._object_of(address)
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name, ""

    def _object_of(self, address: int) -> str:
        """`mm_struct+0x140 (mmap_lock)` for an object of the slab; empty where nothing is known."""
        try:
            known = identify_address(self.prog, address) or ""
        except (FaultError, LookupError, ValueError, AttributeError):
            return ""
        match = re.fullmatch(r"(?:free )?slab object: (.+)\+(0x[0-9a-f]+)", known)
        member = self.member(match[1], int(match[2], 16)) if match else ""
        inside = known.removeprefix("slab object: ")
        return f"{inside} ({member})" if member else inside

    def member(self, name: str, offset: int) -> str:
        """The member at an offset of a struct; empty where there is no such struct."""
        try:
            members = self.prog.type(f"struct {name}").members
        except (LookupError, SyntaxError):
            return ""
        for member in members or ():
            if member.name and 8 * offset == member.bit_offset:
                return str(member.name)
        for member in members or ():
            if not member.name and member.bit_offset <= 8 * offset:
                for inner in getattr(member.type, "members", None) or ():
                    if member.bit_offset + inner.bit_offset == 8 * offset and inner.name:
                        return str(inner.name)
        return ""
