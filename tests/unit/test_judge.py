# SPDX-License-Identifier: GPL-2.0-only
import pytest

from harness import model
from harness.model import CommandResult, Loss, Outcome, Splat
from harness.suites.judge import judge

TEST = model.Test(name="s/t", argv=("t",))
PANIC = Splat(kind="panic", title="Kernel panic - not syncing: sysrq triggered crash")
OOPS = Splat(kind="null-deref", title="kernel NULL pointer dereference in g")
WARNING = Splat(kind="warning", title="WARNING in f")
OK = b"KTAP version 1\n1..1\nok 1 a\n"
NOT_OK = b"KTAP version 1\n1..2\nok 1 a\n# x.c:3: io_submit: EINVAL\nnot ok 2 b\n"


@pytest.mark.parametrize(
    ("ended", "outcome", "said"),
    [
        (CommandResult(status=0), Outcome.PASS, ""),
        (CommandResult(status=0, output=OK), Outcome.PASS, ""),
        (CommandResult(status=4, output=b"no such device\n"), Outcome.SKIP, "no such device"),
        (CommandResult(status=255), Outcome.FAIL, "exit status 255"),
        (CommandResult(status=1, output=NOT_OK), Outcome.FAIL, "EINVAL"),
        (CommandResult(status=0, output=NOT_OK), Outcome.FAIL, "EINVAL"),
        (CommandResult(status=1, output=OK), Outcome.FAIL, "exit status 1 after KTAP"),
        (CommandResult(status=0, output=b"1..3\nok 1 a\n"), Outcome.FAIL, "planned 3"),
        (CommandResult(signal=11, output=b"last\n"), Outcome.FAIL, "signal 11: last"),
        (CommandResult(signal=9, timed_out=True), Outcome.TIMEOUT, "killed after"),
        (CommandResult(loss=Loss.SILENT), Outcome.TIMEOUT, "stopped answering"),
        (CommandResult(loss=Loss.RESTART), Outcome.CRASH, "restarted"),
        (CommandResult(loss=Loss.RESTART, splats=(PANIC,)), Outcome.CRASH, "sysrq triggered"),
        (CommandResult(loss=Loss.AGENT), Outcome.ERROR, "agent"),
        (CommandResult(loss=Loss.QEMU), Outcome.ERROR, "QEMU died"),
        (CommandResult(status=0, output=OK, splats=(WARNING,)), Outcome.FAIL, "WARNING in f"),
        # The guest answers after the "panic": a program wrote it.
        (CommandResult(status=0, splats=(PANIC,)), Outcome.PASS, ""),
    ],
)
def test_verdicts(ended: CommandResult, outcome: Outcome, said: str) -> None:
    result = judge(TEST, ended, kernel="tip", boot=1)
    assert result.outcome is outcome
    assert said in result.detail


BOTH = ("warning: WARNING in f", "/^panic: .*sysrq/")
LOST = CommandResult(loss=Loss.RESTART, splats=(WARNING, PANIC))


@pytest.mark.parametrize(
    ("expect", "ended", "outcome", "said"),
    [
        (BOTH[:1], CommandResult(status=0, splats=(WARNING,)), Outcome.PASS, ""),
        (("/in [ef]$/",), CommandResult(status=0, splats=(WARNING,)), Outcome.PASS, ""),
        (("/in g$/",), CommandResult(status=0, splats=(WARNING,)), Outcome.FAIL, "WARNING in f"),
        (BOTH[:1], CommandResult(status=0), Outcome.FAIL, f"did not report {BOTH[0]}"),
        (BOTH[:1], CommandResult(status=1, splats=(WARNING,)), Outcome.FAIL, "exit status 1"),
        (BOTH[:1], CommandResult(status=0, splats=(WARNING, OOPS)), Outcome.CRASH, "NULL"),
        (BOTH, LOST, Outcome.PASS, "the guest restarted, as expected"),
        (BOTH[:1], LOST, Outcome.CRASH, "sysrq triggered crash"),
        ((*BOTH, "kasan: "), LOST, Outcome.CRASH, "the guest restarted"),
        (BOTH, CommandResult(loss=Loss.QEMU, splats=(WARNING, PANIC)), Outcome.ERROR, "QEMU died"),
    ],
)
def test_what_a_test_expects_the_kernel_to_report(
    expect: tuple[str, ...], ended: CommandResult, outcome: Outcome, said: str
) -> None:
    test = model.Test(name="s/t", argv=("t",), expect_splat=expect)
    result = judge(test, ended, kernel="tip", boot=1)
    assert result.outcome is outcome
    assert said in result.detail


def test_long_output_keeps_its_ends() -> None:
    ended = CommandResult(status=0, output=b"begin" + b"x" * (1 << 20) + b"end")
    output = judge(TEST, ended, kernel="tip", boot=1).output
    assert len(output) < 70_000
    assert output.startswith("begin") and output.endswith("end") and "left out" in output
