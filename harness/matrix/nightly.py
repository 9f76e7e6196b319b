# SPDX-License-Identifier: GPL-2.0-only
"""A night: do the series still apply, what became of the matrix, and what of that is new.

`nightly.json` in the directory of the matrix has what the next nights compare with, so that the
runs themselves may be gone by then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import apply, apply_bisect, cache, lineage, tree
from harness.errors import ApplyError, ExitCode, HarnessError
from harness.history import History
from harness.matrix import news, record
from harness.matrix.news import STAGES, STRAY, News
from harness.matrix.plan import Asked
from harness.matrix.record import Told
from harness.model import SCHEMA, Kind, Series
from harness.retention import NIGHT

_NIGHTS = 30


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
    cells = {name: news.cell(one, flaky) for name, one in told.ended.items() if name in names}
    new = list(_new_applies(night.applied, before))
    fixed: list[str] = []
    for name, about in cells.items():
        past = [one.cells[name] for one in before if name in one.cells]
        new += news.new(name, about, past)
        fixed += news.fixed(name, about, past)
    return Night(
        directory=night.directory,
        applied=night.applied,
        cells=cells,
        new=tuple(new),
        fixed=tuple(fixed),
        exit=_exit_code(new, cells),
    )


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


def _exit_code(new: Sequence[News], cells: Mapping[str, Mapping[str, Any]]) -> int:
    """1 for something new; else what kept the night from knowing, if anything did."""
    if new:
        return ExitCode.FAILED
    if not cells:
        return ExitCode.NOTHING_RAN
    if any(one["exit"] == ExitCode.BUG for one in cells.values()):
        return ExitCode.BUG
    known = (*STAGES, ExitCode.OK, ExitCode.FAILED, ExitCode.APPLY, ExitCode.NOTHING_RAN)
    unknown = any(one["exit"] not in known for one in cells.values())
    return ExitCode.HOST if unknown else ExitCode.OK


def lines(night: Night) -> Iterator[str]:
    """What is new, for people."""
    for one in night.new:
        yield f"new: {one.where}{f' {one.test}' * bool(one.test)}: {one.what}"
        if one.run_dir and one.test:
            test = "" if one.test == STRAY else f" --test {one.test}"
            yield f"     harness show {Path(one.run_dir).name[-4:]}{test}"
    for gone in night.fixed:
        yield f"no more: {gone}"
    bad = sum(news.is_bad(seen) for one in night.cells.values() for seen in one["tests"].values())
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
