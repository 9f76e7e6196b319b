# SPDX-License-Identifier: GPL-2.0-only
"""What tests that run on the host have of a cell: its kernel, guests one at a time, a record.

A guest stays for the next test where it was booted, and goes with its test where it was restored.
What the kernel says of itself is judged as for every other test (suites/judge.py).
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness import project, steps, verdict
from harness.boots import More
from harness.errors import (
    CommandError,
    CrashError,
    ExitCode,
    HarnessError,
    StageError,
    UsageError,
)
from harness.execution import Booted, Seat
from harness.guest import Guest
from harness.history import note
from harness.model import (
    Cell,
    Command,
    CommandResult,
    Kernel,
    Outcome,
    Result,
    Run,
    Splat,
    Test,
)
from harness.record import Record, document
from harness.suites.judge import judge, reports
from harness.visit import Visit
from harness.watch import Watch

_RETRIES = 2  # of a command before which the guest was lost
_OUTPUT_MAX = 64 << 10


@contextlib.contextmanager
def opened(
    cell: Cell, record: Record, watch: Watch, *, argv: list[str], tests: Sequence[str]
) -> Iterator["Hosted"]:
    """The kernel of a cell, built, and its guests, for the length of the block; the record is
    finished at its end. `tests` are those that are going to run. StageError as of a run."""
    story = Visit(cell, project.root(), record, watch)
    made: Hosted | None = None
    code, said = None, ""
    try:
        record.cell(cell, argv)
        record.plan(steps.of(cell), [Test(name=name, argv=()) for name in tests])
        with (
            story.guests() as (kernel, more),
            Hosted(story, record, cell, kernel=kernel, more=more) as made,
        ):
            yield made
    except HarnessError as error:
        code, said = error.exit_code, error.message
        raise
    except KeyboardInterrupt:
        code, said = ExitCode.INTERRUPTED, "interrupted"
        raise
    finally:
        run = _known(story.snapshot(), made, tests)
        record.finish(document(run, verdict.exit_code(run) if code is None else code, said))
        note(record.path)


def _known(run: Run, made: "Hosted | None", tests: Sequence[str]) -> Run:
    """The run with what the tests came to."""
    results = made.results if made else []
    done = {one.test for one in results}
    return replace(
        run,
        rows=verdict.rows(results, ()),
        splats=tuple(splat for one in results for splat in one.splats),
        stray=tuple(made.stray) if made else (),
        unfinished=tuple(name for name in tests if name not in done),
    )


class Hosted:
    """A kernel that is built, room for one guest of it, and what the tests came to. `stray` are
    the splats that no test has; all of them are known when the block is over."""

    def __init__(
        self, story: Visit, record: Record, cell: Cell, *, kernel: Kernel, more: More
    ) -> None:
        self.kernel = kernel
        self.record = record
        self.label = steps.of(cell)[-1].label
        self.results: list[Result] = []
        self.stray: list[Splat] = []
        self.seat = Seat(self._boot, self._leave)
        self._restored = cell.guest_kind == "snapshot"
        self._story = story
        self._more = more
        self._claimed: set[tuple[int, int]] = set()
        self._booted = self._over = False
        self._failed: StageError | None = None

    @property
    def run(self) -> Run:
        """What is known by now."""
        return _known(self._story.snapshot(), self, ())

    @contextlib.contextmanager
    def guest(self, test: str, expected: Sequence[str] = ()) -> Iterator["HostedGuest"]:
        """A guest for one test, on whose kernel `expected` says what it has to report. StageError
        when none comes up, which is then said to every other test as well."""
        yield HostedGuest(self, Test(name=test, argv=(), expect_splat=tuple(expected)))
        if self._restored or (self.seat.guest is not None and self.seat.guest.loss is not None):
            self.seat.leave()

    def add(self, result: Result) -> None:
        """A test is over."""
        self.record.result(result)
        self.results.append(result)

    def placed(self, splats: Sequence[Splat]) -> list[Splat]:
        """The splats with where in the sources they are, as far as that can be found out."""
        found: Mapping[Splat, Splat] = self._story.placed(splats) if splats else {}
        return [found.get(splat, splat) for splat in splats]

    def strays_of(self, guest: Guest, boot: int) -> list[Splat]:
        """What the kernel of a guest reported outside of every command, if no test has it yet."""
        found = (replace(one, boot=one.boot or boot) for one in guest.stray_splats())
        return [one for one in found if _place(one) not in self._claimed]

    def claim(self, splats: Sequence[Splat]) -> None:
        """These are a test's."""
        self._claimed |= {_place(splat) for splat in splats}

    def _boot(self, test: Test) -> Booted:
        if self._over:
            raise UsageError(f"{test.name}: the guests have gone with the last test")
        return self._another()

    @contextlib.contextmanager
    def _another(self) -> Iterator[tuple[Guest, int]]:
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        with contextlib.ExitStack() as stack:
            try:
                booted = stack.enter_context(self._more(again=self._booted))
            except StageError as error:
                self._failed = error
                raise
            self._booted = True
            yield booted

    def _leave(self, guest: Guest, boot: int) -> None:
        if found := self.strays_of(guest, boot):
            self.stray += found
            self.record.stray(self.label, self.stray)

    def __enter__(self) -> "Hosted":
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.seat.leave()


