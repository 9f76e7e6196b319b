# SPDX-License-Identifier: GPL-2.0-only
"""What a run came to in which calls were made to fail, from its directory."""

from dataclasses import replace
from pathlib import Path

from harness.failnth import COUNTING, callers
from harness.model import Fault, Outcome, Position, Result
from harness.record import document
from harness.recorded import Recorded
from harness.report import Options, make, text
from tests import runs

STACK = ("should_failslab+0x4/0x9", "kzalloc_noprof+0x4/0x9", "io_setup_it+0x10/0x90")
CALL = (*STACK, "__x64_sys_io_setup+0x10/0x90", "do_syscall_64+0x10/0x90")
FAULT = Fault(nth=2, left=0, kind="failslab", stack=CALL)
DETAIL = "null-deref: NULL pointer dereference in f"


def shot(
    number: int,
    fault: Fault,
    outcome: Outcome = Outcome.PASS,
    *,
    boot: int = 1,
    detail: str = "",
) -> Result:
    made = runs.result("s/a b", outcome, round=number, fault=fault)
    return replace(made, boot=boot, detail=detail)


def recorded(tmp_path: Path) -> Recorded:
    results = [
        shot(1, Fault(nth=COUNTING, left=COUNTING - 2)),
        shot(2, replace(FAULT, nth=1)),
        shot(3, FAULT, Outcome.CRASH, boot=9, detail=DETAIL),
        shot(4, Fault(nth=3, left=1)),
    ]
    (frame,) = callers(results)
    inlines = (Position(function="add_it", file="fs/aio.c", line=7),)
    placed = replace(frame, file="fs/aio.c", line=70, inlines=inlines)
    return runs.write(
        tmp_path,
        results,
        steps=("tip",),
        argv=("run", "--fail-nth"),
        also=lambda record: record.frames("tip", [placed]),
    )


def test_a_bad_shot_is_named_and_can_be_seen_again(tmp_path: Path) -> None:
    shown = text.render(recorded(tmp_path).run, width=400)
    assert "faults: 2 calls failed at 1 site in 1 test, 1 of them handled badly" in shown
    told = f"failslab in add_it (fs/aio.c:7), io_setup: crash: {DETAIL}"
    assert f"{told} (--fail-nth 2-2 --test 's/a b'; boot 9)" in shown
    assert "3/4 good" in shown


def test_all_sites_as_markdown_and_as_json(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    page = make("sites", [one], Options()).decode()
    row = "| failslab | `add_it` | `fs/aio.c:7` | `io_setup` | 2 | s/a b | **badly** in 1 |"
    assert row in page.splitlines()
    assert "| `s/a b` | 2 | 3 | 2 |  |" in page.splitlines()
    (site,) = document(one.run, 1)["sites"]
    assert (site["function"], site["count"], site["bad"][0]["nth"]) == ("add_it", 2, 2)


def test_a_run_without_shots_says_so(tmp_path: Path) -> None:
    one = runs.write(tmp_path, [runs.result("s/a", Outcome.PASS)], steps=("tip",))
    assert "no call was made to fail" in make("sites", [one], Options()).decode()
    assert "faults:" not in text.render(one.run)
    assert "sites" not in document(one.run, 0)
