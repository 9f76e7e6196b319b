# SPDX-License-Identifier: GPL-2.0-only
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.matrix import nightly, record
from harness.matrix.news import News
from harness.matrix.nightly import Applied, Night
from harness.matrix.plan import Asked
from harness.matrix.record import MatrixRecord
from harness.model import (
    Cell,
    Ended,
    Kind,
    MatrixCell,
    Outcome,
    Patch,
    Result,
    Series,
    Settled,
    Splat,
    Tally,
    Task,
    Verdict,
)
from tests import runs
from tests.unit import fakes

PASS, FAIL, CRASH = Outcome.PASS, Outcome.FAIL, Outcome.CRASH
CELL = "6.12/s/base/one"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


def night(
    tmp_path: Path,
    results: Iterable[Result] = (),
    *,
    before: Iterable[Night] = (),
    code: int = 1,
    error: str = "",
    steps: tuple[str, ...] = ("base", "tip"),
    settled: Iterable[Settled] = (),
    stray: Iterable[Splat] = (),
) -> Night:
    """A night whose matrix has one cell that came to `results`."""
    results = list(results)
    if results:
        told = runs.write(
            tmp_path / "runs",
            results,
            steps=steps,
            settled=list(settled),
            stray=list(stray),
            exit_code=code,
        )
        place = str(told.directory)
    task = Task(name=CELL, kind=Kind.TEST, argv=("run",))
    with MatrixRecord.new([task], {}) as made:
        made.end(
            Ended(
                task=CELL,
                exit=code,
                duration_s=1.0,
                error=error,
                run_dir=place if results else "",
            )
        )
        made.finish(code)
    found = nightly.judge(Night(directory=made.path), record.load(made.path), list(before))
    found.write()
    return found


def news_in(found: Night) -> list[str]:
    return [one.test for one in found.new]


def test_in_a_first_night_new_is_what_the_series_breaks(tmp_path: Path) -> None:
    first = night(
        tmp_path,
        [
            *runs.pair("s/good", PASS, PASS),
            *runs.pair("s/breaks", PASS, FAIL),
            *runs.pair("s/always", FAIL, FAIL),
        ],
    )
    assert news_in(first) == ["s/breaks"] and first.exit == ExitCode.FAILED
    assert set(first.cells[CELL]["tests"]) == {"s/good", "s/breaks", "s/always"}


def test_in_a_first_night_what_fails_without_a_base_is_new(tmp_path: Path) -> None:
    alone = [runs.result("s/a", FAIL, "base"), runs.result("s/b", PASS, "base")]
    first = night(tmp_path, alone, steps=("base",))
    assert news_in(first) == ["s/a"]


def test_what_failed_last_night_is_not_new(tmp_path: Path) -> None:
    bad = runs.pair("s/breaks", PASS, FAIL)
    first = night(tmp_path, bad)
    second = night(tmp_path, bad, before=[first])
    assert not second.new and second.exit == ExitCode.OK
    assert "0 new, 0 no more, 1 as before or doubtful" in list(nightly.lines(second))[-1]


def test_what_fails_on_the_base_too_is_new_if_it_did_not_fail_last_night(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, PASS), code=0)
    second = night(tmp_path, runs.pair("s/a", FAIL, FAIL), before=[first])
    assert news_in(second) == ["s/a"] and second.exit == ExitCode.FAILED
    third = night(tmp_path, runs.pair("s/a", PASS, PASS), before=[second, first], code=0)
    assert not third.new and third.fixed == (f"{CELL} s/a",) and third.exit == ExitCode.OK


@pytest.mark.parametrize(
    ("old", "new", "is_new"),
    [(FAIL, CRASH, True), (CRASH, FAIL, False), (FAIL, Outcome.TIMEOUT, False)],
)
def test_worse_is_new(tmp_path: Path, old: Outcome, new: Outcome, is_new: bool) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, old))
    second = night(tmp_path, runs.pair("s/a", PASS, new), before=[first])
    assert bool(second.new) == is_new


def test_another_splat_is_new(tmp_path: Path) -> None:
    other = replace(runs.OOPS, kind="kasan", fingerprint=("kasan", "free"))

    def crash(*splats: object) -> list[Result]:
        return [
            runs.result("s/a", PASS, "base"),
            runs.result("s/a", CRASH, splats=splats),
        ]

    first = night(tmp_path, crash(runs.OOPS))
    again = night(tmp_path, crash(runs.OOPS), before=[first])
    assert not again.new
    second = night(tmp_path, crash(runs.OOPS, other), before=[again, first])
    assert news_in(second) == ["s/a"]


