# SPDX-License-Identifier: GPL-2.0-only
"""Shots at a test, in each of which another one of its calls into the kernel fails: what was hit,
and whether the kernel bore it (docs/fault-injection.md). Pure.

Formats: fail_dump() of lib/fault-inject.c and dump_stack() of lib/dump_stack.c, 6.1 to 6.12.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import trace
from harness.model import (
    BadShot,
    Chain,
    CommandResult,
    Fault,
    Frame,
    Outcome,
    Position,
    Result,
    Site,
    Splat,
    Test,
)
from harness.splat.lines import parse
from harness.suites.judge import judge, reports

COUNTING = 0x7FFFFFFF
"""So many calls nobody makes: what is left of it tells how many there were."""

UNTOLD = "not told"
"""The kind of faults that the kernel does not print, as the allocation has __GFP_NOWARN."""

_FIRST = "FAULT_INJECTION: forcing a failure."
_NAME = re.compile(r"name (\w+), interval ")
_REPORT_MAX = 120  # lines
# What a call that is made to fail goes through before it comes to whoever asked for it.
_HELPER = re.compile(
    r"dump_stack(_lvl)?|fail_dump|_*should_fail\w*|"
    r"_*(k|kv|v|kmem_cache_|kmalloc_|slab_|percpu_|pcpu_)(m|z|c|re)?alloc(_\w+)?|_+slab_alloc\w*|"
    r"_*k[vm]?alloc\w*|_*kmem_cache_\w*alloc\w*|_*kmalloc\w*|_*kvmalloc\w*|_*vmalloc\w*|vzalloc|"
    r"krealloc\w*|kmemdup\w*|kstrdup\w*|kasprintf|kvasprintf|v?memdup_user\w*|strndup_user|"
    r"slab_pre_alloc_hook|slab_alloc\w*|new_slab\w*|allocate_slab|alloc_slab_page|"
    r"_*alloc_(frozen_)?pages?(_\w+)?|prepare_alloc_pages|_*get_free_pages|get_zeroed_page\w*|"
    r"_*(filemap_|folio_)+alloc\w*|vma_alloc_\w+|alloc_pages_bulk\w*|pagetable_alloc|_*pte_alloc_one\w*|"
    r"pmd_alloc_one|pud_alloc_one|"
    r"_*(inline_)?copy_(from|to)_(user|iter)\w*|raw_copy_\w+|copy_(page|folio)_(from|to)_iter\w*|"
    r"_*copy_(from|to)_iter\w*|copy_(from|to)_user_iter\w*|copy(in|out)\w*|copy_struct_from_user|"
    r"iterate_\w+|copy_iovec_from_user|simple_read_from_buffer|"
    r"_*strncpy_from_user\w*|do_strncpy_from_user"
)
_SYSCALL = re.compile(r"(?:__(?:x64|do|se|ia32|arm64)_)sys_(\w+)|k?sys_(\w+)")
_ENTRY = re.compile(r"(?:asm_)?exc_(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """What the kernel prints of a call that it has fail; as in Fault."""

    kind: str
    stack: tuple[str, ...]


def parse_console(console: bytes) -> tuple[Injected, ...]:
    """All such reports of a console, in their order."""
    texts = [parse(raw, number).text for number, raw in enumerate(console.split(b"\n"))]
    starts = [number for number, text in enumerate(texts) if text == _FIRST]
    found = []
    for start in starts:
        body = texts[start + 1 : start + _REPORT_MAX]
        if body and (name := _NAME.match(body[0])):
            frames = trace.frames(_stack(body))
            found.append(Injected(kind=name[1], stack=tuple(map(_told, frames))))
    return tuple(found)


def _stack(lines: Sequence[str]) -> list[str]:
    """As far as the report goes: a splat may follow at once."""
    for number, line in enumerate(lines):
        if line.strip() == "</TASK>" or (number and line == _FIRST):
            return list(lines[:number])
    return list(lines)


def _told(frame: Frame) -> str:
    module = f" [{frame.module}]" if frame.module else ""
    return f"{frame.function}+{frame.offset:#x}/{frame.size:#x}{module}"


def tell(result: Result, test: Test, ended: CommandResult, console: bytes) -> Result:
    """The result of a shot, from what judge() says of it and the console of its guest, in which
    it is the only one.

    Where a call failed, the test may fail of it, and so say: what counts is what the kernel did,
    and that the test came to an end.
    """
    printed = parse_console(console)[-1:]
    fault = Fault(nth=test.fail_nth, left=ended.fault_left)
    if printed and fault.left in (0, None):
        fault = replace(fault, kind=printed[0].kind, stack=printed[0].stack)
    if not fault.injected:
        return replace(result, fault=fault)
    caused = tuple(splat for splat in ended.splats if not by_design(splat))
    expected = tuple(
        one for one in test.expect_splat if any(reports(one, splat) for splat in caused)
    )
    kernel = judge(
        replace(test, expect_splat=expected),
        replace(ended, output=b"", status=0, signal=0, splats=caused),
        kernel=result.kernel,
        boot=result.boot,
    )
    return replace(
        result,
        outcome=kernel.outcome,
        detail=kernel.detail or f"no harm: {_where(fault)} failed",
        splats=kernel.splats,
        subtests=(),
        metrics=(),
        fault=fault,
    )


def by_design(splat: Splat) -> bool:
    """It says no more than that an allocation failed, which is what was wanted: warn_alloc() of
    mm/page_alloc.c, for allocations without __GFP_NOWARN. A kernel that kills a process for want
    of memory, or panics, is not of this kind: nothing makes memory scarce."""
    return splat.kind == "oom" and splat.title == "page allocation failure" and not splat.fatal


def _where(fault: Fault) -> str:
    """As `failslab in io_setup, io_setup`."""
    frame = caller(fault.stack)
    return f"{fault.kind} in {_plain(frame.function)}" if frame else "a call that is not told"


def caller(stack: Sequence[str]) -> Frame | None:
    """The first frame of a trace that is no allocator and copies nothing itself."""
    frames = trace.frames(["Call Trace:", *(f" {line}" for line in stack)])
    return next((frame for frame in frames if not is_helper(frame.function)), None)


def is_helper(function: str) -> bool:
    """An allocator, or what copies from and to user space."""
    return _HELPER.fullmatch(_plain(function).removesuffix("_noprof")) is not None


def _plain(function: str) -> str:
    """Without what the compiler adds to a name, as .constprop.0."""
    return function.partition(".")[0]


def syscall(stack: Sequence[str]) -> str:
    """The system call at the bottom of a trace, or the exception; empty where it has neither."""
    names = [_plain(line.partition("+")[0]) for line in stack]
    for name in reversed(names):
        if found := _SYSCALL.fullmatch(name):
            return found[1] or found[2]
    for name in reversed(names):
        if found := _ENTRY.fullmatch(name):
            return found[1].replace("_", " ")
    if any(name in ("do_exit", "do_group_exit") for name in names):
        return "exit"
    return ""


def callers(results: Iterable[Result]) -> tuple[Frame, ...]:
    """The frames whose places in the sources sites() wants to know, each once."""
    found = (caller(one.fault.stack) for one in results if one.fault)
    return tuple(dict.fromkeys(frame for frame in found if frame))


@dataclass(slots=True)
class _Tally:
    count: int = 0
    tests: dict[str, None] = field(default_factory=dict)
    bad: list[BadShot] = field(default_factory=list)


def sites(
    results: Iterable[Result], places: Mapping[Frame, Frame], stray: Iterable[Splat] = ()
) -> tuple[Site, ...]:
    """Where calls failed in these shots, the worst first, then those that were hit most.

    `places` has callers() with what was found out of them, as far as it was; `stray` splats of no
    test are the doing of the shot that had their guest to itself.
    """
    late = {splat.boot: splat for splat in stray if splat.phase != "boot"}
    found: dict[tuple[str, str, str, str], _Tally] = {}
    for one in results:
        if one.fault is None or not one.fault.injected or one.outcome is Outcome.ERROR:
            continue
        tally = found.setdefault(_site(one.fault, places), _Tally())
        tally.count += 1
        tally.tests[one.test] = None
        after = late.get(one.boot)
        if one.outcome.bad or after:
            said = one.detail if one.outcome.bad or not after else f"{after.kind}: {after.title}"
            tally.bad.append(
                BadShot(
                    test=one.test,
                    nth=one.fault.nth,
                    outcome=one.outcome,
                    detail=said,
                    boot=one.boot,
                    round=one.round,
                )
            )
    made = [
        Site(
            kind=kind,
            function=function,
            place=place,
            syscall=call,
            count=tally.count,
            tests=tuple(tally.tests),
            bad=tuple(tally.bad),
        )
        for (kind, function, place, call), tally in found.items()
    ]
    return tuple(sorted(made, key=lambda one: (-len(one.bad), -one.count, one.place, one.syscall)))


def _site(fault: Fault, places: Mapping[Frame, Frame]) -> tuple[str, str, str, str]:
    """Kind, function, place, system call."""
    frame = caller(fault.stack)
    if frame is None:
        return fault.kind or UNTOLD, "", "", syscall(fault.stack)
    at: Position = _asking(places.get(frame, frame))
    raw = f"{frame.function}+{frame.offset:#x}"
    place = f"{at.file}:{at.line}" if at.file else raw
    return fault.kind, _plain(at.function), place, syscall(fault.stack)


def _asking(frame: Frame) -> Position:
    """Who asks, of a function and those that the compiler put into it there."""
    return next((one for one in reversed(frame.inlines) if not is_helper(one.function)), frame)


def chains(results: Iterable[Result]) -> tuple[Chain, ...]:
    """What was shot at each test, in the order of the first results."""
    by_test: dict[str, list[Result]] = {}
    for one in results:
        if one.fault is not None:
            by_test.setdefault(one.test, []).append(one)
    made = []
    for test, mine in by_test.items():
        faults = [one.fault for one in mine if one.fault]
        counted = next((one for one in faults if one.nth == COUNTING), None)
        shots = [one for one in faults if one.nth != COUNTING]
        made.append(
            Chain(
                test=test,
                calls=counted.nth - counted.left if counted and counted.left else None,
                shots=len(shots),
                injected=sum(one.injected for one in shots),
                whole=_whole(shots),
            )
        )
    return tuple(made)


def _whole(shots: Sequence[Fault]) -> bool:
    """Every call failed once, up to the one that did not come."""
    last = min((one.nth for one in shots if one.left), default=0)
    return last > 0 and {one.nth for one in shots} >= set(range(1, last))
