# SPDX-License-Identifier: GPL-2.0-only
"""What a memory dump says of a hang, as lines: a summary, and all of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.crash import waits

_SUMMARY = 15
_SHOWN = 3  # requests of a context in a summary


def summary(document: Mapping[str, Any]) -> list[str]:
    """At most 15 lines, the most telling first: circles, holders, CPUs that spin, who else is
    blocked, contexts with requests, what could not be read."""
    lines = [line for circle in document["deadlocks"] for line in _deadlock(circle)]
    circled = {one["pid"] for circle in document["deadlocks"] for one in circle}
    told = set(circled)
    for lock in document["locks"]:
        others = [pid for pid in lock["waiters"] if pid not in circled]
        if others:
            lines.append(_waited_for(lock, others, document["blocked"]))
            told |= set(others)
    lines += [_cpu(one) for one in document["running"] if one["spins"]]
    lines += [
        f"{_who(task)} is blocked in {_place(task['stack'])}"
        for task in document["blocked"]
        if task["pid"] not in told
    ]
    for context in document["aio"]:
        if context["requests"] or context["active"]:
            lines += _context(context)
    lines += [f"not read: {error}" for error in document["errors"]]
    if not lines:
        return ["no task is blocked and no CPU spins"]
    if len(lines) > _SUMMARY:
        left = len(lines) - _SUMMARY + 1
        lines[_SUMMARY - 1 :] = [f"... and {left} lines more of this kind"]
    return lines


def whole(document: Mapping[str, Any]) -> list[str]:
    """The summary, then every task, lock, CPU and context."""
    return [
        *summary(document),
        *_section("Blocked tasks", document["blocked"], _task),
        *_section("Locks that are waited for", document["locks"], _lock),
        *_section("What the CPUs do", document["running"], _running),
        *_section("AIO contexts", document["aio"], _aio),
    ]


def _section(title: str, items: Sequence[Any], tell: Any) -> Iterator[str]:
    yield from ("", f"{title}: {len(items) or 'none'}")
    for item in items:
        yield from tell(item)


def _who(task: Mapping[str, Any]) -> str:
    return f"{task['comm']} ({task['pid']})" if task["pid"] is not None else str(task["comm"])


def _name(lock: Mapping[str, Any]) -> str:
    if lock["name"]:
        return f"{lock['kind']} {lock['name']}"
    inside = f" in {lock['object']}" if lock["object"] else ""
    return f"{lock['kind']} {lock['address']}{inside}"


def _place(stack: Sequence[Mapping[str, Any]]) -> str:
    """The frame that asks for what is not given."""
    if not stack:
        return "a place that its stack does not tell"
    return _frame(stack[waits.asks([frame["function"] for frame in stack])])


def _frame(frame: Mapping[str, Any]) -> str:
    where = f" {frame['file']}:{frame['line']}" if frame["file"] else ""
    return f"{frame['function']}(){where}"


def _deadlock(circle: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each that waits, so that none is cut off where lines are short."""
    if len(circle) == 1:
        only = circle[0]
        return [f"deadlock: {_who(only)} waits for {_name(only['lock'])}, which it holds itself"]
    lines = []
    for number, one in enumerate(circle):
        holder = circle[(number + 1) % len(circle)]
        how = " as a reader" if one["lock"]["shared"] else ""
        edge = f"{_who(one)} waits for {_name(one['lock'])}, held by {_who(holder)}{how}"
        lines.append(f"and {edge}" if number else f"deadlock: {edge}")
    return lines


def _waited_for(
    lock: Mapping[str, Any], waiters: Sequence[int], blocked: Sequence[Mapping[str, Any]]
) -> str:
    more = len(waiters) - 1
    first = next((one for one in blocked if one["pid"] == waiters[0]), None)
    who = f"{_who(first)} in {_place(first['stack'])}" if first else str(waiters[0])
    wait = f"and {more} more wait" if more else "waits"
    waits_for = f"{who} {wait} for {_name(lock)}"
    if (holder := lock["holder"]) is None:
        return f"{waits_for}: {lock['note']}"
    doing = f"{holder['state']} in {_place(holder['stack'])}" if holder["stack"] else "gone"
    note = f" ({lock['note']})" if lock["note"] else ""
    return f"{waits_for}, held by {_who(holder)}, {doing}{note}"


def _cpu(cpu: Mapping[str, Any]) -> str:
    lock = f" for {cpu['lock']}" if cpu["lock"] else ""
    return f"CPU {cpu['cpu']}: {_who(cpu)} spins{lock} in {_place(cpu['stack'])}"


def _context(context: Mapping[str, Any]) -> list[str]:
    requests = [f"  {_request(one)}" for one in context["requests"][:_SHOWN]]
    more = len(context["requests"]) - len(requests)
    return [_counts(context), *requests, *([f"  and {more} more"] if more else [])]


def _counts(context: Mapping[str, Any]) -> str:
    whose = _who(context) if context["pid"] is not None else "a process that has let go of it"
    gone = ", being destroyed" if context["destroyed"] else ""
    active = "?" if context["active"] is None else context["active"]
    unread = "?" if context["unread"] is None else context["unread"]
    return (
        f"AIO context {context['user_id']} of {whose}{gone}: {active} of {context['max_reqs']}"
        f" requests active, {context['completed']} completed, {unread} unread"
    )


def _request(request: Mapping[str, Any]) -> str:
    what = request["operation"] or "an unknown operation"
    on = f" on {request['file']}" if request["file"] else ""
    return f"{what}{on}, data {request['data']}"


def _task(task: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {_who(task)}, state {task['state']}"
    yield from (f"    {_frame(frame)}" for frame in task["stack"])


def _lock(lock: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {_name(lock)}, waited for by {', '.join(map(str, lock['waiters']))}"
    if lock["note"]:
        yield f"    {lock['note']}"
    if lock["holder"]:
        yield f"    held by {_who(lock['holder'])}, state {lock['holder']['state']}"
        yield from (f"      {_frame(frame)}" for frame in lock["holder"]["stack"])


def _running(cpu: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {_cpu(cpu) if cpu['spins'] else 'CPU {}: {}'.format(cpu['cpu'], _who(cpu))}"
    yield from (f"    {_frame(frame)}" for frame in cpu["stack"])


def _aio(context: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {_counts(context)}, room for {context['nr_events']}"
    for request in context["requests"]:
        free = "" if request["cancellable"] else ", cannot be cancelled"
        yield f"    {_request(request)}, iocb {request['iocb']}{free}"
