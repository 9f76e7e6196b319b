# SPDX-License-Identifier: GPL-2.0-only
"""The guest as one test that runs on the host sees it (docs/pytest.md)."""

import contextlib
import os
import re
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import CommandError, CrashError, StageError, UsageError
from harness.guest import Guest
from harness.hosted import Hosted
from harness.model import Command, CommandResult, Outcome, Residue, Result, Splat, Test
from harness.suites.judge import judge, reports

_RETRIES = 2  # of a command before which the guest was lost
_OUTPUT_MAX = 64 << 10
_TIMEOUT_MAX_S = 86400.0
_LOST = (Outcome.CRASH, Outcome.TIMEOUT, Outcome.ERROR)


@contextlib.contextmanager
def lent(hosted: Hosted, test: str, expected: Sequence[str] = ()) -> Iterator["LentGuest"]:
    """A guest for one test, on whose kernel `expected` says what it has to report. StageError when
    none comes up, which is then said to every other test as well."""
    for one in expected:
        check_expectation(one)
    yield LentGuest(hosted, Test(name=test, argv=(), expect_splat=tuple(expected)))
    hosted.over()


class LentGuest:
    """What tests call `guest`.

    `boot` is the number of the last guest that it had; `splats` what the kernels of these reported,
    `said` what the commands wrote, `died` how a guest was lost that should not have been.
    """

    def __init__(self, hosted: Hosted, test: Test) -> None:
        self._hosted = hosted
        self._test = test
        self._lock = threading.Lock()
        self._begun = self._known = self.boot = 0
        self._complaints: list[str] = []
        self.splats: list[Splat] = []
        self.said = ""
        self.died: Result | None = None
        self._take()

    @property
    def release(self) -> str:
        """`uname -r` of the guest."""
        return self._take().release

    def run(
        self,
        argv: Sequence[str | bytes | Path],
        *,
        timeout_s: float = 60.0,
        env: Mapping[str, str] | None = None,
        cwd: str | Path = "/",
        check: bool = False,
        expect_splat: Sequence[str] = (),
    ) -> CommandResult:
        """Run a command to its end, or for `timeout_s` seconds of the host.

        With `check` anything but a status of 0 is a CommandError. `expect_splat` are parts of
        `kind: title`, or /regular expressions/, of what the kernel has to report meanwhile, or it
        is a CommandError; a guest that dies of that is no error, and the next command has another.
        CrashError when the guest is lost otherwise, and for all later commands of the test. Of
        the output the first 4 MiB are kept (`dropped`).
        """
        __tracebackhide__ = True
        command = _checked(argv, cwd, env or {})
        command = replace(
            command,
            timeout_s=_positive(timeout_s),
            label=self._test.name,
            patient=bool(expect_splat or self._test.expect_splat),
        )
        shown = shlex.join(command.argv)
        try:
            ended = self._exchange(command)
        except StageError as error:
            raise error.with_traceback(None) from None
        if ended.loss is None and not ended.started:
            raise CommandError(f"`{shown}` was not started: {os.strerror(ended.signal)}")
        self._say(f"$ {shown}\n{ended.text}")
        expected = (*expect_splat, *self._foretold(ended))
        judged = self._judge(replace(self._test, argv=command.argv, expect_splat=expected), ended)
        if judged.outcome in _LOST:
            self.died = judged
            self._complaints.append(judged.detail)
            raise CrashError(f"{judged.detail}, in `{shown}`", log=self.console)
        if not all(any(reports(one, s) for s in ended.splats) for one in expect_splat):
            raise CommandError(f"{judged.detail}, in `{shown}`", log=self.console)
        if judged.outcome is not Outcome.PASS:
            self._complaints.append(f"{judged.detail}, in `{shown}`")
        if check and ended.status != 0:
            raise CommandError(f"`{shown}`: {_end(ended)}", lines=tuple(ended.text.splitlines()))
        return ended

    def read_file(self, path: str | Path, timeout_s: float = 30.0) -> bytes:
        """The content of a guest's file. StageError with the reason when it cannot be read."""
        return self._take().read_file(str(path), timeout_s)

    def __repr__(self) -> str:
        return f"<guest of boot {self.boot}>"

    def complaints(self) -> str:
        """What the kernel said that it should not have, in one line; asked again, what is new."""
        guest = self._hosted.seat.guest
        if guest is not None and self._begun:
            self._look(guest)
        found, self._complaints = self._complaints, []
        return "; ".join(dict.fromkeys(found))

    def decode(self) -> None:
        """Have `splats` say where in the sources they are."""
        self.splats = self._hosted.placed(self.splats)

    def missing(self) -> str:
        """What the kernel should have reported in this test and has not; empty for nothing."""
        wanted = self._test.expect_splat
        missing = [one for one in wanted if not any(reports(one, s) for s in self.splats)]
        return f"the kernel did not report {', '.join(missing)}" if missing else ""

    def result(self, outcome: Outcome, detail: str, duration_s: float) -> Result:
        """What the test came to, for the record."""
        return Result(
            test=self._test.name,
            outcome=outcome,
            kernel=self._hosted.label,
            boot=self.boot,
            duration_s=round(duration_s, 3),
            detail=detail,
            output=self.said,
            splats=tuple(self.splats),
        )

    @property
    def console(self) -> Path:
        """The console log of the last guest that the test had."""
        return self._hosted.record.path / "boots" / f"{self.boot:03}" / "console.log"

    def _say(self, text: str) -> None:
        """Keep it, whole lines, the last of all."""
        self.said = (self.said + text + "\n" * (not text.endswith("\n")))[-_OUTPUT_MAX:]

    def _take(self) -> Guest:
        if self.died is not None:
            raise CrashError(f"the guest of this test is gone: {self.died.detail}")
        guest, boot = self._hosted.seat.take(self._test)
        if boot != self.boot:
            self._hosted.record.start(self._test.name, kernel=self._hosted.label, boot=boot)
            self.boot, self._begun = boot, 0
        return guest

    def _exchange(self, command: Command) -> CommandResult:
        """Run it, in another guest when that of the tests before turns out to be lost."""
        with self._lock:  # the guest takes one command at a time
            return self._exchange_now(command)

    def _exchange_now(self, command: Command) -> CommandResult:
        for attempt in range(_RETRIES + 1):
            guest = self._take()
            try:
                ended = guest.run(command)
            except BaseException:
                self._hosted.seat.leave()  # nobody knows what it is at
                raise
            if ended.loss is None or ended.started or self._begun or attempt == _RETRIES:
                break
            self._hosted.seat.leave()
        if not self._begun:
            # What is outside of commands by now may be of whoever had the guest before.
            self._known = len(guest.stray_splats())
        self._begun += 1
        return ended

    def _foretold(self, ended: CommandResult) -> list[str]:
        """What the test expects, as far as it happened in this command."""
        wanted = self._test.expect_splat
        return [one for one in wanted if any(reports(one, splat) for splat in ended.splats)]

    def _judge(self, test: Test, ended: CommandResult) -> Result:
        """The verdict on the kernel and the guest; that on the command is its caller's."""
        # What one command leaves open may be for the next one.
        well = replace(ended, output=b"", status=0, signal=0, timed_out=False, residue=Residue())
        judged = judge(test, well, kernel=self._hosted.label, boot=self.boot)
        self.splats += judged.splats
        guest = self._hosted.seat.guest
        lost = judged.outcome in _LOST
        gone = guest is not None and guest.loss is not None
        if guest is not None and (lost or gone or ended.loss or any(s.fatal for s in ended.splats)):
            self._look(guest)
            self._hosted.seat.leave()
        return judged

    def _look(self, guest: Guest) -> None:
        """Take what the kernel reported between the test's commands for the test's."""
        new = guest.stray_splats()[self._known :]
        self._known += len(new)
        own = [replace(one, boot=one.boot or self.boot, test=self._test.name) for one in new]
        self._hosted.claim(own)
        self.splats += own
        for splat in own:
            if not any(reports(one, splat) for one in self._test.expect_splat):
                self._complaints.append(f"{splat.kind}: {splat.title}, between two commands")


