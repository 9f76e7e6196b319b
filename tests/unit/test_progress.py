# SPDX-License-Identifier: GPL-2.0-only
"""How far cells are that run here, from their journals."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness import journal
from harness.executors import Progress
from harness.executors.local import Local
from harness.executors.progress import Cells
from harness.journal import Journal

ARGV = ("run", "--tree", "6.12", "--jobs", "1")
PLAN = {"tests": ["s/a", "s/b"], "kernels": ["base", "tip"]}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "harness/runs"


def begun(parent: Path, *argv: str) -> Journal:
    made = Journal(journal.new_directory(parent, "s", "6.12", "base"))
    made.write("cell", argv=[*argv, "--json"])
    return made


def result(made: Journal, test: str, outcome: str, event: str = "result", **more: Any) -> None:
    made.write(event, test=test, kernel="base", outcome=outcome, **more)


def test_the_journal_of_a_cell_says_how_far_it_is(runs: Path) -> None:
    cells = Cells()
    cells.begin("c", (*ARGV, "--resume"))
    assert cells.progress() == {}
    with begun(runs, *ARGV) as made:
        assert cells.progress() == {"c": Progress(ended=0, planned=0, test="", counts={})}
        made.write("plan", **PLAN)
        made.write("start", test="s/a", kernel="base", boot=1)
        assert cells.progress() == {"c": Progress(ended=0, planned=4, test="s/a", counts={})}
        result(made, "s/a", "pass")
        result(made, "s/b", "pass")
        result(made, "s/b", "fail", "amended")
        result(made, "s/a", "crash", round=2)  # a rerun
        made.write("inherit", kernel="tip", source="base")
        counts = {"pass": 1, "fail": 1}
        assert cells.progress() == {"c": Progress(ended=2, planned=2, test="", counts=counts)}
        # As it goes to another machine.
        assert asdict(cells.progress()["c"])["counts"] == counts
    cells.end("c")
    assert cells.progress() == {}


def test_only_what_is_new_in_a_journal_is_read_and_only_whole_lines(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cells()
    cells.begin("c", ARGV)
    with begun(runs, *ARGV) as made:
        made.write("plan", **PLAN)
        cells.progress()
        read: list[bytes] = []
        loads = json.loads

        def noted(line: bytes) -> Any:
            read.append(line)
            return loads(line)

        monkeypatch.setattr(json, "loads", noted)
        line = json.dumps({"event": "start", "test": "s/a", "kernel": "base"}).encode()
        with (made.path / "journal.jsonl").open("ab", buffering=0) as torn:
            torn.write(line[:20])
            assert cells.progress()["c"].test == ""
            torn.write(line[20:] + b"\n")
        assert cells.progress()["c"].test == "s/a"
        assert len(read) == 1


def test_a_directory_of_another_command_line_or_of_before_is_not_taken(runs: Path) -> None:
    with begun(runs, *ARGV) as before:
        before.path.rename(runs / "20010101T000000Z-s-6.12-base-beef")
    cells = Cells()
    cells.begin("c", ARGV)
    with begun(runs, *ARGV, "--suite", "other"):
        assert cells.progress() == {}
    (runs / "99990101T000000Z-s-6.12-base-dead").mkdir()  # not begun
    (runs / "notes.txt").write_text("no run\n")
    assert cells.progress() == {}


def test_each_of_two_cells_of_one_command_line_has_a_directory(runs: Path) -> None:
    cells = Cells()
    cells.begin("one", ARGV)
    cells.begin("two", ARGV)
    with begun(runs, *ARGV) as first, begun(runs, *ARGV) as second:
        first.write("plan", **PLAN)
        second.write("plan", **PLAN)
        assert [one.planned for one in cells.progress().values()] == [4, 4]


def test_a_run_directory_that_somebody_removes_is_not_missed(runs: Path) -> None:
    cells = Cells()
    cells.begin("c", ARGV)
    with begun(runs, *ARGV) as made:
        assert set(cells.progress()) == {"c"}
        (made.path / "journal.jsonl").unlink()
        assert cells.progress() == {}


def test_where_nothing_runs_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cache.runs", lambda: pytest.fail("it looked"))
    with Local(1) as executor:
        assert executor.progress() == {}
