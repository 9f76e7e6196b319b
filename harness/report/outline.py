# SPDX-License-Identifier: GPL-2.0-only
"""What a reader of a run looks for first: what is new, what is old, how to see it again."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness import verdict
from harness.errors import ExitCode
from harness.model import Outcome, Row, Run, Splat, Verdict
from harness.recorded import Recorded
from harness.report import text

_OLD = {Verdict.PRE_EXISTING: "before", Verdict.FLAKY: "flaky"}
_OWN = {"--json": 0, "--keep": 0, "--output": 1, "--color": 1, "--rerun-failed": -1}
_PATCHS_FAULT = {ExitCode.APPLY, ExitCode.KCONFIG, ExitCode.BUILD, ExitCode.BOOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The rows of a run that are to be talked of. `new` are failures with the series that the base
    has not, or of which nobody has asked the base; `before` those that it has too, `flaky` those
    that come and go on both, `fixed` those that are gone; `unclear` has what could not be told,
    `good` all the rest. `stray` are reports of the kernel outside of the tests and new."""

    new: tuple[Row, ...] = ()
    before: tuple[Row, ...] = ()
    flaky: tuple[Row, ...] = ()
    fixed: tuple[Row, ...] = ()
    unclear: tuple[Row, ...] = ()
    good: tuple[Row, ...] = ()
    stray: tuple[Splat, ...] = ()

    @property
    def failed(self) -> bool:
        """The series is to blame for something."""
        return bool(self.new or self.stray)


def of(run: Run) -> Outline:
    """The outline of a run."""
    found: dict[str, list[Row]] = {}
    for row in run.rows:
        found.setdefault(_place(row), []).append(row)
    stray = tuple(splat for splat in run.stray if not splat.on_base)
    return Outline(**{place: tuple(rows) for place, rows in found.items()}, stray=stray)


def _place(row: Row) -> str:
    if row.verdict in _OLD:
        return _OLD[row.verdict]
    if row.result.outcome.bad or row.first_bad:
        return "new" if row.verdict is not Verdict.UNKNOWN else "unclear"
    if row.verdict is Verdict.FIXED:
        return "fixed"
    return "unclear" if Outcome.ERROR in _outcomes(row) else "good"


def _outcomes(row: Row) -> set[Outcome]:
    return {row.result.outcome, *((row.base.outcome,) if row.base else ())}


def of_patch(one: Recorded) -> bool:
    """A stage failed (apply, configure, build, boot), which is the fault of what was to be tested
    and not of the host."""
    return bool(one.error) and one.exit in _PATCHS_FAULT


def counts(run: Run) -> str:
    """`12 pass, 1 fail`, in the order of the table."""
    found = Counter(str(row.result.outcome) for row in run.rows)
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "nothing ran"


def name(run: Run) -> str:
    """`aio-poll on 6.12`, or the base alone."""
    return f"{run.series} on {run.base}" if run.series != "base" else run.base


def again(one: Recorded, rows: Sequence[Row]) -> str:
    """The command line that runs the tests of some rows again; the whole run for none."""
    tests = [row.result.test for row in rows if row.result.test not in verdict.OWN_TESTS]
    argv = text.without_options(one.argv, {**_OWN, **({"--test": 1} if tests else {})})
    return shlex.join(["harness", *argv, *(word for test in tests for word in ("--test", test))])


def guest(one: Recorded) -> str:
    """The guest in a few words: `x86_64 under QEMU (tcg), 1 CPU, 512 MiB`."""
    shape = one.cell.get("guest", {})
    cpus, memory = shape.get("cpus", 1), shape.get("memory_mib", 512)
    accel = f" ({one.run.accel})" if one.run.accel else ""
    return f"x86_64 under QEMU{accel}, {cpus} CPU{'s' * (cpus > 1)}, {memory} MiB"


def kconfig(one: Recorded) -> str:
    """`base`, or `base + debug`."""
    asked = (*one.cell.get("stack", {}).get("kconfigs", ()), *one.cell.get("kconfigs", ()))
    return " + ".join(("base", *dict.fromkeys(asked), *one.cell.get("settings", ())))


def base(one: Recorded) -> str:
    """The base: `6.12.117`, with its commit where others have it."""
    if one.base is None:
        return one.run.base
    commit = "" if one.base.imported else f", commit {one.base.commit[:12]}"
    return f"{one.base.version}{commit}"
