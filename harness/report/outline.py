# SPDX-License-Identifier: GPL-2.0-only
"""What a reader of a run looks for first: what is new, what is old, how to see it again."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness import verdict
from harness.errors import ExitCode
from harness.model import Mark, Outcome, Row, Run, Splat, Verdict
from harness.recorded import Recorded
from harness.report import text

_OLD = {Verdict.PRE_EXISTING: "before", Verdict.FLAKY: "flaky"}
_OWN = {"--json": 0, "--keep": 0, "--output": 1, "--color": 1, "--rerun-failed": -1}
_OWN |= {"--known-programs": 1, "--of-bisection": 1}  # what a bisection tells its steps
_NOT_BUILT = {ExitCode.KCONFIG, ExitCode.BUILD}
_TESTS_MOST = 20


class State(StrEnum):
    """What a run comes to, in a word. The first that holds, in this order."""

    NEW = "new"  # the series is to blame for something
    FAILED = "failed"  # something failed, and nobody has asked the base
    BROKEN = "broken"  # the series does not apply, build or boot
    CUT = "cut"  # killed, or interrupted
    HOST = "host"  # a stage failed that the series is not to blame for
    UNCLEAR = "unclear"  # what ran, or did not run, says too little
    GOOD = "good"  # nothing that is the series' fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A run, and its rows that are to be talked of. `new` are failures with the series that the
    base has not, `failed` those of which nobody has asked the base; `before` those that it has too,
    `flaky` those that come and go on both, `fixed` those that are gone; `unclear` has what could
    not be told, `good` all the rest. `stray` are reports of the kernel outside of the tests that
    the base has not made."""

    state: State
    new: tuple[Row, ...] = ()
    failed: tuple[Row, ...] = ()
    before: tuple[Row, ...] = ()
    flaky: tuple[Row, ...] = ()
    fixed: tuple[Row, ...] = ()
    unclear: tuple[Row, ...] = ()
    good: tuple[Row, ...] = ()
    stray: tuple[Splat, ...] = ()

    @property
    def bad(self) -> tuple[Row, ...]:
        """What is worth another look."""
        return (*self.new, *self.failed, *self.unclear)


def of(one: Recorded) -> Outline:
    """The outline of a run."""
    found: dict[str, tuple[Row, ...]] = {}
    for row in one.run.rows:
        place = _place(row)
        found[place] = (*found.get(place, ()), row)
    stray = tuple(splat for splat in one.run.stray if not splat.on_base)
    return Outline(**found, stray=stray, state=_state(one, set(found), stray=bool(stray)))


def _place(row: Row) -> str:
    if row.verdict in _OLD:
        return _OLD[row.verdict]
    if row.first_bad:
        return "new"
    if row.result.outcome.bad:
        return {None: "failed", Verdict.UNKNOWN: "unclear"}.get(row.verdict, "new")
    if row.verdict is Verdict.FIXED:
        return "fixed"
    base = row.base.outcome if row.base is not None else None
    odd = Outcome.ERROR in (row.result.outcome, base) or base is Outcome.XPASS
    return "unclear" if odd or row.verdict is Verdict.UNKNOWN else "good"


def _state(one: Recorded, places: set[str], *, stray: bool) -> State:
    if "new" in places or (stray and "base" in one.steps[:-1]):
        return State.NEW
    if "failed" in places or stray:
        return State.FAILED
    if one.error:
        return State.BROKEN if of_series(one) else _stopped(one)
    if one.exit is None or one.exit == ExitCode.INTERRUPTED:
        return State.CUT
    if "unclear" in places or one.run.unfinished or one.exit not in (0, 1):
        return State.UNCLEAR
    return State.GOOD


def _stopped(one: Recorded) -> State:
    return State.CUT if one.exit in (None, ExitCode.INTERRUPTED) else State.HOST


