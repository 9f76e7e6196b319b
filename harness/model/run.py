# SPDX-License-Identifier: GPL-2.0-only
"""A cell, its tests, and what became of them. No I/O here."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness.model.fault import Fault, Site
from harness.model.guest import Disk, GuestSpec, Mount
from harness.model.metric import Comparison, Metric
from harness.model.source import Series
from harness.model.splat import Splat


class Outcome(StrEnum):
    """What became of one test. `ERROR` is the harness's or the host's fault, never the patch's."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    XPASS = "xpass"
    TIMEOUT = "timeout"
    CRASH = "crash"
    ERROR = "error"

    @property
    def bad(self) -> bool:
        """True where the kernel under test is blamed."""
        return self in _BAD


_BAD = {Outcome.FAIL, Outcome.XPASS, Outcome.TIMEOUT, Outcome.CRASH}


class Verdict(StrEnum):
    """What the series changed for one test, base against patched."""

    NEW = "new"
    FIXED = "fixed"
    PRE_EXISTING = "pre-existing"
    FLAKY = "flaky"
    CHANGED = "changed"
    STILL_FAILING = "still-failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtest:
    """One leaf line of KTAP: `name` is the path of nested names joined with dots."""

    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One entry of the plan: `name` is `<suite>/<program>`. `timeout_s` is for a native speed
    guest and is scaled by the guest's measured slowness; `isolation` (test, suite, run) says with
    whom it may share a boot; `guest` (vng, any) whether it needs the host's root; `expect_splat`
    are parts of `kind: title`, or /regular expressions/, of what the kernel has to report; `server`
    is as in Command; `disk` is its suite's, whose path it finds in SCRATCH_DEV; `samples`: how
    often it runs on base and patched, in turn, where these are compared (measure.py). `fail_nth`
    is as in Command."""

    name: str
    argv: tuple[str, ...]
    cwd: str = "/"
    timeout_s: float = 45.0
    expect_splat: tuple[str, ...] = ()
    isolation: str = "run"
    guest: str = "any"
    server: tuple[str, ...] = ()
    disk: Disk | None = None
    samples: int = 1
    fail_nth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one test did on one kernel. `kernel` is base, tip or a patch number; `boot` the
    number of the boot in the run directory, `round` that of the repetition, from 1. `detail`
    says in one line why it is not a pass, `autopsy` in 30 at most what a hang hangs in. It was
    `retried` for faults of the host, each with its boot. `fault` is what was made to fail, None
    outside of shots (shots.py)."""

    test: str
    outcome: Outcome
    kernel: str = "tip"
    boot: int = 0
    round: int = 1
    duration_s: float = 0.0
    detail: str = ""
    output: str = ""
    subtests: tuple[Subtest, ...] = ()
    splats: tuple[Splat, ...] = ()
    metrics: tuple[Metric, ...] = ()
    autopsy: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A finished stage of a run and how long it took."""

    name: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A kernel of a run: `label` is base, the number of the patch that it ends with (0001), or
    tip, for the whole stack; `patch` is that patch's file name without its suffix."""

    label: str
    stack: Series
    patch: str = ""

    @property
    def between(self) -> bool:
        """Neither end of the series: a kernel that a bisection may come to, and no more."""
        return self.label not in ("base", "tip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often the plan runs: `count` times (0: without end), until the first bad result
    (`until_fail`), and whether a bad result also ends the round that it is in (`fail_fast`)."""

    count: int = 1
    until_fail: bool = False
    fail_fast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailNth:
    """Which calls of each test are to fail, one in each run: from `first` to `most`; from 1 on, of
    those with more calls so many spread over all."""

    first: int = 1
    most: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often a test failed on a kernel, of how many runs."""

    failed: int = 0
    runs: int = 0

    def plus(self, failed: bool) -> "Tally":
        """With one run more."""
        return Tally(failed=self.failed + failed, runs=self.runs + 1)

    @property
    def rate(self) -> float:
        """The share of runs that failed, 0 without any."""
        return self.failed / self.runs if self.runs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reruns:
    """How often a test that failed is run again to know what the failure is (`most` rounds), and
    how many seconds all of them may take."""

    most: int = 40
    budget_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What reruns say of a test: how often it failed on the base and on `step`, and how probable
    it is that the one of them on which it failed first has a failure of its own."""

    test: str
    step: str
    verdict: Verdict
    probability: float
    base: Tally
    patched: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to run: a stack of series on one tree, one configuration, one guest shape.

    `tree` is a name, path or URL, `commit` one of its commits, None for its newest; `notes` say how
    these were chosen; `kconfigs` names fragments of kconfigs/ or paths, `config` is a whole .config
    to start from, `settings` are SYMBOL=value, `cc` and `llvm` as in toolchain.Toolchain;
    `commands` are programs of the host to run as tests, `tests` globs on test names, empty for all;
    `timeout_s` is for each test, as it is, in place of what its suite says; `env` is what each test
    finds in its environment; `guest_kind` is auto, vng or snapshot, `isolation` (test, suite,
    run) in place of what suites say of it, `parallel` how many guests may run at once, None for as
    many as there are processors for; `with_base` also runs the unpatched base, `each_patch` a
    kernel for each patch as well; with `fresh_base` the base's results are no other run's;
    `samples` as in Test, for all tests, None for what their suites say. `accel` is kvm, tcg or None
    to find out. With `fail_nth` tests are shot at (docs/fault-injection.md). A kernel that is one
    of `known_programs` (Builds.program()) is not run.
    """

    stack: Series
    tree: str
    commit: str | None = None
    notes: tuple[str, ...] = ()
    kconfigs: tuple[str, ...] = ()
    config: Path | None = None
    settings: tuple[str, ...] = ()
    cc: str = ""
    llvm: bool = False
    suites: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    timeout_s: float | None = None
    env: tuple[tuple[str, str], ...] = ()
    tests: tuple[str, ...] = ()
    guest: GuestSpec = GuestSpec()
    mounts: tuple[Mount, ...] = ()
    with_base: bool = False
    accel: str | None = None
    guest_kind: str = "auto"
    isolation: str | None = None
    parallel: int | None = None
    each_patch: bool = False
    fresh_base: bool = False
    rounds: Rounds = Rounds()
    reruns: Reruns = Reruns()
    samples: int | None = None
    known_programs: tuple[str, ...] | None = None
    fail_nth: FailNth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a test did on the kernel of one step, None where it did not run; `detail` as in Result.
    `inherited` is the label of an earlier step whose kernel is the same program, and which ran in
    its place."""

    label: str
    patch: str
    outcome: Outcome | None
    detail: str = ""
    inherited: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One test of a report: on the kernel with the series, and on the base when that ran too.

    Of a repeated test `result` is its first bad one, else the last.
    `marks` are those of all steps, where each patch had its kernel, and `first_bad` is the patch
    at which the test turned bad. `settled` is what reruns have shown, where there were some,
    `all_results` all runs of the test;
    `metrics` are the figures that it reported on both kernels.
    """

    result: Result
    base: Result | None = None
    verdict: Verdict | None = None
    marks: tuple[Mark, ...] = ()
    first_bad: str = ""
    settled: Settled | None = None
    all_results: tuple[Result, ...] = ()
    metrics: tuple[Comparison, ...] = ()

    @property
    def total(self) -> int:
        """How often the test ran."""
        return len(self.all_results) or 1

    @property
    def good(self) -> int:
        """How many of these runs were not bad."""
        return sum(not one.outcome.bad for one in self.all_results or (self.result,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a report needs to say of one cell's run.

    `splats` belong to tests; `stray` ones were printed outside of every test and not by the base
    kernel. `warnings` are the compiler's, in files that the series touches; `unfinished` are the
    planned tests without a result; `sites` where calls were made to fail.
    """

    directory: Path
    series: str
    base: str
    kernel_release: str
    guest: str
    accel: str
    stages: tuple[Stage, ...] = ()
    rows: tuple[Row, ...] = ()
    splats: tuple[Splat, ...] = ()
    stray: tuple[Splat, ...] = ()
    warnings: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    sites: tuple[Site, ...] = ()
