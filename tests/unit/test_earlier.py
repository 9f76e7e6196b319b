# SPDX-License-Identifier: GPL-2.0-only
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import earlier
from harness.earlier import Earlier
from harness.model import Outcome, Result
from harness.record import Record
from tests import runs

ARGV = ("run", "--series", "s", "--base")
CONTEXTS = {"s/a": "x" * 40, "s/b": "y" * 40}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def run(
    tmp_path: Path,
    number: int,
    results: Iterable[Result],
    *,
    code: int | None = None,
    argv: tuple[str, ...] = ARGV,
) -> Path:
    """A run directory, later ones with a higher number."""

    def contexts(record: Record) -> None:
        record.contexts("tip", CONTEXTS)
        record.stray("tip", [runs.OOPS])

    place = tmp_path / "harness/runs"
    told = runs.write(place, results, exit_code=code, argv=argv, also=contexts)
    directory = place / f"2026010{number}T000000Z-s-6.12-base-beef"
    told.directory.rename(directory)
    return directory


def a(outcome: Outcome = Outcome.PASS, **more: Any) -> Result:
    return runs.result("s/a", outcome, boot=7, **more)


def test_a_result_counts_where_its_context_is_as_it_was(tmp_path: Path) -> None:
    known = Earlier([run(tmp_path, 1, [a(splats=(replace(runs.OOPS, boot=7),))])])
    found = known.result("tip", "s/a", 1, CONTEXTS["s/a"])
    assert found is not None and found.run.startswith("20260101")
    assert found.result.outcome is Outcome.PASS
    assert found.result.boot == 0 == found.result.splats[0].boot  # that is another run's boot
    assert known.result("tip", "s/a", 1, "z" * 40) is None
    assert known.result("tip", "s/a", 2, CONTEXTS["s/a"]) is None
    assert known.result("base", "s/a", 1, CONTEXTS["s/a"]) is None
    assert known.result("tip", "s/b", 1, CONTEXTS["s/b"]) is None
    assert [splat.title for splat in known.stray("tip", CONTEXTS)] == [runs.OOPS.title]
    assert not known.stray("tip", {"s/a": "z" * 40})  # another kernel's


def test_an_error_of_the_host_is_run_again(tmp_path: Path) -> None:
    known = Earlier([run(tmp_path, 1, [a(Outcome.ERROR)])])
    assert known.result("tip", "s/a", 1, CONTEXTS["s/a"]) is None and not known


def test_what_has_no_context_is_run_again(tmp_path: Path) -> None:
    known = Earlier([run(tmp_path, 1, [runs.result("command/x", Outcome.PASS)])])
    assert known.result("tip", "command/x", 1, "") is None


def test_each_round_is_a_result_of_its_own(tmp_path: Path) -> None:
    known = Earlier([run(tmp_path, 1, [a(), a(Outcome.FAIL, round=2)])])
    found = [known.result("tip", "s/a", number, CONTEXTS["s/a"]) for number in (1, 2)]
    assert [one and one.result.outcome for one in found] == [Outcome.PASS, Outcome.FAIL]


def test_the_newest_of_several_counts_and_all_are_asked(tmp_path: Path) -> None:
    old = run(tmp_path, 1, [a(Outcome.FAIL), runs.result("s/b", Outcome.PASS)])
    new = run(tmp_path, 2, [a()], argv=(*ARGV, "--json"))
    assert list(earlier.runs(list(ARGV))) == [new, old]
    known = earlier.of([*ARGV, "--resume"])
    found = known.result("tip", "s/a", 1, CONTEXTS["s/a"])
    assert found is not None and found.result.outcome is Outcome.PASS
    assert known.result("tip", "s/b", 1, CONTEXTS["s/b"]) is not None


@pytest.mark.parametrize("code", [0, 1, 12])
def test_nothing_before_a_run_that_ended_counts(tmp_path: Path, code: int) -> None:
    run(tmp_path, 1, [a()])
    run(tmp_path, 2, [a()], code=code)
    assert not list(earlier.runs(list(ARGV)))
    third = run(tmp_path, 3, [a()], code=130)
    assert list(earlier.runs(list(ARGV))) == [third]


def test_another_command_line_is_another_run(tmp_path: Path) -> None:
    run(tmp_path, 1, [a()], argv=(*ARGV, "--cpus", "2"))
    assert not list(earlier.runs(list(ARGV))) and not earlier.of(ARGV)


def test_a_run_killed_before_it_said_anything_is_passed_over(tmp_path: Path) -> None:
    first = run(tmp_path, 1, [a()])
    empty = tmp_path / "harness/runs/20260102T000000Z-s-6.12-base-dead"
    empty.mkdir()
    (empty / "journal.jsonl").write_text('{"schema": 1, "event": "ce')
    assert list(earlier.runs(list(ARGV))) == [first]


def test_a_test_whose_guest_was_not_searched_for_leaks_is_run_again(tmp_path: Path) -> None:
    other = runs.result("s/b", Outcome.PASS, boot=7)
    directory = run(tmp_path, 1, [a(), other])
    file = directory / "journal.jsonl"
    lines = file.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if '"event": "result"' in line)
    watched = json.dumps({"event": "kmemleak", "kernel": "tip"})
    searched = json.dumps({"event": "searched", "kernel": "tip", "boot": 7})
    file.write_text("\n".join([watched, *lines[: first + 1], searched, *lines[first + 1 :], ""]))
    known = Earlier([directory])
    assert known.result("tip", "s/a", 1, CONTEXTS["s/a"]) is not None
    assert known.result("tip", "s/b", 1, CONTEXTS["s/b"]) is None
    file.write_text("\n".join([watched, *lines, searched, ""]))
    assert Earlier([directory]).result("tip", "s/b", 1, CONTEXTS["s/b"]) is not None