def check_expectation(text: str) -> None:
    """UsageError for a /regular expression/ that is none."""
    if len(text) > 2 and text[0] == text[-1] == "/":
        try:
            re.compile(text[1:-1])
        except re.error as error:
            raise UsageError(f"expect_splat {text}: {error}") from None


def _checked(
    argv: Sequence[str | bytes | Path], cwd: str | Path, env: Mapping[str, str]
) -> Command:
    """UsageError for what cannot be a command line, a directory or an environment."""
    if isinstance(argv, str | bytes) or not argv:
        raise UsageError(f"guest.run({argv!r}): a command is a list of words")
    words = tuple(os.fsdecode(w) if isinstance(w, bytes | Path) else str(w) for w in argv)
    for text in (*words, str(cwd), *env, *env.values()):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UsageError(
                f"guest.run({argv!r}): {text!r} cannot be passed on: it is no UTF-8 text"
            )
    return Command(argv=words, cwd=str(cwd), env=tuple(env.items()))


def _positive(timeout_s: float) -> float:
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= _TIMEOUT_MAX_S:
        raise UsageError(
            f"guest.run(timeout_s={timeout_s!r}): seconds, {_TIMEOUT_MAX_S:.0f} at most"
        )
    return float(timeout_s)


def _end(ended: CommandResult) -> str:
    """How a command ended that did not end well."""
    if ended.timed_out:
        return f"killed after {ended.duration_s:.0f} s"
    return f"killed by signal {ended.signal}" if ended.signal else f"exit status {ended.status}"
