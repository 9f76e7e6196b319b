# SPDX-License-Identifier: GPL-2.0-only
"""The values that flow between the rooms. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Version that every JSON document and journal line carries."""


GUEST_MOUNTS = ("/tmp", "/run", "/dev", "/proc", "/sys")
"""Where a guest mounts something of its own over what its root has there (agent/init.c)."""


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
class Patch:
    """One patch of a series: its file name, its bytes, and the -p level to strip."""

    name: str
    data: bytes
    strip: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An ordered stack of patches and what is known about it.

    `after` names series that go below this one. `bases` are tree names, the first one the default.
    `fails_on_base` maps a test (suite/test) to a text that its failure on the unpatched base must
    hold. `base_commit` is the commit that the patches were made on, where they say so; `note` what
    was left out when they were picked.
    """

    name: str
    title: str = ""
    thread: str = ""
    patches: tuple[Patch, ...] = ()
    after: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    kconfigs: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    fails_on_base: dict[str, str] = field(default_factory=dict)
    base_commit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A kernel tree before any patch. `version` is from its Makefile, as 6.12.117."""

    name: str
    mirror: Path
    commit: str
    tree: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A kconfig fragment: a name to show (a path or `--kconfig debug`) and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kconfig:
    """What configures a kernel, the weakest first.

    `config_file` is a whole .config to start from; without it, tinyconfig. `defaults` are
    kconfigs/guest.config and, without `config_file`, base.config. `fragments` have to agree
    among themselves; `settings` (--set) win over everything, a later one over an earlier one.
    """

    config_file: Fragment | None = None
    defaults: tuple[Fragment, ...] = ()
    fragments: tuple[Fragment, ...] = ()
    settings: tuple[Fragment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A built kernel in the cache. `dir` holds image, vmlinux, config and build.log.

    `boots` is the image's name in it: bzImage, or vmlinux where that boots by itself (PVH);
    `image_digest` is that file's. `warnings` are compiler diagnostics in files that the series
    touches.
    """

    key: str
    release: str
    tree: str
    dir: Path
    cached: bool
    boots: str = "bzImage"
    image_digest: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> Path:
        return self.dir / self.boots

    @property
    def vmlinux(self) -> Path:
        return self.dir / "vmlinux"

    @property
    def config(self) -> Path:
        return self.dir / "config"

    @property
    def kbuild(self) -> Path:
        """The O= for modules outside of the tree; there when the kernel was built for some."""
        return self.dir / "kbuild"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A scratch disk, all zero at every boot: `name` is the suite whose it is; rates in bytes
    per second, 0 for no limit."""

    name: str
    size_bytes: int
    bps_read: int = 0
    bps_write: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """Shape of the virtual machine; `gdb`: QEMU listens for a debugger, nothing has a timeout;
    `qemu`: more of its options, as a shell would split them."""

    cpus: int = 1
    memory_mib: int = 512
    cmdline: tuple[str, ...] = ()
    boot_timeout_s: float = 120.0
    gdb: bool = False
    qemu: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run in a guest. `timeout_s` is seconds of host time; `label` goes to kmsg.

    With a `server`, the command line of a long-lived process that shares `cwd` and `env`, argv
    is the one request to it (agent/server.c); it is started when it does not run.
    """

    argv: tuple[str, ...]
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 60.0
    label: str = "command"
    server: tuple[str, ...] = ()


class Loss(StrEnum):
    """How a guest went away, as QEMU's process and QMP events tell it, never the console."""

    RESTART = "the guest restarted"
    POWER_OFF = "the guest powered itself off"
    SILENT = "the guest stopped answering"
    AGENT = "the agent in the guest died"
    QEMU = "QEMU died"
    KVM = "KVM stopped the guest with an internal error"
    DISK = "the host has no room for what the guest wrote to its scratch disk"

    @property
    def of_host(self) -> bool:
        """The host or the harness is to blame, not the kernel under test."""
        return self in (Loss.AGENT, Loss.QEMU, Loss.KVM, Loss.DISK)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command in the guest ended.

    `status` is its exit status or None when a signal (`signal`) ended it or nothing is known;
    `timed_out`: the agent killed it at its deadline; `started`: the agent said on the console
    that it begins (False with a loss: an earlier command's late damage); `loss`: the guest is
    gone, and how.
    `output` is both streams in order, its first 4 MiB at most, `dropped` the bytes beyond;
    `splats` what the kernel reported meanwhile. Times in seconds, `max_rss_kib` in KiB.
    """

    output: bytes = b""
    status: int | None = None
    signal: int = 0
    timed_out: bool = False
    leftovers: bool = False
    started: bool = True
    loss: Loss | None = None
    dropped: int = 0
    duration_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_kib: int = 0
    splats: tuple["Splat", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the sources: `line` from 1, `file` as the tree has it, empty where unknown.

    `patch` is the patch of the series that added or changed this line last, `near` the last one
    that changed something else of the same function.
    """

    function: str
    file: str = ""
    line: int = 0
    patch: str = ""
    near: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame(Position):
    """One line of a stack trace, `function+offset/size [module]`, and where that is in `function`.

    `exact`: the address is that of the instruction; else it is where a call returns to. `inlines`
    are the functions that the compiler put there, each called by the one before it. `stack` is
    empty for the trace, else whose it is: where memory was `allocated`, or `freed`.
    """

    offset: int
    size: int
    module: str = ""
    exact: bool = False
    stack: str = ""
    inlines: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Splat:
    """One report of the kernel about itself. Lines count from 1, in the console log.

    `fingerprint` is what does not vary between two runs: kind, title and the top functions of
    the stack. `complete` is False when the console ended inside the report; `first`: nothing was
    reported before it since the kernel booted, so it is no damage of another one. `frames` are
    those of its stack trace that the kernel is sure of, `undecoded` says why some have no place in
    the sources; `on_base`: the base shows it too.
    """

    kind: str
    title: str
    function: str = ""
    fingerprint: tuple[str, ...] = ()
    line_from: int = 0
    line_to: int = 0
    complete: bool = True
    first: bool = True
    text: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    undecoded: str = ""
    on_base: bool = False

    @property
    def fatal(self) -> bool:
        """The kernel does not go on after this one (a guest dies of it, or should)."""
        panicked = any(line.startswith("Kernel panic - not syncing") for line in self.text)
        return self.kind in _FATAL or (panicked and self.complete)


def splat_of(told: Mapping[str, Any]) -> Splat:
    """A splat that went through JSON, where tuples are lists."""
    lists: dict[str, Any] = {key: tuple(told[key]) for key in ("fingerprint", "text")}
    frames = tuple(_frame_of(one) for one in told.get("frames", ()))
    return Splat(**{**told, **lists, "frames": frames})


def _frame_of(told: Mapping[str, Any]) -> Frame:
    return Frame(**{**told, "inlines": tuple(Position(**one) for one in told["inlines"])})


_FATAL = {"panic", "oops", "null-deref", "page-fault", "gpf", "no-init", "stack-overflow", "trap"}


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
    is as in Command; `disk` is its suite's, whose path it finds in SCRATCH_DEV."""

    name: str
    argv: tuple[str, ...]
    cwd: str = "/"
    timeout_s: float = 45.0
    expect_splat: tuple[str, ...] = ()
    isolation: str = "run"
    guest: str = "any"
    server: tuple[str, ...] = ()
    disk: Disk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one test did on one kernel. `kernel` is base, tip or a patch number; `boot` the
    number of the boot in the run directory, `round` that of the repetition, from 1. `detail`
    says in one line why it is not a pass."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A finished stage of a run and how long it took."""

    name: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host directory shown in the guest; what is written there stays in the guest."""

    guest: str
    host: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a guest with a root of its own has of the host: files and directories at places in
    the guest; programs, by name or path, with their libraries."""

    mounts: tuple[Mount, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often the plan runs: `count` times (0: without end), until the first bad result
    (`until_fail`), and whether a bad result also ends the round that it is in (`fail_fast`)."""

    count: int = 1
    until_fail: bool = False
    fail_fast: bool = False


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
    many as there are processors for; `with_base` also runs the unpatched base. `accel` is kvm, tcg
    or None to find out.
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
    rounds: Rounds = Rounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One test of a report: on the kernel with the series, and on the base when that ran too.

    Of a repeated test `result` is its first bad one, else the last; `good` of `total` were not bad.
    """

    result: Result
    base: Result | None = None
    verdict: Verdict | None = None
    good: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a report needs to say of one cell's run.

    `splats` belong to tests; `stray` ones were printed outside of every test and not by the base
    kernel. `warnings` are the compiler's, in files that the series touches; `unfinished` are the
    planned tests without a result.
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
