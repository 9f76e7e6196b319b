# SPDX-License-Identifier: GPL-2.0-only
"""What a test leaves behind in the kernel is a failure, and says what it is."""

from dataclasses import replace

import pytest

from harness import model, residue
from harness.guest import channel
from harness.model import CommandResult, Loss, Outcome, Residue, Splat
from harness.suites.judge import judge

TEST = model.Test(name="s/t", argv=("t",))
WARNING = Splat(kind="warning", title="WARNING in f")
OK = b"KTAP version 1\n1..1\nok 1 a\n"
NOT_OK = b"KTAP version 1\n1..1\n# x.c:3: EINVAL\nnot ok 1 a\n"
W, D, MODULE, TEST_RUN, STAGING = (1 << bit for bit in (9, 7, 12, 18, 10))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (Residue(), ""),
        (Residue(files=1), "1 open file is left behind"),
        (Residue(files=2), "2 open files are left behind"),
        (Residue(files=-3, aio_nr=-128), ""),
        (Residue(aio_nr=128), "aio-nr is 128 higher than before"),
        (Residue(mms=1, iocbs=2), "1 mm_struct is not freed; 2 aio_kiocbs are not freed"),
        (Residue(taint=W | D), "the kernel is tainted now: D (died), W (warning)"),
        (Residue(taint_before=W, taint=W | MODULE | TEST_RUN | STAGING), ""),
        (Residue(taint_before=MODULE, taint=W | MODULE), "the kernel is tainted now: W (warning)"),
        (Residue(files=1, aio_nr=1), "1 open file is left behind; aio-nr is 1 higher than before"),
    ],
)
def test_what_is_left_is_named(left: Residue, said: str) -> None:
    assert residue.complaint(left, explained=False) == said


@pytest.mark.parametrize(
    ("ended", "outcome", "said"),
    [
        (CommandResult(status=0, output=OK, residue=Residue(files=1)), Outcome.FAIL, "1 open file"),
        (CommandResult(status=4, residue=Residue(aio_nr=1)), Outcome.FAIL, "aio-nr is 1"),
        (
            CommandResult(status=1, output=NOT_OK, residue=Residue(files=2)),
            Outcome.FAIL,
            "EINVAL; 2 open files are left behind",
        ),
        (CommandResult(status=0, residue=Residue(taint=W)), Outcome.FAIL, "tainted now"),
        # The splat is the failure, not what it does to the taint.
        (
            CommandResult(status=0, residue=Residue(taint=W), splats=(WARNING,)),
            Outcome.FAIL,
            "warning: WARNING in f",
        ),
        # What was killed in the middle, or is gone, is not asked.
        (
            CommandResult(signal=9, timed_out=True, residue=Residue(files=9)),
            Outcome.TIMEOUT,
            "killed after",
        ),
        (CommandResult(loss=Loss.QEMU, residue=Residue(files=9)), Outcome.ERROR, "QEMU died"),
    ],
)
def test_what_is_left_is_a_failure(ended: CommandResult, outcome: Outcome, said: str) -> None:
    result = judge(TEST, ended, kernel="tip", boot=1)
    assert result.outcome is outcome
    assert said in result.detail


def test_a_splat_that_was_expected_explains_its_taint_and_no_file() -> None:
    test = replace(TEST, expect_splat=("WARNING in f",))
    ended = CommandResult(status=0, residue=Residue(taint=W), splats=(WARNING,))
    assert judge(test, ended, kernel="tip", boot=1).outcome is Outcome.PASS
    leaks = replace(ended, residue=Residue(taint=W, files=1))
    assert judge(test, leaks, kernel="tip", boot=1).detail == "1 open file is left behind"


def test_the_report_of_the_agent_is_read_whole() -> None:
    wire = channel._EXIT.pack(0, 0, 0, 5, 6, 7, 8, 90, 99, W, W | MODULE, 1, -2, 3, 4, 5, 0)
    left = channel.parse_exit(wire).residue
    assert left == Residue(
        jiffies_from=90,
        jiffies_to=99,
        taint_before=W,
        taint=W | MODULE,
        files=1,
        aio_nr=-2,
        mms=3,
        contexts=4,
        iocbs=5,
    )
