# SPDX-License-Identifier: GPL-2.0-only
"""The plan on one kernel: every test in a guest, in as many guests as it takes, some at once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Protocol

from harness import failnth, host, plan, verdict
from harness.boots import Needs
from harness.earlier import Found
from harness.guest import Guest
from harness.known import Known
from harness.leaks import Leaks, Ran
from harness.model import (
    Cell,
    Command,
    CommandResult,
    Frame,
    Kernel,
    Loss,
    Mount,
    Outcome,
    Result,
    Rounds,
    Splat,
    Test,
)
from harness.record import Record
from harness.seat import Booted, Seat
from harness.shots import Shots
from harness.suites.judge import by_host, judge
from harness.watch import Watch

_DAY_S = 86400.0
_RETRIES = 2  # of a test whose guest was lost before it began, or by no fault of the kernel
_FREE_SHARE = 0.8  # of the memory that is free, for guests


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A kernel to test: its label (base, tip), and what its guests see besides."""

    label: str
    kernel: Kernel
    mounts: tuple[Mount, ...] = ()


Queue = plan.Queue | Shots
"""What is next, and that it is done."""

Look = Callable[[Guest], None]
"""Called with the guest of the last test, before it goes."""


class Source(Protocol):
    """Where guests come from; harness.boots.Boots is it."""

    def kind_of(self, needs: Needs) -> str:
        """vng or snapshot, for guests that have to be fit for `needs`."""
        ...

    def boot(
        self, kernel: Kernel, mounts: tuple[Mount, ...], needs: Needs, *, again: bool
    ) -> Booted:
        """A new guest; `again`: as one came up before, more is done for this one to come up."""
        ...


