# SPDX-License-Identifier: GPL-2.0-only
"""What a call that was made to fail led to, and where it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import failnth, model
from harness.failnth import COUNTING, UNTOLD
from harness.model import (
    CommandResult,
    Fault,
    Frame,
    Loss,
    Metric,
    Outcome,
    Position,
    Result,
    Splat,
)
from harness.model.metric import Better
from harness.splat import scan
from harness.suites.judge import judge

CONSOLES = Path(__file__).parents[1] / "data/consoles"
HANDLED = (CONSOLES / "6.12-fault-handled.txt").read_bytes()
UNCHECKED = (CONSOLES / "6.12-fault-unchecked.txt").read_bytes()
TEST = model.Test(name="s/t", argv=("t",), fail_nth=7)
STACK = (
    "dump_stack_lvl+0x4b/0x70",
    "should_fail_ex+0x2bf/0x300",
    "should_failslab+0x48/0x60",
    "__kmalloc_cache_noprof+0x4b/0x1e0",
    "ioctx_add_table.isra.0+0xa2/0x1a0",
    "__x64_sys_io_setup+0x81/0x1d0",
    "do_syscall_64+0x9e/0x1a0",
)
WARNING = Splat(kind="warning", title="WARNING in f")
SHORT = Splat(kind="oom", title="page allocation failure")
KILLED = Splat(kind="oom", title="Out of memory: Killed process")


def told(ended: CommandResult, console: bytes = HANDLED, test: model.Test = TEST) -> Result:
    return failnth.tell(judge(test, ended, kernel="tip", boot=1), test, ended, console)


def test_the_report_of_a_fault_is_read() -> None:
    (found,) = failnth.parse_console(HANDLED)
    assert found.kind == "failslab"
    frame = failnth.caller(found.stack)
    assert frame is not None and frame.function == "__x64_sys_io_setup"
    assert failnth.syscall(found.stack) == "io_setup"
    assert all("+0x" in line for line in found.stack)


def test_a_splat_right_after_it_is_none_of_it_and_counts() -> None:
    (found,) = failnth.parse_console(UNCHECKED)
    assert failnth.caller(found.stack) is not None
    assert not any("asm_exc_page_fault" in line for line in found.stack)
    assert scan(HANDLED) == ()
    assert [splat.kind for splat in scan(UNCHECKED)] == ["null-deref"]
    ended = CommandResult(status=None, signal=9, fault_left=0, splats=scan(UNCHECKED))
    result = told(ended, UNCHECKED)
    assert result.outcome is Outcome.CRASH and result.fault
    assert result.fault.injected and result.fault.kind == "failslab"


def test_a_test_may_fail_of_its_fault() -> None:
    output = b"KTAP version 1\n1..1\n# t.c:3: io_setup: ENOMEM\nnot ok 1 a\n"
    ended = CommandResult(status=1, output=output, fault_left=0)
    result = told(ended)
    assert result.outcome is Outcome.PASS and "failslab in __x64_sys_io_setup" in result.detail
    assert result.output == output.decode() and not result.subtests
    late = told(replace(ended, fault_left=3))
    assert late.outcome is Outcome.FAIL, "nothing was made to fail"
    assert late.fault == Fault(nth=7, left=3)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (CommandResult(status=0, fault_left=0, splats=(WARNING,)), Outcome.FAIL),
        (CommandResult(status=0, fault_left=0, splats=(KILLED,)), Outcome.FAIL),
        (CommandResult(status=0, fault_left=0, splats=(SHORT,)), Outcome.PASS),
        (CommandResult(signal=9, fault_left=0, timed_out=True), Outcome.TIMEOUT),
        (CommandResult(signal=11, fault_left=0), Outcome.PASS),
        (CommandResult(loss=Loss.RESTART), Outcome.CRASH),
        (CommandResult(loss=Loss.QEMU), Outcome.ERROR),
    ],
)
def test_what_the_kernel_did_counts(ended: CommandResult, outcome: Outcome) -> None:
    result = told(ended)
    assert result.outcome is outcome
    assert result.fault and result.fault.injected
    assert SHORT not in result.splats


def test_a_splat_that_the_test_foretold_is_foretold_with_a_fault_too() -> None:
    test = replace(TEST, expect_splat=("warning: WARNING in f",))
    for splats in ((WARNING,), ()):
        ended = CommandResult(status=0, fault_left=0, splats=splats)
        assert told(ended, test=test).outcome is Outcome.PASS


def test_a_guest_lost_without_a_report_is_not_known_to_have_had_a_fault() -> None:
    result = told(CommandResult(loss=Loss.RESTART), b"")
    assert result.outcome is Outcome.CRASH
    assert result.fault and not result.fault.injected


def test_a_fault_that_is_not_told_came_all_the_same() -> None:
    result = told(CommandResult(status=0, fault_left=0), b"")
    assert result.fault and result.fault.injected and not result.fault.kind
    (site,) = failnth.sites([result], {})
    assert (site.kind, site.function, site.count) == (UNTOLD, "", 1)


HELPERS = """
__kmalloc_cache_noprof kmem_cache_alloc_lru_noprof kzalloc kmalloc_array __alloc_pages
alloc_pages_mpol_noprof get_zeroed_page_noprof pte_alloc_one __kvmalloc_node_noprof kmalloc_reserve
_copy_from_user copy_from_user _copy_from_iter copy_page_to_iter strncpy_from_user memdup_user
pcpu_alloc_noprof should_fail_usercopy.constprop.0 filemap_alloc_folio_noprof folio_alloc_noprof
"""
ASKING = """
ioctx_add_table __pte_alloc anon_vma_clone vm_area_alloc mas_alloc_nodes alloc_empty_file d_alloc
__alloc_skb alloc_pipe_info getname_flags aio_get_req copy_process __filemap_get_folio
"""


def test_who_asks_is_no_helper() -> None:
    assert [name for name in HELPERS.split() if not failnth.is_helper(name)] == []
    assert [name for name in ASKING.split() if failnth.is_helper(name)] == []


def shot(
    nth: int,
    outcome: Outcome = Outcome.PASS,
    test: str = "s/t",
    *,
    kind: str = "failslab",
    stack: tuple[str, ...] = STACK,
) -> Result:
    fault = Fault(nth=nth, left=0, kind=kind, stack=stack)
    return Result(test=test, outcome=outcome, boot=nth, detail=f"{outcome} it was", fault=fault)


def test_sites_the_worst_first() -> None:
    other = ("should_fail_usercopy+0x1/0x9", "_copy_from_user+0x2/0x9", "ksys_write+0x5/0x9")
    results = [
        *(shot(nth, kind="fail_usercopy", stack=other) for nth in (1, 2, 3)),
        shot(4, test="s/u"),
        shot(5, Outcome.CRASH),
        shot(6, Outcome.ERROR),
        Result(test="s/t", outcome=Outcome.PASS, fault=Fault(nth=7, left=1)),
    ]
    bad, good = failnth.sites(results, {})
    assert (bad.function, bad.place) == ("ioctx_add_table", "ioctx_add_table.isra.0+0xa2")
    assert (bad.count, bad.tests, bad.syscall) == (2, ("s/u", "s/t"), "io_setup")
    assert [(one.test, one.nth, one.outcome) for one in bad.bad] == [("s/t", 5, "crash")]
    assert (good.kind, good.function, good.syscall) == ("fail_usercopy", "ksys_write", "write")
    assert (good.count, good.bad) == (3, ())


def test_a_place_is_that_of_who_asks_among_what_is_inlined() -> None:
    (frame,) = failnth.callers([shot(1), shot(2)])
    assert frame.function == "ioctx_add_table.isra.0"
    inlines = (
        Position(function="expand_table", file="fs/aio.c", line=707),
        Position(function="kzalloc_noprof", file="include/linux/slab.h", line=1007),
    )
    placed = replace(frame, file="fs/aio.c", line=900, inlines=inlines)
    assert placed.bare == frame
    places: dict[Frame, Frame] = {frame: placed}
    (site,) = failnth.sites([shot(1)], places)
    assert (site.function, site.place) == ("expand_table", "fs/aio.c:707")


def test_a_splat_after_the_test_is_the_shot_s() -> None:
    late = Splat(kind="warning", title="WARNING in g", boot=2, phase="teardown")
    before = replace(late, boot=1, phase="boot")
    (site,) = failnth.sites([shot(1), shot(2)], {}, [late, before])
    assert [(one.nth, one.detail) for one in site.bad] == [(2, "warning: WARNING in g")]


def test_what_was_shot_at() -> None:
    def left(nth: int, what: int, test: str = "s/t") -> Result:
        return Result(test=test, outcome=Outcome.PASS, fault=Fault(nth=nth, left=what))

    counted = left(COUNTING, COUNTING - 2)
    (whole,) = failnth.chains([counted, shot(1), shot(2), left(3, 1)])
    assert (whole.calls, whole.shots, whole.injected, whole.whole) == (2, 3, 2, True)
    for results in ([counted, shot(1)], [counted, shot(2), left(3, 1)], [counted]):
        (some,) = failnth.chains(results)
        assert not some.whole


def test_figures_of_a_shot_are_none() -> None:
    metric = Metric(name="m", value=1.0, unit="s", better=Better.LOWER)
    ended = CommandResult(status=0, fault_left=0)
    made = replace(judge(TEST, ended, kernel="tip", boot=1), metrics=(metric,))
    assert failnth.tell(made, TEST, ended, HANDLED).metrics == ()