def of_series(one: Recorded) -> bool:
    """A stage failed, and what was to be tested is to blame: a patch does not apply, or a kernel
    with patches does not build or boot. What the base cannot either is another's fault, and so is a
    configuration that no kernel was built with."""
    if not one.error or one.run.series == "base":
        return False
    if one.exit == ExitCode.APPLY:
        return True
    tested = {result.kernel for result in one.results}
    if one.exit in _NOT_BUILT:
        at = next((label for label in one.steps if label not in one.kernels), "base")
        return at != "base" and (one.exit == ExitCode.BUILD or "base" in one.kernels)
    at = next((label for label in one.steps if label not in tested), "base")
    return one.exit == ExitCode.BOOT and at != "base"


def broke(row: Row) -> Mark | None:
    """What the test did on the kernel of the patch that broke it, where each patch had one."""
    return next((mark for mark in row.marks if row.first_bad and mark.patch == row.first_bad), None)


def outcome(row: Row) -> Outcome:
    """What became of a test with the series, or at the patch that broke it."""
    mark = broke(row)
    if mark is not None and mark.outcome is not None and not row.result.outcome.bad:
        return mark.outcome
    return row.result.outcome


def detail(row: Row) -> str:
    """Why it is talked of, in a line."""
    mark = broke(row)
    before = row.base.detail if row.base is not None else ""
    return row.result.detail or (mark.detail if mark is not None else "") or before


def counts(run: Run) -> str:
    """`12 pass, 1 fail`, in the order of the table."""
    found = Counter(str(row.result.outcome) for row in run.rows)
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "nothing ran"


def name(run: Run) -> str:
    """`aio-poll on 6.12`, or the base alone."""
    return f"{run.series} on {run.base}" if run.series != "base" else run.base


def again(one: Recorded, rows: Sequence[Row] = ()) -> str:
    """The command line that runs the tests of some rows again; the whole run for none. Empty where
    the run has not told how it was started."""
    tests = [row.result.test for row in rows if row.result.test not in verdict.OWN_TESTS]
    if one.of_pytest:
        return shlex.join(["pytest", *tests]) if tests else one.command
    if len(tests) > _TESTS_MOST:
        return shlex.join(["harness", "run", "--rerun-failed", one.directory.name])
    words = run_words(one, {"--test": 1} if tests else {})
    chosen = [word for test in tests for word in ("--test", test)]
    return shlex.join([*words, *chosen]) if words else ""


def run_words(one: Recorded, without: Mapping[str, int]) -> list[str]:
    """The `harness run` that a run was, without some options and those that change no result; empty
    for another command. `without` is as in text.without_options()."""
    if not one.argv or one.argv[0] not in ("run", "watch"):
        return []
    return ["harness", "run", *text.without_options(one.argv[1:], {**_OWN, **without})]


def guest(one: Recorded) -> str:
    """The guest in a few words: `x86_64 under QEMU (tcg), 1 CPU, 512 MiB`."""
    shape = one.cell.get("guest", {})
    cpus, memory = shape.get("cpus", 1), shape.get("memory_mib", 512)
    accel = f" ({one.run.accel})" if one.run.accel else ""
    return f"x86_64 under QEMU{accel}, {cpus} CPU{'s' * (cpus > 1)}, {memory} MiB"


def kconfig(one: Recorded) -> str:
    """`base`, or `base + debug`; a .config of the user's by its path."""
    cell = one.cell
    words = [str(cell["config"])] if cell.get("config") else ["base"]
    words += [*cell.get("stack", {}).get("kconfigs", ()), *cell.get("kconfigs", ())]
    words += [*cell.get("settings", ()), *(["LLVM=1"] if cell.get("llvm") else [])]
    return " + ".join(dict.fromkeys(words))


def base(one: Recorded) -> str:
    """The base: `6.12.117`, with its commit where others have it."""
    if one.base is None:
        return one.run.base
    commit = "" if one.base.imported else f", commit {one.base.commit[:12]}"
    return f"{one.base.version}{commit}"