def test_what_reruns_call_flaky_is_not_new(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, PASS), code=0)
    flaky = Settled(
        test="s/a",
        step="tip",
        verdict=Verdict.FLAKY,
        probability=0.5,
        base=Tally(runs=4, failed=1),
        patched=Tally(runs=4, failed=1),
    )
    second = night(tmp_path, runs.pair("s/a", PASS, FAIL), before=[first], settled=[flaky])
    assert not second.new and second.exit == ExitCode.OK


def test_a_cell_that_does_not_build_any_more_is_new_once(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, PASS), code=0)
    second = night(tmp_path, code=12, error="fs/aio.c: no", before=[first])
    assert second.new == (News(where=CELL, what="does not build: fs/aio.c: no"),)
    assert not second.fixed
    assert not night(tmp_path, code=12, before=[second, first]).new


@pytest.mark.parametrize("code", [20, 12, 10, 137])
def test_a_night_that_could_not_tell_is_not_compared_with(tmp_path: Path, code: int) -> None:
    bad = runs.pair("s/a", PASS, FAIL)
    first = night(tmp_path, bad)
    second = night(tmp_path, code=code, before=[first])
    assert not night(tmp_path, bad, before=[second, first]).new
    assert second.exit == (ExitCode.FAILED if code == 12 else ExitCode.HOST if code != 10 else 0)


def test_a_splat_outside_of_the_tests_is_new_once(tmp_path: Path) -> None:
    good = runs.pair("s/a", PASS, PASS)
    first = night(tmp_path, good, code=0)
    second = night(tmp_path, good, before=[first], stray=[runs.OOPS])
    assert news_in(second) == ["(outside of the tests)"] and second.exit == ExitCode.FAILED
    third = night(tmp_path, good, before=[second, first], stray=[runs.OOPS])
    assert not third.new
    fourth = night(tmp_path, good, before=[third, second, first], code=0)
    assert fourth.fixed == (f"{CELL} (outside of the tests)",)


def test_what_the_base_skips_is_not_doubted(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", Outcome.SKIP, PASS), code=0)
    second = night(tmp_path, runs.pair("s/a", Outcome.SKIP, FAIL), before=[first])
    assert news_in(second) == ["s/a"]


def unknown(verdict: Verdict = Verdict.UNKNOWN) -> Settled:
    tally = Tally(runs=4, failed=1)
    return Settled(
        test="s/a", step="tip", verdict=verdict, probability=0.5, base=tally, patched=tally
    )


def test_what_was_doubted_can_become_new(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, PASS), code=0)
    bad = runs.pair("s/a", PASS, FAIL)
    second = night(tmp_path, bad, before=[first], settled=[unknown()])
    assert not second.new
    sure = unknown(Verdict.NEW)
    assert news_in(night(tmp_path, bad, before=[second, first], settled=[sure])) == ["s/a"]


def test_a_run_that_is_gone_says_nothing_is_mended(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, FAIL))
    lost = runs.write(tmp_path / "lost", runs.pair("s/a", PASS, FAIL))
    told = _told(Ended(task=CELL, exit=1, duration_s=1.0, run_dir=str(lost.directory)))
    shutil.rmtree(lost.directory)
    second = nightly.judge(Night(directory=told.directory), told, [first])
    assert not second.fixed and not second.new
    assert not night(tmp_path, runs.pair("s/a", PASS, FAIL), before=[second, first]).new


