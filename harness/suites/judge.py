# SPDX-License-Identifier: GPL-2.0-only
"""From how a command ended to what became of the test."""

import re
from dataclasses import replace

from harness import ktap, perf, residue
from harness.model import CommandResult, Loss, Outcome, Result, Splat, Test

SKIP_STATUS = 4  # of kselftest (tools/testing/selftests/kselftest.h: KSFT_SKIP)
_OUTPUT_MAX = 64 << 10


def judge(test: Test, ended: CommandResult, *, kernel: str, boot: int) -> Result:
    """The verdict on one test.

    What the kernel said of itself comes first, then how the guest or the program ended, then
    KTAP on its output; without KTAP the exit status decides (0 pass, 4 skip). A test that ended
    and has left something behind in the kernel has failed, whatever it says.
    """
    text = ended.output.decode(errors="replace")
    told = ktap.parse(text)
    outcome, detail = _outcome(test, ended, told)
    outcome, detail = _with_residue(outcome, detail, ended)
    kept = text if len(text) <= _OUTPUT_MAX else text[: _OUTPUT_MAX // 2] + _gap(text)
    return Result(
        test=test.name,
        outcome=outcome,
        kernel=kernel,
        boot=boot,
        duration_s=round(ended.duration_s, 3),
        detail=detail,
        output=kept,
        subtests=told.results,
        splats=tuple(
            replace(splat, boot=boot, phase="test", test=test.name) for splat in ended.splats
        ),
        metrics=perf.parse(text),
        autopsy=ended.autopsy,
    )


def _gap(text: str) -> str:
    half = _OUTPUT_MAX // 2
    return f"\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _outcome(test: Test, ended: CommandResult, told: ktap.Ktap) -> tuple[Outcome, str]:
    unexpected = [s for s in ended.splats if not _expected(test, s) and not _forged(s, ended)]
    missing = [one for one in test.expect_splat if not any(reports(one, s) for s in ended.splats)]
    fatal = next((s for s in unexpected if s.fatal), None)
    if fatal is not None:
        return Outcome.CRASH, f"{fatal.kind}: {fatal.title}"
    if ended.loss is not None:
        foretold = bool(test.expect_splat) and not unexpected and not missing
        if foretold and not ended.loss.of_host:
            return Outcome.PASS, f"{ended.loss}, as expected: {ended.splats[-1].title}"
        return _lost(ended, ended.loss)
    if ended.timed_out:
        seen = f": {ended.autopsy[0]}" if ended.autopsy else _last_words(ended)
        return Outcome.TIMEOUT, f"killed after {ended.duration_s:.0f} s{seen}"
    if unexpected:
        return Outcome.FAIL, f"{unexpected[0].kind}: {unexpected[0].title}"
    if missing:
        return Outcome.FAIL, f"the kernel did not report {missing[0]}"
    return _by_output(ended, told)


def _with_residue(outcome: Outcome, detail: str, ended: CommandResult) -> tuple[Outcome, str]:
    """The same, where nothing is left behind, or nobody can tell: what was killed may not have
    cleaned up."""
    killed = ended.timed_out or ended.autopsy
    if ended.loss is not None or killed or outcome in (Outcome.CRASH, Outcome.ERROR):
        return outcome, detail
    left = residue.complaint(ended.residue, explained=bool(ended.splats))
    if not left:
        return outcome, detail
    return Outcome.FAIL, f"{detail}; {left}" if outcome is Outcome.FAIL else left


def _forged(splat: Splat, ended: CommandResult) -> bool:
    """A kernel does not survive its panic: where the agent answers after one, a program wrote
    the text to /dev/kmsg."""
    return splat.kind in ("panic", "no-init") and ended.loss is None


def _expected(test: Test, splat: Splat) -> bool:
    return any(reports(one, splat) for one in test.expect_splat)


def reports(expected: str, splat: Splat) -> bool:
    """`expected` is a part of `kind: title`, or in slashes a regular expression found in it."""
    said = f"{splat.kind}: {splat.title}"
    if len(expected) > 2 and expected[0] == expected[-1] == "/":
        return re.search(expected[1:-1], said) is not None
    return expected in said


def by_host(ended: CommandResult) -> bool:
    """The guest was lost by a fault of the host or of the harness. An agent whose kernel reported
    something first was that kernel's to keep alive."""
    if ended.loss is None or (ended.loss is Loss.AGENT and ended.splats):
        return False
    return ended.loss.of_host


def _lost(ended: CommandResult, loss: Loss) -> tuple[Outcome, str]:
    if ended.splats and not by_host(ended):
        splat = ended.splats[-1]
        return Outcome.CRASH, f"{loss}: {splat.kind}: {splat.title}"
    if loss in (Loss.SILENT, Loss.STUCK):
        return Outcome.TIMEOUT, f"{loss}{f': {ended.autopsy[0]}' if ended.autopsy else ''}"
    if by_host(ended):
        return Outcome.ERROR, str(loss)
    return Outcome.CRASH, f"{loss} without a word"


def _by_output(ended: CommandResult, told: ktap.Ktap) -> tuple[Outcome, str]:
    if ended.signal:
        return Outcome.FAIL, f"killed by signal {ended.signal}{_last_words(ended)}"
    if not told.seen_ktap:
        if ended.status == 0:
            return Outcome.PASS, ""
        if ended.status == SKIP_STATUS:
            return Outcome.SKIP, _last_words(ended).removeprefix(": ")
        return Outcome.FAIL, f"exit status {ended.status}{_last_words(ended)}"
    if ended.status not in (0, SKIP_STATUS) and not told.outcome.bad:
        # All lines say ok and the program says otherwise: it did not get to its end.
        return Outcome.FAIL, f"exit status {ended.status} after KTAP without a failure"
    return told.outcome, told.detail


def _last_words(ended: CommandResult) -> str:
    """The last line that says something; where Python says how it was killed, what it was."""
    lines = [line.strip() for line in ended.output[-4000:].decode(errors="replace").split("\n")]
    fatal = [line for line in lines if line.startswith("Fatal Python error: ")]
    last = next((line for line in (*fatal, *reversed(lines)) if line), "")
    return f": {last[:160]}" if last else ""
