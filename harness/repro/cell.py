# SPDX-License-Identifier: GPL-2.0-only
"""What of a recorded run one test on one kernel is made of, found again or made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import plan, series
from harness.errors import UsageError
from harness.guest import machine
from harness.model import (
    Cell,
    GuestSpec,
    Outcome,
    Patch,
    Result,
    Series,
    Test,
)
from harness.recorded import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One test on one kernel of a run. `result` is what it came to there, None where it did not
    run; `before` the tests that the same guest had run before it; `notes` what is not as it was."""

    run: Recorded
    test: Test
    label: str
    cell: Cell
    result: Result | None = None
    before: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches of that kernel, in order, as the run directory has them."""
        if self.label == "base" or not (self.run.directory / "patches/series").exists():
            return ()
        every = series.read(self.run.directory / "patches").patches
        return every if self.label == "tip" else every[: int(self.label)]

    @property
    def config(self) -> Path:
        """The kernel's final .config, as the run directory has it."""
        return self.run.directory / "kernels" / self.label / "config"

    @property
    def hosted(self) -> bool:
        """It needs the host's root: there can be no image of its own for its guest."""
        built_in = set(self.config.read_text().splitlines())
        unfit = any(f"{symbol}=y" not in built_in for symbol in machine.NEEDED)
        return unfit or self.test.guest == "vng"


def choose(run: Recorded, pattern: str, label: str = "") -> Wanted:
    """The test that `pattern` names, on the kernel `label` (default: the one that the run is
    about). UsageError where there is none such, or several."""
    label = label or (run.steps[-1] if run.steps else "tip")
    name = run.directory.name
    if run.of_pytest:
        raise UsageError(
            f"{name} is a run of pytest: its tests are on the host and cannot be taken along",
            hint="pytest --last-failed runs them again",
        )
    if not run.tests:
        raise UsageError(f"{name} does not tell how its tests were run", hint="run it again")
    found = plan.matching(list(run.tests), [pattern])
    found = tuple(one for one in found if pattern in (one, one.partition("/")[2])) or found
    if len(found) > 1:
        raise UsageError(f"{pattern} names {len(found)} tests: {', '.join(found[:5])}")
    if label not in run.kernels:
        raise UsageError(f"{name} has no kernel {label}", hint=f"it has {', '.join(run.kernels)}")
    test = run.tests[found[0]]
    ran = _source(run, test.name, label)
    results = [one for one in run.results if (one.test, one.kernel) == (test.name, ran)]
    result = next((one for one in results if one.outcome.bad), results[-1] if results else None)
    return Wanted(
        run=run,
        test=test,
        label=label,
        cell=_cell(run.cell),
        result=result,
        before=_before(run, result) if result else (),
    )


def _source(run: Recorded, test: str, label: str) -> str:
    """Whose results those of `label` are: an earlier kernel's, where that is the same program."""
    marks = [mark for row in run.run.rows if row.result.test == test for mark in row.marks]
    return next((mark.inherited for mark in marks if mark.label == label), "") or label


def _before(run: Recorded, result: Result) -> tuple[str, ...]:
    """The tests that ran in the guest of a result before it."""
    if not result.boot:  # of another run
        return ()
    there = [one for one in run.results if (one.boot, one.kernel) == (result.boot, result.kernel)]
    return tuple(one.test for one in there[: there.index(result)])


def _cell(told: Mapping[str, Any]) -> Cell:
    """The part of a cell that guests and tests depend on."""
    guest = dict(told["guest"])
    lists = {key: tuple(guest[key]) for key in ("cmdline", "qemu")}
    return Cell(
        stack=Series(name=told["stack"]["name"], suites=tuple(told["stack"].get("suites", ()))),
        tree=told["tree"],
        cc=told["cc"],
        llvm=told["llvm"],
        suites=tuple(told["suites"]),
        commands=tuple(told["commands"]),
        timeout_s=told["timeout_s"],
        env=tuple((name, value) for name, value in told["env"]),
        tests=tuple(told["tests"]),
        guest=GuestSpec(**{**guest, **lists, "gdb": False, "dump": False}),
    )


def outcome(result: Result | None) -> str:
    """What it came to, in a few words."""
    if result is None:
        return "did not run"
    said = "" if result.outcome is Outcome.PASS else result.detail
    return f"{result.outcome}: {said}" if said else str(result.outcome)
