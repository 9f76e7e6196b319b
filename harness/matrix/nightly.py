# SPDX-License-Identifier: GPL-2.0-only
"""A night: do the series still apply, what became of the matrix, and what of that is new.

`nightly.json` in the directory of the matrix has what the next nights compare with, so that the
runs themselves may be gone by then.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import apply, apply_bisect, cache, lineage, recorded, tree
from harness.errors import ApplyError, ExitCode, HarnessError
from harness.history import History
from harness.matrix import record, view
from harness.matrix.plan import Asked
from harness.matrix.record import Told
from harness.model import (
    SCHEMA,
    Ended,
    Kind,
    Outcome,
    Result,
    Row,
    Series,
    Splat,
    Verdict,
)
from harness.recorded import Recorded
from harness.retention import NIGHT

_NIGHTS = 30
_STRAY = "(outside of the tests)"
_STAGES = (ExitCode.KCONFIG, ExitCode.BUILD, ExitCode.BOOT, ExitCode.GUEST_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Whether a series applies to a tree at a commit: `error` is why not; `culprit` the commit of
    the tree that broke it (apply_bisect.Broken as JSON), `unknown` why that is not known."""

    tree: str
    series: str
    commit: str
    version: str
    error: str = ""
    culprit: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something bad that was not so in the last night that could tell, or has become worse.
    `where` is a cell, or tree/series; `test` is empty where it is of the whole cell."""

    where: str
    what: str
    test: str = ""
    run_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What is known of a night, as its file has it: the series, by cell the exit status and its
    tests (outcome, splats, whether that is to be doubted), what was new. `exit` is None until it
    has ended."""

    directory: Path
    applied: tuple[Applied, ...] = ()
    cells: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    new: tuple[News, ...] = ()
    fixed: tuple[str, ...] = ()
    exit: int | None = None

    def write(self) -> None:
        """Keep it."""
        about = {key: value for key, value in asdict(self).items() if key != "directory"}
        cache.write_json(self.directory / NIGHT, {"schema": SCHEMA, **about})


def nights() -> list[Night]:
    """Those of this user, the newest first."""
    found = []
    for directory in record.recent():
        if (told := cache.read_json(directory / NIGHT)) is not None:
            found.append(_night(directory, told))
        if len(found) == _NIGHTS:
            break
    return found


def _night(directory: Path, told: Mapping[str, Any]) -> Night:
    return Night(
        directory=directory,
        applied=tuple(Applied(**one) for one in told["applied"]),
        cells=told["cells"],
        new=tuple(News(**one) for one in told["new"]),
        fixed=tuple(told["fixed"]),
        exit=told["exit"],
    )


def check(asked: Sequence[Asked], before: Sequence[Night]) -> Iterator[Applied]:
    """Each series on each tree of the matrix, which is fetched for it. HostError where one cannot
    be had."""
    stacks = {(one.cell.tree, one.cell.series): one.wanted.stack for one in asked}
    for (name, series), stack in stacks.items():
        base = tree.resolve(name)
        about = Applied(tree=name, series=series, commit=base.commit, version=base.version)
        try:
            apply.apply(base, stack)
            yield about
        except ApplyError as error:
            culprit, unknown = _culprit(about, stack, before)
            yield Applied(
                tree=name,
                series=series,
                commit=base.commit,
                version=base.version,
                error=error.message,
                culprit=culprit,
                unknown=unknown,
            )


def _culprit(
    about: Applied, stack: Series, before: Sequence[Night]
) -> tuple[Mapping[str, Any], str]:
    """The commit that broke it since it applied last, or why there is none to name."""
    told = (one for night in before for one in night.applied)
    same = [one for one in told if (one.tree, one.series) == (about.tree, about.series)]
    good = next((one.commit for one in same if not one.error), None)
    if good is None:
        return {}, "no night is known in which it applied"
    if good == about.commit:
        return {}, "the series itself has changed"
    known = next((one for one in same if one.commit == about.commit and one.culprit), None)
    if known is not None:
        return known.culprit, ""
    try:
        broken = apply_bisect.find(lineage.span(about.tree, good, about.commit), stack)
    except HarnessError as error:
        return {}, error.message
    return (asdict(broken), "") if broken else ({}, "it applies when it is tried again")


def judge(night: Night, told: Told, before: Sequence[Night]) -> Night:
    """The night with what became of its matrix, and what of it is new."""
    names = {task.name for task in told.tasks if task.kind is Kind.TEST}
    flaky = _flaky_contexts()
    cells = {name: _cell(one, flaky) for name, one in told.ended.items() if name in names}
    new = list(_new_applies(night.applied, before))
    fixed: list[str] = []
    for name, about in cells.items():
        past = [one.cells[name] for one in before if name in one.cells]
        new += _new_in_cell(name, about, past)
        fixed += _fixed_in_cell(name, about, past)
    return Night(
        directory=night.directory,
        applied=night.applied,
        cells=cells,
        new=tuple(new),
        fixed=tuple(fixed),
        exit=_exit_code(new, cells),
    )


