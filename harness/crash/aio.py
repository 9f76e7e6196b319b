# SPDX-License-Identifier: GPL-2.0-only
"""AIO contexts and their pending requests, from a memory dump; for Linux 6.1 to 6.12 and later.

Contexts come from the processes' tables and from the slab, which also has those that are being
destroyed; requests from the contexts' lists, which have those that can be cancelled, and from
the slab, which has all. A series may change struct aio_kiocb: what a request lacks is left out.
"""

from collections.abc import Callable, Iterator
from typing import Any

from drgn import FaultError, Object, cast
from drgn.helpers.linux.fs import d_path
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mm import page_to_virt
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.slab import slab_cache_for_each_allocated_object

from harness.crash.core import Core

UNREADABLE = (FaultError, LookupError, AttributeError, TypeError, ValueError)
"""What drgn raises for memory, names and members that are not there."""

_BIAS = 1 << 63  # of a percpu_ref's sum while each CPU counts for itself
_ATOMIC, _DEAD = 1, 2  # bits of percpu_count_ptr
_PF_KTHREAD = 0x00200000  # which may borrow a process's address space
_CONTEXTS_MAX, _REQUESTS_MAX, _OBJECTS_MAX = 256, 256, 1 << 16


def read(core: Core) -> dict[str, Any]:
    """`aio` of the document: a dict per context; a part that cannot be read is a line of
    `errors`."""
    errors: list[str] = []
    owners = _owners(core)
    contexts: dict[int, int] = {}  # to the mm whose it is, 0 while it is being destroyed
    for mm in owners:
        try:
            contexts |= {context.value_(): mm for context in _table(core, mm)}
        except UNREADABLE as error:
            errors.append(f"aio: the contexts of {mm:#x}: {error}")
    try:
        contexts = dict.fromkeys(_allocated_contexts(core), 0) | contexts
        requests = _allocated(
            *(core, "kiocb_cachep", "struct aio_kiocb"),
            lambda request: _pointer(request, "ki_ctx") in contexts,
        )
    except (*UNREADABLE, RuntimeError) as error:
        requests = []
        errors.append(f"aio: there may be contexts and requests that are not told: {error}")
    found = []
    for context, mm in list(contexts.items())[:_CONTEXTS_MAX]:
        try:
            own = [one for one in requests if one.ki_ctx.value_() == context]
            found.append(_context(core, context, owners.get(mm, []), own, errors))
        except UNREADABLE as error:
            errors.append(f"aio: the context {context:#x}: {error}")
    return {"aio": found, "errors": errors}


def _owners(core: Core) -> dict[int, list[Any]]:
    """The tasks of each address space, thread group leaders first."""
    found: dict[int, list[Any]] = {}
    for task in core.tasks.values():
        if (mm := _pointer(task, "mm")) and not task.flags & _PF_KTHREAD:
            found.setdefault(mm, []).append(task)
    for tasks in found.values():
        tasks.sort(key=lambda one: (one.pid.value_() != one.tgid.value_(), one.pid.value_()))
    return found


def _table(core: Core, mm: int) -> Iterator[Any]:
    """The contexts of an address space."""
    table = Object(core.prog, "struct mm_struct *", mm).ioctx_table
    if not table:
        return
    for number in range(min(table.nr.value_(), _CONTEXTS_MAX)):
        if context := table.table[number]:
            yield context


def _allocated(core: Core, cache: str, kind: str, wanted: Callable[[Any], bool]) -> list[Any]:
    """The objects of a slab cache that are wanted; where caches are merged it has others, too."""
    every = slab_cache_for_each_allocated_object(core.prog[cache], kind)
    found = []
    for number, one in enumerate(every):
        if number == _OBJECTS_MAX:
            raise ValueError(f"{cache} has more than {_OBJECTS_MAX} objects")
        if wanted(one):
            found.append(one)
    return found


def _allocated_contexts(core: Core) -> list[int]:
    """The addresses of all contexts. Asked for again they are not looked for again."""
    key = "harness.crash contexts"
    if key not in core.prog.cache:
        end = core.prog["free_ioctx_reqs"].address_

        def is_one(context: Any) -> bool:
            return bool(_value(lambda: context.reqs.data.release.value_()) == end)

        found = _allocated(core, "kioctx_cachep", "struct kioctx", is_one)
        core.prog.cache[key] = [one.value_() for one in found]
    return list(core.prog.cache[key])


