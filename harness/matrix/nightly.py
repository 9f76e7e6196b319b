# SPDX-License-Identifier: GPL-2.0-only
"""A night: do the series still apply, what became of the matrix, and what of that is new.

`nightly.json` in the directory of the matrix has what the next nights compare with, so that the
runs themselves may be gone by then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import apply, apply_bisect, cache, lineage, recorded, tree
from harness.errors import ApplyError, ExitCode, HarnessError
from harness.history import History
from harness.matrix import record, view
from harness.matrix.plan import Asked
from harness.matrix.record import Told
from harness.model import SCHEMA, Ended, Kind, Outcome, Row, Series, Verdict

FILE = "nightly.json"
_NIGHTS = 30
_DOUBTFUL = (Verdict.FLAKY, Verdict.UNKNOWN)
_OF_THE_HOST = (ExitCode.HOST, ExitCode.BUG, ExitCode.INTERRUPTED)


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
    """Something bad that was not so in the last night that looked at it, or has become worse.
    `where` is a cell, or tree/series; `test` is empty where it is of the whole cell."""

    where: str
    what: str
    test: str = ""
    run_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What is known of a night, as its file has it: the series, by cell the exit status and the
    bad tests (with `seen`: outcome and splats), what was new. `exit` is None until it has ended."""

    directory: Path
    applied: tuple[Applied, ...] = ()
    cells: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    new: tuple[News, ...] = ()
    fixed: tuple[str, ...] = ()
    exit: int | None = None

    def write(self) -> None:
        """Keep it."""
        about = {key: value for key, value in asdict(self).items() if key != "directory"}
        cache.write_json(self.directory / FILE, {"schema": SCHEMA, **about})


def nights() -> list[Night]:
    """Those of this user, the newest first."""
    found = []
    for directory in record.recent():
        if (told := cache.read_json(directory / FILE)) is not None:
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
    known = next((one for one in same if one.commit == about.commit and one.culprit), None)
    if known is not None:
        return known.culprit, ""
    try:
        broken = apply_bisect.find(lineage.span(about.tree, good, about.commit), stack)
    except HarnessError as error:
        return {}, error.message
    return (asdict(broken), "") if broken else ({}, "the series itself has changed")


def judge(night: Night, told: Told, before: Sequence[Night]) -> Night:
    """The night with what became of its matrix, and what of it is new."""
    names = {task.name for task in told.tasks if task.kind is Kind.TEST}
    cells = {name: _cell(one) for name, one in told.ended.items() if name in names}
    flaky = _flaky()
    new = [*_new_applies(night.applied, before)]
    fixed: list[str] = []
    for name, about in cells.items():
        last = next((one.cells[name] for one in before if name in one.cells), None)
        new += _new_in_cell(name, about, last, flaky)
        if last is not None and about["exit"] in (ExitCode.OK, ExitCode.FAILED):
            fixed += [f"{name} {test}" for test in last["bad"] if test not in about["bad"]]
    return Night(
        directory=night.directory,
        applied=night.applied,
        cells=cells,
        new=tuple(new),
        fixed=tuple(fixed),
        exit=_exit_code(new, cells),
    )


def _cell(one: Ended) -> dict[str, Any]:
    """What of a cell the next nights have to know."""
    about: dict[str, Any] = {"exit": one.exit, "error": one.error, "run_dir": one.run_dir}
    about["bad"], about["based"] = {}, False
    if one.run_dir and Path(one.run_dir).is_dir():
        run = recorded.load(Path(one.run_dir)).run
        about["based"] = any(row.base is not None for row in run.rows)
        about["bad"] = {row.result.test: _bad(row) for row in run.rows if row.result.outcome.bad}
    return about


def _bad(row: Row) -> dict[str, Any]:
    result = row.result
    prints = sorted({f"{splat.kind}: {' '.join(splat.fingerprint)}" for splat in result.splats})
    return {
        "outcome": str(result.outcome),
        "verdict": str(row.verdict or ""),
        "detail": result.detail,
        "splats": prints,
    }


def _flaky() -> set[str]:
    """The tests that are known to come out both ways on one kernel."""
    with History() as history:
        history.sync()
        return {one.test for one in history.flakes()}


def _new_applies(applied: Iterable[Applied], before: Sequence[Night]) -> Iterator[News]:
    for one in applied:
        told = (old for night in before for old in night.applied)
        last = next((o for o in told if (o.tree, o.series) == (one.tree, one.series)), None)
        if one.error and (last is None or not last.error):
            yield News(where=f"{one.tree}/{one.series}", what=one.error)


def _new_in_cell(
    name: str, about: Mapping[str, Any], last: Mapping[str, Any] | None, flaky: set[str]
) -> Iterator[News]:
    code = about["exit"]
    stage = code not in (ExitCode.OK, ExitCode.FAILED, ExitCode.APPLY, *_OF_THE_HOST)
    if stage and (last is None or last["exit"] != code):
        what = view.word(code) + (f": {about['error']}" if about["error"] else "")
        yield News(where=name, what=what, run_dir=about["run_dir"])
    for test, bad in about["bad"].items():
        if bad["verdict"] in _DOUBTFUL or (not bad["verdict"] and test in flaky):
            continue
        old = last["bad"].get(test) if last is not None else None
        if _is_new(bad, old, first=last is None):
            what = bad["outcome"] + (f": {bad['detail']}" if bad["detail"] else "")
            yield News(where=name, what=what, test=test, run_dir=about["run_dir"])


def _is_new(bad: Mapping[str, Any], old: Mapping[str, Any] | None, *, first: bool) -> bool:
    """Good before, or not as bad. In a first night: what the series itself has broken."""
    if old is None:
        return not first or bad["verdict"] in ("", Verdict.NEW, Verdict.CHANGED)
    worse = bad["outcome"] == Outcome.CRASH != old["outcome"]
    return worse or not set(bad["splats"]) <= set(old["splats"])


def _exit_code(new: Sequence[News], cells: Mapping[str, Mapping[str, Any]]) -> int:
    """1 for something new; else what kept the night from knowing, if anything did."""
    if new:
        return ExitCode.FAILED
    codes = [one["exit"] for one in cells.values() if one["exit"] in _OF_THE_HOST]
    if not cells:
        return ExitCode.NOTHING_RAN
    return max(codes, default=ExitCode.OK)


def lines(night: Night) -> Iterator[str]:
    """What is new, for people."""
    for one in night.new:
        yield f"new: {one.where}{f' {one.test}' * bool(one.test)}: {one.what}"
        if one.run_dir and one.test:
            yield f"     harness show {Path(one.run_dir).name[-4:]} --test {one.test}"
    for gone in night.fixed:
        yield f"no more: {gone}"
    bad = sum(len(one["bad"]) for one in night.cells.values())
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
