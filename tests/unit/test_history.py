# SPDX-License-Identifier: GPL-2.0-only
"""The history holds what the journals hold, whoever dies."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness import cache, history
from harness.errors import HostError, UsageError
from harness.history import History
from harness.model import Cell, Outcome, Result, Series, Step
from harness.model import Test as PlannedTest
from harness.record import Record

PASS, FAIL, SKIP, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.ERROR
TESTS = tuple(PlannedTest(name=f"s/{name}", argv=(name,)) for name in "ab")
STACK = Series(name="x")


def write(
    outcomes: dict[str, Outcome], *, context: str = "c", finished: bool = True, rounds: int = 1
) -> Path:
    """A run with these outcomes on its base."""
    with Record(cache.runs(), series="x", base="6.12", kconfig="k") as record:
        record.cell(Cell(stack=STACK, tree="6.12"), ["run"])
        record.plan([Step(label="base", stack=STACK)], TESTS)
        record.contexts("base", {test.name: f"{context}-{test.name}" for test in TESTS})
        for number in range(1, rounds + 1):
            for test, outcome in outcomes.items():
                record.result(Result(test=test, outcome=outcome, kernel="base", round=number))
        if finished:
            record.finish({"exit": 0})
    return record.path


def test_runs_are_read_in_as_they_grow() -> None:
    path = write({"s/a": PASS}, finished=False)
    with History() as known:
        known.sync()
        assert [entry.outcome for entry in known.of_test("s/a", 9)] == ["pass"]
        with (path / "journal.jsonl").open("a") as journal:
            line = json.loads((path / "journal.jsonl").read_text().splitlines()[-1])
            journal.write(json.dumps({**line, "test": "s/b", "outcome": "fail"}) + "\n")
            journal.write('{"event": "result", "test": "s/c", "outc')  # and then it was killed
        known.sync()
        known.sync()
        assert [entry.outcome for entry in known.of_test("*", 9)] == ["pass", "fail"]
        (entry,) = known.of_test("b", 9)
        assert (entry.test, entry.series, entry.tree, entry.kernel) == ("s/b", "x", "6.12", "base")


def test_a_test_that_comes_out_both_ways_is_flaky() -> None:
    write({"s/a": PASS, "s/b": PASS})
    write({"s/a": FAIL, "s/b": PASS})
    write({"s/a": SKIP, "s/b": ERROR})
    write({"s/a": PASS, "s/b": FAIL}, context="another kernel")
    with History() as known:
        known.sync()
        (flake,) = known.flakes()
    assert (flake.test, flake.failed, flake.runs) == ("s/a", 1, 2)


def test_a_run_with_the_same_contexts_is_found() -> None:
    write({"s/a": PASS}, context="half")
    write({"s/a": PASS, "s/b": FAIL}, finished=False)
    older, newer = (write({"s/a": PASS, "s/b": FAIL}) for _ in range(2))
    with History() as known:
        known.sync()
        assert known.run_with("base", ["c-s/a", "c-s/b"]) in (older, newer)
        assert known.run_with("tip", ["c-s/a", "c-s/b"]) is None
        assert known.run_with("base", ["half-s/a", "half-s/b"]) is None


def test_what_another_run_knew_is_counted_once() -> None:
    with Record(cache.runs(), series="x", base="6.12", kconfig="k") as record:
        record.cell(Cell(stack=STACK, tree="6.12"), ["run"])
        record.result(Result(test="s/a", outcome=PASS, kernel="base"), "another-run")
    with History() as known:
        known.sync()
        assert known.of_test("*", 9) == []


def test_runs_of_other_machines_are_imported(tmp_path: Path) -> None:
    path = write({"s/a": PASS, "s/b": FAIL})
    moved = tmp_path / path.name
    path.rename(moved)
    with History() as known:
        known.sync()
        assert known.of_test("*", 9) == []
        assert known.add(moved) == 2
        assert known.add(moved) == 2
        assert len(known.of_test("*", 9)) == 2
        with pytest.raises(UsageError, match="is no run directory"):
            known.add(tmp_path)


def test_brackets_are_no_glob_where_a_test_is_named_so() -> None:
    write({"s/test_a.test_b[x]": PASS})
    with History() as known:
        known.sync()
        assert len(known.of_test("s/test_a.test_b[x]", 9)) == 1


def test_a_journal_that_is_not_ours_is_passed_over() -> None:
    path = write({"s/a": PASS})
    other = path.with_name("20000101T000000Z-x")
    other.mkdir()
    (other / "journal.jsonl").write_text('{"event": "result", "time": "now"}\n')
    with History() as known:
        known.sync()
        assert len(known.of_test("*", 9)) == 1


def test_only_the_first_round_stands_for_a_run() -> None:
    path = write({"s/a": ERROR, "s/b": PASS}, finished=False)
    with (path / "journal.jsonl").open("a") as journal:
        again = {"schema": 1, "event": "result", "time": "t", "test": "s/a", "kernel": "base"}
        about = {"round": 2, "outcome": "pass", "detail": "", "duration_s": 0.1}
        journal.write(json.dumps({**again, **about}) + "\n")
        journal.write('{"schema": 1, "event": "finish", "time": "t", "exit": 0}\n')
    with History() as known:
        known.sync()
        assert known.run_with("base", ["c-s/a", "c-s/b"]) is None


def test_what_is_pruned_stays_away() -> None:
    write({"s/a": PASS})
    with History() as known:
        known.sync()
        assert known.prune("2000-01-01T00:00:00+00:00") == 0
        assert known.prune("9999-01-01T00:00:00+00:00") == 1
        known.sync()
        assert known.of_test("*", 9) == []


def test_a_newer_schema_is_left_alone() -> None:
    History().__exit__()
    path = cache.runs().parent / "history.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(UsageError, match="newer harness"):
        History()


def test_an_older_schema_is_brought_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    write({"s/a": PASS})
    with History() as known:
        known.sync()
    more = (*history._MIGRATIONS, "ALTER TABLE runs ADD COLUMN note TEXT")
    monkeypatch.setattr(history, "_MIGRATIONS", more)
    with History() as known:
        assert len(known.of_test("*", 9)) == 1
        assert known._db.execute("SELECT note FROM runs").fetchall() == [(None,)]


def test_a_file_that_is_no_database_is_named() -> None:
    (cache.runs().parent / "history.sqlite").write_text("something else, " * 100)
    with pytest.raises(HostError, match=r"history\.sqlite cannot be used"):
        History()


WRITER = """
    import sys
    from harness import history
    from tests.unit.test_history import PASS, write
    while True:
        print(".", end="", flush=True)
        history.note(write({"s/a": PASS, "s/b": PASS}, rounds=3))
"""


def test_writers_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    source = random.Random(5)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-c", textwrap.dedent(WRITER)]
    for number in range(int(os.environ.get("KILLS", "4")) // 2):
        outs = [tmp_path / f"{number}.{writer}" for writer in range(2)]
        writers = []
        for path in outs:
            with path.open("wb") as out:
                writers.append(subprocess.Popen(argv, env=env, stdout=out))
        deadline = time.monotonic() + 60
        while min(path.stat().st_size for path in outs) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)  # a poll, until both are at it
        time.sleep(source.random())  # on to any moment
        for one in writers:
            one.send_signal(signal.SIGKILL)
            one.wait()
    written = set()
    for path in cache.runs().glob("*/journal.jsonl"):  # one may have died before its journal
        for line in path.read_text().splitlines(keepends=True):
            if '"event": "result"' in line and line.endswith("\n"):
                event = json.loads(line)
                written.add((path.parent.name, event["test"], event["round"]))
    with History() as known:
        known.sync()
        kept = set(known._db.execute("SELECT run, test, round FROM results"))
        assert known._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert kept == written and len(written) > 20