class HostedGuest:
    """The guest as one test sees it (docs/pytest.md).

    `boot` is the number of the last guest that it had; `splats` what the kernels of these reported,
    `said` what the commands wrote, `died` how a guest was lost that should not have been.
    """

    def __init__(self, hosted: Hosted, test: Test) -> None:
        self._hosted = hosted
        self._test = test
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
        argv: Sequence[str | Path],
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
        CrashError when the guest is lost otherwise, and for all later commands of the test.
        """
        __tracebackhide__ = True
        if isinstance(argv, str | bytes):
            raise UsageError(f"guest.run({argv!r}): a command is a list of words")
        if self.died is not None:
            raise CrashError(f"the guest of this test is gone: {self.died.detail}")
        words = tuple(str(word) for word in argv)
        command = Command(
            argv=words,
            cwd=str(cwd),
            env=tuple((env or {}).items()),
            timeout_s=timeout_s,
            label=self._test.name,
        )
        shown = shlex.join(words)
        try:
            ended = self._exchange(command)
        except StageError as error:
            raise error.with_traceback(None) from None
        self._say(f"$ {shown}\n{ended.text}")
        expected = (*expect_splat, *self._foretold(ended))
        judged = self._judge(replace(self._test, argv=words, expect_splat=expected), ended)
        if judged.outcome in (Outcome.CRASH, Outcome.TIMEOUT, Outcome.ERROR):
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
        guest, boot = self._hosted.seat.take(self._test)
        if boot != self.boot:
            self._hosted.record.start(self._test.name, kernel=self._hosted.label, boot=boot)
            self.boot, self._begun = boot, 0
        return guest

    def _exchange(self, command: Command) -> CommandResult:
        """Run it, in another guest when that of the tests before turns out to be lost."""
        for attempt in range(_RETRIES + 1):
            guest = self._take()
            ended = guest.run(command)
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
        well = replace(ended, output=b"", status=0, signal=0, timed_out=False)
        judged = judge(test, well, kernel=self._hosted.label, boot=self.boot)
        self.splats += judged.splats
        guest = self._hosted.seat.guest
        lost = judged.outcome in (Outcome.CRASH, Outcome.TIMEOUT, Outcome.ERROR)
        if guest is not None and (lost or ended.loss or any(s.fatal for s in ended.splats)):
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


def _place(splat: Splat) -> tuple[int, int]:
    return splat.boot, splat.line_from


def _end(ended: CommandResult) -> str:
    """How a command ended that did not end well."""
    if ended.timed_out:
        return f"killed after {ended.duration_s:.0f} s"
    return f"killed by signal {ended.signal}" if ended.signal else f"exit status {ended.status}"