def _cell(one: Ended, flaky: Set[str]) -> dict[str, Any]:
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
        found[_STRAY] = {
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


def _flaky_contexts() -> set[str]:
    """The contexts of results that came out both ways."""
    with History() as history:
        history.sync()
        return history.flaky_contexts()


def _new_applies(applied: Iterable[Applied], before: Sequence[Night]) -> Iterator[News]:
    for one in applied:
        told = (old for night in before for old in night.applied)
        last = next((o for o in told if (o.tree, o.series) == (one.tree, one.series)), None)
        if one.error and (last is None or not last.error):
            yield News(where=f"{one.tree}/{one.series}", what=one.error)


def _new_in_cell(
    name: str, about: Mapping[str, Any], past: Sequence[Mapping[str, Any]]
) -> Iterator[News]:
    code = about["exit"]
    if code in _STAGES:
        last = next((one["exit"] for one in past if _tells(one["exit"])), None)
        if last != code:
            what = view.word(code) + (f": {about['error']}" if about["error"] else "")
            yield News(where=name, what=what, run_dir=about["run_dir"])
    for test, now in about["tests"].items():
        if not _is_bad(now) or now["doubtful"]:
            continue
        old = _last(test, past)
        if _is_new(now, old, first=not any(one["tests"] for one in past)):
            what = now["outcome"] + (f": {now['detail']}" if now["detail"] else "")
            yield News(where=name, what=what, test=test, run_dir=about["run_dir"])


def _fixed_in_cell(
    name: str, about: Mapping[str, Any], past: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    for test, now in about["tests"].items():
        old = None if _is_bad(now) else _last(test, past)
        if old is not None and _is_bad(old):
            yield f"{name} {test}"
    quiet = about["exit"] in (ExitCode.OK, ExitCode.FAILED) and _STRAY not in about["tests"]
    if quiet and next((_STRAY in one["tests"] for one in past if one["tests"]), False):
        yield f"{name} {_STRAY}"


def _last(test: str, past: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What the newest night said of a test that said anything for sure."""
    told = (one["tests"][test] for one in past if test in one["tests"])
    return next((one for one in told if not one["doubtful"]), None)


def _is_bad(seen: Mapping[str, Any]) -> bool:
    return Outcome(seen["outcome"]).bad


def _tells(code: int) -> bool:
    """A cell's exit status is the doing of kernel and tests, not of the machine."""
    return code in (ExitCode.OK, ExitCode.FAILED, *_STAGES)


def _is_new(now: Mapping[str, Any], old: Mapping[str, Any] | None, *, first: bool) -> bool:
    """Good before, or not as bad. In a first night: what is not said to be the base's as well."""
    if old is None:
        return not first or now["verdict"] not in (Verdict.PRE_EXISTING, Verdict.STILL_FAILING)
    worse = now["outcome"] == Outcome.CRASH != old["outcome"]
    return not _is_bad(old) or worse or not set(now["splats"]) <= set(old["splats"])


def _exit_code(new: Sequence[News], cells: Mapping[str, Mapping[str, Any]]) -> int:
    """1 for something new; else what kept the night from knowing, if anything did."""
    if new:
        return ExitCode.FAILED
    if not cells:
        return ExitCode.NOTHING_RAN
    if any(one["exit"] == ExitCode.BUG for one in cells.values()):
        return ExitCode.BUG
    known = (*_STAGES, ExitCode.OK, ExitCode.FAILED, ExitCode.APPLY, ExitCode.NOTHING_RAN)
    unknown = any(one["exit"] not in known for one in cells.values())
    return ExitCode.HOST if unknown else ExitCode.OK


def lines(night: Night) -> Iterator[str]:
    """What is new, for people."""
    for one in night.new:
        yield f"new: {one.where}{f' {one.test}' * bool(one.test)}: {one.what}"
        if one.run_dir and one.test:
            test = "" if one.test == _STRAY else f" --test {one.test}"
            yield f"     harness show {Path(one.run_dir).name[-4:]}{test}"
    for gone in night.fixed:
        yield f"no more: {gone}"
    bad = sum(_is_bad(seen) for one in night.cells.values() for seen in one["tests"].values())
    tests = sum(bool(one.test) for one in night.new)
    yield f"{len(night.new)} new, {len(night.fixed)} no more, {bad - tests} as before or doubtful"


def applied_lines(applied: Iterable[Applied]) -> Iterator[str]:
    """Which series apply, for people."""
    for one in applied:
        place = f"{one.series} on {one.tree} ({one.version}, {one.commit[:12]})"
        if not one.error:
            if one.series != "base":
                yield f"applies         {place}"
            continue
        yield f"does not apply  {place}: {one.error}"
        if one.culprit:
            found = one.culprit
            yield (
                f'    since {found["commit"][:12]} ("{found["subject"]}", {found["author"]}, '
                f"{found['date'][:10]}); {found['checks']} checks in {found['duration_s']:.1f} s"
            )
        else:
            yield f"    the commit that broke it: {one.unknown}"
