# SPDX-License-Identifier: GPL-2.0-only
"""What tests that run on the host have of a cell: its kernel, guests one at a time, a record.

A guest stays for the next test where it was booted, and goes with its test where it was restored.
What the kernel says of itself is judged as for every other test (suites/judge.py).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness import project, steps, verdict
from harness.boots import More
from harness.errors import (
    ExitCode,
    HarnessError,
    StageError,
    UsageError,
)
from harness.guest import Guest
from harness.history import note
from harness.model import (
    Cell,
    Kernel,
    Result,
    Run,
    Splat,
    Test,
)
from harness.record import Record, document
from harness.seat import Booted, Seat
from harness.visit import Visit
from harness.watch import Watch


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
        self._booted = self._closed = False
        self._failed: StageError | None = None

    @property
    def run(self) -> Run:
        """What is known by now."""
        return _known(self._story.snapshot(), self, ())

    def over(self) -> None:
        """A test is over: have its guest go unless the next test may have it."""
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
        if self._closed:
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
        self._closed = True
        self.seat.leave()


def _place(splat: Splat) -> tuple[int, int]:
    return splat.boot, splat.line_from