def test_what_must_fail_on_the_base_and_does_not_is_new(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", Outcome.XFAIL, PASS), code=0)
    second = night(tmp_path, runs.pair("s/a", Outcome.XPASS, PASS), before=[first])
    assert news_in(second) == ["s/a"]


@pytest.mark.parametrize(("tonight", "is_new"), [(FAIL, False), (CRASH, True)])
def test_without_a_base_the_history_says_what_is_flaky(
    tmp_path: Path, tonight: Outcome, is_new: bool
) -> None:
    place = tmp_path / "state/harness/runs"
    for outcome in (FAIL, PASS):
        runs.write(
            place,
            [runs.result("s/a", outcome, "base")],
            steps=("base",),
            also=lambda record: record.contexts("base", {"s/a": "x" * 40}),
        )
    splats = (runs.OOPS,) if tonight is CRASH else ()
    told = runs.write(
        tmp_path / "tonight",
        [runs.result("s/a", tonight, "base", splats=splats)],
        steps=("base",),
        also=lambda record: record.contexts("base", {"s/a": "x" * 40}),
    )
    found = _told(Ended(task=CELL, exit=1, duration_s=1.0, run_dir=str(told.directory)))
    assert bool(nightly.judge(Night(directory=found.directory), found, []).new) == is_new


def test_a_cell_that_was_not_run_is_compared_with_the_night_before(tmp_path: Path) -> None:
    bad = runs.pair("s/a", PASS, FAIL)
    first = night(tmp_path, bad)
    without = replace(first, cells={})
    assert not night(tmp_path, bad, before=[without, first]).new


def test_the_host_s_fault_is_not_new_but_not_good(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, PASS), code=0)
    second = night(tmp_path, code=20, before=[first])
    assert not second.new and second.exit == ExitCode.HOST


def test_nights_are_read_as_they_were_written(tmp_path: Path) -> None:
    first = night(tmp_path, runs.pair("s/a", PASS, FAIL))
    assert nightly.nights() == [replace(first, cells=json.loads(json.dumps(first.cells)))]


def asked(place: Path, *patches: bytes) -> list[Asked]:
    named = [Patch(name=f"{n:04}.patch", data=one) for n, one in enumerate(patches, 1)]
    stack = Series(name="s", patches=tuple(named))
    cell = MatrixCell(tree=str(place), series="s", kconfig="base", guest="one")
    return [Asked(cell=cell, wanted=Cell(stack=stack, tree=str(place)))]


def test_the_commit_that_broke_a_series_is_found(tmp_path: Path) -> None:
    place = fakes.commit_kernel(tmp_path / "linux")
    wanted = asked(place, fakes.patch("line 10", "LINE 10", at=10))
    (good,) = nightly.check(wanted, [])
    assert not good.error and list(nightly.applied_lines([good]))[0].startswith("applies")
    for number, (old, new) in enumerate([("line 30", "LINE 30"), ("line 9\n", "line nine\n")]):
        text = (place / "fs/aio.c").read_text().replace(old, new)
        (place / "fs/aio.c").write_text(text)
        fakes.git(place, "commit", "-q", "-a", "-m", f"change {number}")
    culprit = fakes.git(place, "rev-parse", "HEAD")
    (place / "Kbuild").write_text("# more\n")
    fakes.git(place, "commit", "-q", "-a", "-m", "harmless")
    last = Night(directory=tmp_path, applied=(good,), exit=0)
    (broken,) = nightly.check(wanted, [last])
    assert broken.culprit["commit"] == culprit and broken.culprit["subject"] == "change 1"
    assert "fs/aio.c hunk 1" in broken.error
    shown = "\n".join(nightly.applied_lines([broken]))
    assert culprit[:12] in shown and "change 1" in shown
    made = nightly.judge(replace(last, applied=(broken,), exit=None), _told(), [last])
    assert [one.where for one in made.new] == [f"{place}/s"]
    again = nightly.judge(replace(made, new=()), _told(), [made, last])
    assert not again.new
    (known,) = nightly.check(wanted, [made, last])
    assert known.culprit == broken.culprit


def _told(*ended: Ended) -> record.Told:
    """A matrix whose cells came to that."""
    tasks = [Task(name=one.task, kind=Kind.TEST, argv=("run",)) for one in ended]
    with MatrixRecord.new(tasks, {}) as made:
        for one in ended:
            made.end(one)
        return record.load(made.path)


def test_why_the_commit_is_not_known_is_said(tmp_path: Path) -> None:
    place = fakes.write_kernel(tmp_path / "linux")  # no history
    (first,) = nightly.check(asked(place, fakes.patch("line 10", "LINE 10", at=10)), [])
    (place / "fs/aio.c").write_text("nothing\n")
    wanted = asked(place, fakes.patch("line 10", "LINE 10", at=10))
    (none,) = nightly.check(wanted, [])
    assert none.error and none.unknown == "no night is known in which it applied"
    (broken,) = nightly.check(wanted, [Night(directory=tmp_path, applied=(first,), exit=0)])
    assert "history" in broken.unknown
    assert isinstance(broken, Applied) and not broken.culprit