class Execution:
    """Runs tests on one kernel. What is known so far is in `results` and `stray` at any time;
    `places` are what was found out of the frames of what was made to fail."""

    def __init__(
        self,
        cell: Cell,
        target: Target,
        source: Source,
        *,
        record: Record,
        watch: Watch,
        earlier: Callable[[str, int], Found | None] = lambda test, number: None,
    ) -> None:
        self._cell = cell
        self._target = target
        self._source = source
        self._record = record
        self._watch = watch
        self._earlier = earlier
        self._lock = threading.RLock()
        self._leaks = Leaks(target.kernel, watch)
        self._queue: Queue = plan.Queue((), Rounds())
        self._order: dict[str, int] = {}
        self._seats: list[Seat] = []
        self._stopped = False
        self._count = 1
        self._results: list[Result] = []
        self.stray: list[Splat] = []
        self.places: Mapping[Frame, Frame] = {}

    @property
    def results(self) -> list[Result]:
        """In the order of the plan, round by round, whichever guest was faster."""
        return sorted(self._results, key=lambda one: (one.round, self._order[one.test]))

    @property
    def splats(self) -> list[Splat]:
        """Those of the tests and those outside of them."""
        return [*(splat for one in self.results for splat in one.splats), *self.stray]

    def say_more(self, known: Mapping[Splat, Splat]) -> None:
        """Have splats say what was found out of them since they were read."""
        for number, one in enumerate(self._results):
            told = tuple(known.get(splat, splat) for splat in one.splats)
            if told != one.splats:
                self._results[number] = replace(one, splats=told)
                self._record.splats(self._results[number])
        before, self.stray = self.stray, [known.get(splat, splat) for splat in self.stray]
        if self.stray != before:
            self._record.stray(self._target.label, self.stray)

    def run(self, tests: Sequence[Test], look: Look | None = None) -> None:
        """Run them all. Raises StageError when no guest comes up."""
        self._order = {test.name: number for number, test in enumerate(tests)}
        self._run(tests, self._cell.rounds, 1, look=look)

    def adopt(self, tests: Sequence[Test], known: Known) -> None:
        """Take the results of another run for those of the first round."""
        self._order = {test.name: number for number, test in enumerate(tests)}
        self.go_on_from([replace(splat, boot=0) for splat in known.stray])
        for one in known.results:
            result = self._expected(replace(one, boot=0))
            self._record.result(result, known.run)
            self._results.append(result)

    def go_on_from(self, stray: Sequence[Splat]) -> None:
        """Take the splats of a run that was interrupted, which no test has."""
        if stray:
            self.stray = list(stray)
            self._record.stray(self._target.label, self.stray)

    def run_again(self, tests: Sequence[Test], *, alone: bool = False) -> None:
        """Some of them once more, in a round of their own; with `alone` in one guest at a time."""
        last = max((one.round for one in self._results), default=0)
        for test in tests:
            self._order.setdefault(test.name, len(self._order))
        self._run(tests, Rounds(), last + 1, alone=alone)

    def _run(
        self,
        tests: Sequence[Test],
        rounds: Rounds,
        first: int,
        *,
        look: Look | None = None,
        alone: bool = False,
    ) -> None:
        if not tests:
            return
        self._stopped = False
        if self._leaks.there:
            self._record.kmemleak(self._target.label)
        groups = plan.groups(tests, self._fit)
        self._queue = plan.Queue(groups, rounds, first)
        if self._cell.fail_nth is not None:
            self._queue = Shots(tests, self._cell.fail_nth)
            groups *= self._cell.fail_nth.most  # at least as many as there are guests
        queue = self._queue
        self._count = count = 1 if look or alone else self._guests_at_once(len(groups))
        if count == 1:
            self._work(queue, look)
        else:
            self._work_together(queue, count)

    def _guests_at_once(self, groups: int) -> int:
        """As many as asked for, else as the processors carry; as there is work and memory for."""
        asked = self._cell.parallel
        most = asked or max(1, host.processors() // self._cell.guest.cpus)
        rounds = self._cell.rounds.count or groups * most
        wanted = min(most, groups * rounds)
        if asked and wanted < asked and groups == 1:
            self._watch.note("all tests share a guest: --isolation test would use more of --jobs")
        room = int(host.free_mib() * _FREE_SHARE / self._cell.guest.memory_mib)
        if asked and room < wanted:
            self._watch.note(f"{max(1, room)} guests at once: there is no memory for {wanted}")
        return max(1, min(wanted, room))

    def _work_together(self, queue: Queue, count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            workers = [pool.submit(self._work, queue) for _ in range(count)]
            try:
                wait(workers, return_when=FIRST_EXCEPTION)
            finally:
                over = all(worker.done() for worker in workers)
                if not over or any(worker.exception() for worker in workers):
                    self._stop(queue)
            for worker in workers:
                worker.result()

    def _stop(self, queue: Queue) -> None:
        """Have every worker come to its end now."""
        with self._lock:
            self._stopped = queue.over = True
            for seat in self._seats:
                seat.abort()

    def _work(self, queue: Queue, look: Look | None = None) -> None:
        with Seat(self._boot, self._leave, self._search) as seat:
            with self._lock:
                self._seats.append(seat)
            while (taken := queue.take()) is not None:
                tests, number = taken
                seat.change(tests[0], stays=self._may_stay)
                for test in tests:
                    if queue.over:
                        break
                    result = self._adopt_earlier(test, number) or self._run_test(seat, test, number)
                    if result is None:
                        return
                    queue.done(result)
            if look is not None and seat.guest is not None:
                look(seat.guest)

    def _fit(self, one: Test, other: Test) -> bool:
        """A guest for one of them is fit for the other, too."""
        first, second = Needs.of(one), Needs.of(other)
        kinds = {self._source.kind_of(needs) for needs in (first, second)}
        return kinds == {"vng"} or first == second

    def _may_stay(self, last: Test, following: Test) -> bool:
        """The next group may have the guest of the last one: a boot costs seconds, a restore
        next to nothing."""
        booted = self._source.kind_of(Needs.of(last)) == "vng"
        return booted and plan.may_share(last, following) and self._fit(last, following)

    def _boot(self, test: Test) -> Booted:
        again = bool(self._results)
        return self._source.boot(
            self._target.kernel, self._target.mounts, Needs.of(test), again=again
        )

    def _leave(self, guest: Guest, boot: int) -> None:
        self._leaks.forget(boot)
        with self._lock:
            found = guest.stray_splats()
            self.stray += [replace(splat, boot=splat.boot or boot) for splat in found]
            if found:
                self._record.stray(self._target.label, self.stray)

    def _search(self, guest: Guest, boot: int) -> None:
        """Have tests fail for what kmemleak finds, and the kernel for what no test has leaked."""
        if self._stopped:
            return
        found = self._leaks.find(guest, boot)
        with self._lock:
            if self._leaks.there and guest.loss is None:
                self._record.searched(self._target.label, boot)
            for ran in found.leaky:
                self._amend(ran, boot)
            if found.stray:
                self.stray += [replace(splat, boot=boot) for splat in found.stray]
                self._record.stray(self._target.label, self.stray)

    def _amend(self, ran: Ran, boot: int) -> None:
        at = next(number for number, one in enumerate(self._results) if ran.led_to(one))
        told = self._judged(ran.test, ran.ended, boot)
        known = self._results[at]
        result = replace(known, outcome=told.outcome, detail=told.detail, splats=told.splats)
        self._results[at] = result = self._expected(result)
        self._record.amend(result)
        self._watch.ended(result)
        self._queue.done(result)

    def _adopt_earlier(self, test: Test, number: int) -> Result | None:
        """Its result of a run that was interrupted, if there is one."""
        found = self._earlier(test.name, number)
        if found is None:
            return None
        with self._lock:
            self._record.result(found.result, found.run)
            self._results.append(found.result)
            self._watch.ended(found.result)
        return found.result

    def _run_test(self, seat: Seat, test: Test, number: int) -> Result | None:
        """Its result; None when all is to stop."""
        retried: list[str] = []
        for attempt in range(_RETRIES + 1):
            if self._stopped:
                return None
            guest, boot = seat.take(test)
            if self._stopped:  # while it booted
                return None
            ended = self._run_command(guest, test, boot)
            if self._stopped:
                return None
            if attempt == _RETRIES or ended.loss is None:
                break
            if ended.started and (ended.splats or not by_host(ended)):
                break
            if ended.started:
                retried.append(f"{ended.loss} (boot {boot})")
                self._say_lost(test, ended.loss, boot)
            seat.leave(hurry=True)  # an earlier test's late damage, or the host's
        result = self._judge(test, ended, boot=boot, number=number, retried=tuple(retried))
        self._leaks.add(boot, Ran(test=test, ended=ended, number=number))
        if ended.loss is not None or guest.loss is not None or _wedged(result):
            seat.leave(hurry=True)
        return result

    def _say_lost(self, test: Test, loss: Loss, boot: int) -> None:
        with self._lock:
            self._record.lost(test.name, kernel=self._target.label, boot=boot, what=str(loss))
            self._watch.note(f"{test.name} runs again, in a new guest: {loss}")

    def _run_command(self, guest: Guest, test: Test, boot: int) -> CommandResult:
        with self._lock:
            self._watch.started(test, self._target.label)
            self._record.start(test.name, kernel=self._target.label, boot=boot)
        scratch = (("SCRATCH_DEV", guest.scratch[test.disk.name]),) if test.disk else ()
        return guest.run(
            Command(
                argv=test.argv,
                cwd=test.cwd,
                env=(*scratch, *self._cell.env),
                timeout_s=self._timeout_s(test, guest.slowness),
                label=test.name,
                patient=bool(test.expect_splat) or self._cell.guest.gdb,
                server=test.server,
                fail_nth=test.fail_nth,
            )
        )

    def _timeout_s(self, test: Test, slowness: float) -> float:
        if self._cell.guest.gdb:
            return _DAY_S  # somebody may sit at a breakpoint
        if self._cell.timeout_s is not None:
            return self._cell.timeout_s  # what a person says is meant as said
        crowd = self._count * self._cell.guest.cpus / host.processors()
        return test.timeout_s * slowness * max(1.0, crowd)

    def _judge(
        self, test: Test, ended: CommandResult, *, boot: int, number: int, retried: tuple[str, ...]
    ) -> Result:
        result = replace(self._judged(test, ended, boot), round=number, retried=retried)
        result = self._expected(result)
        with self._lock:
            self._record.result(result)
            self._results.append(result)
            self._watch.ended(result)
        return result

    def _judged(self, test: Test, ended: CommandResult, boot: int) -> Result:
        result = judge(test, ended, kernel=self._target.label, boot=boot)
        if test.fail_nth:
            result = failnth.tell(result, test, ended, self._record.console(boot))
        return result

    def _expected(self, result: Result) -> Result:
        """A result of the base, where the series says what has to fail there."""
        if self._target.label != "base" or not self._cell.stack.patches:
            return result
        return verdict.expect_failure(result, self._cell.stack.fails_on_base)


def _wedged(result: Result) -> bool:
    """The guest answers, but its kernel reported something that it does not recover from."""
    return result.outcome is Outcome.CRASH or any(splat.fatal for splat in result.splats)
