# SPDX-License-Identifier: GPL-2.0-only
"""What of a cell is new since the nights before: its tests then and now, as JSON; no verdict is
taken from a night that could not tell."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import recorded
from harness.errors import ExitCode
from harness.matrix import view
from harness.model import Ended, Outcome, Result, Row, Splat, Verdict
from harness.recorded import Recorded

STAGES = (ExitCode.KCONFIG, ExitCode.BUILD, ExitCode.BOOT, ExitCode.GUEST_LOST)
"""Exit statuses that are the kernel's doing, beside those of tests."""
STRAY = "(outside of the tests)"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something bad that was not so in the last night that could tell, or has become worse.
    `where` is a cell, or tree/series; `test` is empty where it is of the whole cell."""

    where: str
    what: str
    test: str = ""
    run_dir: str = ""


def cell(one: Ended, flaky: Set[str]) -> dict[str, Any]:
    """What of a cell the next nights have to know; `tests` has those that said something."""
    about: dict[str, Any] = {"exit": one.exit, "error": one.error, "run_dir": one.run_dir}
    about["tests"] = {}
    # An old run may have been removed, and one that ended with an error have no journal.
    with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
        if one.run_dir:
            about["tests"] = _tests(recorded.load(Path(one.run_dir)), flaky)
    return about


def _tests(told: Recorded, flaky: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in told.run.rows:
        result = row.result
        if not result.outcome.bad and row.base is not None and row.base.outcome is Outcome.XPASS:
            result = replace(row.base, detail="passes on the base, where it has to fail")
        if result.outcome in (Outcome.SKIP, Outcome.ERROR):
            continue
        context = told.contexts.get(result.kernel, {}).get(result.test, "")
        doubtful = _is_doubtful(row) or (row.base is None and context in flaky)
        found[result.test] = {
            "outcome": str(result.outcome),
            "verdict": str(row.verdict or ""),
            "detail": result.detail,
            "doubtful": result.outcome.bad and doubtful and not _is_loud(result),
            "splats": _prints(result.splats),
        }
    if stray := [splat for splat in told.run.stray if not splat.on_base]:
        found[STRAY] = {
            "outcome": str(Outcome.FAIL),
            "verdict": "",
            "detail": stray[0].title,
            "doubtful": False,
            "splats": _prints(stray),
        }
    return found


def _is_doubtful(row: Row) -> bool:
    """Reruns have shown that it is flaky, or have not shown what it is."""
    settled = row.settled is not None and row.verdict is Verdict.UNKNOWN
    return row.verdict is Verdict.FLAKY or settled


def _is_loud(result: Result) -> bool:
    """No flake: it took the kernel with it, or had it complain. Reruns that call that one flaky
    have seen the same on the base."""
    return result.outcome is Outcome.CRASH and any(not one.on_base for one in result.splats)


def _prints(splats: Iterable[Splat]) -> list[str]:
    return sorted({f"{splat.kind}: {' '.join(splat.fingerprint)}" for splat in splats})


def new(name: str, about: Mapping[str, Any], past: Sequence[Mapping[str, Any]]) -> Iterator[News]:
    """What is new in a cell. `about` is what cell() says of it, `past` of it in the nights before,
    the newest first."""
    code = about["exit"]
    if code in STAGES:
        last = next((one["exit"] for one in past if _tells(one["exit"])), None)
        if last != code:
            what = view.word(code) + (f": {about['error']}" if about["error"] else "")
            yield News(where=name, what=what, run_dir=about["run_dir"])
    for test, now in about["tests"].items():
        if not is_bad(now) or now["doubtful"]:
            continue
        old = _last(test, past)
        if _is_new(now, old, first=not any(one["tests"] for one in past)):
            what = now["outcome"] + (f": {now['detail']}" if now["detail"] else "")
            yield News(where=name, what=what, test=test, run_dir=about["run_dir"])


def fixed(name: str, about: Mapping[str, Any], past: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The tests that were bad and are good, each with its cell's name before it; as new()."""
    for test, now in about["tests"].items():
        old = None if is_bad(now) else _last(test, past)
        if old is not None and is_bad(old):
            yield f"{name} {test}"
    quiet = about["exit"] in (ExitCode.OK, ExitCode.FAILED) and STRAY not in about["tests"]
    if quiet and next((STRAY in one["tests"] for one in past if one["tests"]), False):
        yield f"{name} {STRAY}"


def _last(test: str, past: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What the newest night said of a test that said anything for sure."""
    told = (one["tests"][test] for one in past if test in one["tests"])
    return next((one for one in told if not one["doubtful"]), None)


def is_bad(seen: Mapping[str, Any]) -> bool:
    """A test of cell() that did not come out well."""
    return Outcome(seen["outcome"]).bad


def _tells(code: int) -> bool:
    """A cell's exit status is the doing of kernel and tests, not of the machine."""
    return code in (ExitCode.OK, ExitCode.FAILED, *STAGES)


def _is_new(now: Mapping[str, Any], old: Mapping[str, Any] | None, *, first: bool) -> bool:
    """Good before, or not as bad. In a first night: what is not said to be the base's as well."""
    if old is None:
        return not first or now["verdict"] not in (Verdict.PRE_EXISTING, Verdict.STILL_FAILING)
    worse = now["outcome"] == Outcome.CRASH != old["outcome"]
    return not is_bad(old) or worse or not set(now["splats"]) <= set(old["splats"])