def inside(core: Core, address: int) -> str:
    """`kioctx+0x140 (ring_lock)` for an address in a context, whatever its cache was merged with;
    empty for any other."""
    try:
        size = core.prog.type("struct kioctx").size
        starts = [start for start in _allocated_contexts(core) if 0 <= address - start < size]
    except (*UNREADABLE, RuntimeError):
        return ""
    if not starts:
        return ""
    offset = address - starts[0]
    member = core.member("kioctx", offset)
    return f"kioctx+{offset:#x}{f' ({member})' * bool(member)}"


def _context(
    core: Core, address: int, tasks: list[Any], requests: list[Any], errors: list[str]
) -> dict[str, Any]:
    context = Object(core.prog, "struct kioctx *", address)
    listed: dict[int, Any] = {}
    try:
        head = context.active_reqs.address_of_()
        for request in list_for_each_entry("struct aio_kiocb", head, "ki_list"):
            listed[request.value_()] = request
            if len(listed) == _REQUESTS_MAX:
                break
    except UNREADABLE as error:
        errors.append(f"aio: the requests of {address:#x} that can be cancelled: {error}")
    every = {one.value_(): one for one in requests} | listed
    return {
        "address": hex(address),
        "user_id": hex(context.user_id.value_()),
        "pid": tasks[0].tgid.value_() if tasks else None,
        "comm": _comm(tasks[0]) if tasks else "",
        "destroyed": bool(context.dead.counter.value_()) or not tasks,
        "max_reqs": context.max_reqs.value_(),
        "nr_events": context.nr_events.value_(),
        "active": _value(lambda: _count(core, context.reqs)),
        "completed": context.completed_events.value_(),
        "unread": _value(lambda: _unread(core, context)),
        "requests": [
            _request(core, one, cancellable=at in listed)
            for at, one in list(every.items())[:_REQUESTS_MAX]
        ],
    }


def _comm(task: Any) -> str:
    """The process's name: threads may have others."""
    return str(task.group_leader.comm.string_().decode(errors="replace"))


def _count(core: Core, ref: Any) -> int:
    """How many requests hold a context's percpu_ref; the context itself does twice until it is
    destroyed (ioctx_alloc())."""
    pointer = ref.percpu_count_ptr.value_()
    total = ref.data.count.counter.value_() & (1 << 64) - 1
    if not pointer & _ATOMIC or total & _BIAS:  # or it is only now told to count in one place
        counts = Object(core.prog, "unsigned long *", pointer & ~(_ATOMIC | _DEAD))
        for cpu in range(core.prog["nr_cpu_ids"].value_()):
            total += per_cpu_ptr(counts, cpu)[0].value_()
        total -= _BIAS
    total &= (1 << 64) - 1
    return int(total if pointer & _DEAD else total - 2)


def _unread(core: Core, context: Any) -> int:
    """Events in the ring that nobody has taken. Its head is where the process can write."""
    pages = context.ring_folios if hasattr(context, "ring_folios") else context.ring_pages
    page = cast("struct page *", pages[0])
    ring = cast("struct aio_ring *", page_to_virt(page))
    return int((context.tail.value_() - ring.head.value_()) % context.nr_events.value_())


def _request(core: Core, request: Any, *, cancellable: bool) -> dict[str, Any]:
    """`operation` is the function that would cancel or complete it."""
    return {
        "address": hex(request.value_()),
        "operation": _value(lambda: _operation(core, request)) or "",
        "file": _value(lambda: _path(request)) or "",
        "iocb": _value(lambda: hex(request.ki_res.obj.value_())),
        "data": _value(lambda: hex(request.ki_res.data.value_())),
        "cancellable": cancellable,
    }


def _operation(core: Core, request: Any) -> str:
    # A kiocb of a read or a write says what is called at its end; in the place of that a poll
    # and a sync have something else.
    functions = [request.ki_cancel.value_()]
    functions += [_value(lambda: request.rw.ki_complete.value_()) or 0]
    for function in functions:
        try:
            symbol = core.prog.symbol(function)
        except LookupError:
            continue
        if symbol.address == function:
            return str(symbol.name)
    return ""


def _path(request: Any) -> str:
    file = request.ki_filp
    if not file:
        return ""
    dentry = file.f_path.dentry
    kind = dentry.d_sb.s_type.name.string_().decode(errors="replace")
    if kind in ("pipefs", "sockfs", "anon_inodefs"):  # these have their names elsewhere
        return f"{kind.removesuffix('fs')}:[{file.f_inode.i_ino.value_()}]"
    return str(d_path(file.f_path).decode(errors="replace"))


def _pointer(of: Any, member: str) -> int:
    """What a member points at; 0 where there is no such member or memory."""
    return _value(lambda: getattr(of, member).value_()) or 0


def _value(read_it: Callable[[], Any]) -> Any:
    """What it gives, None where the memory or the member is not there."""
    try:
        return read_it()
    except UNREADABLE:
        return None
