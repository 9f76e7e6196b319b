# SPDX-License-Identifier: GPL-2.0-only
import io
import re
from pathlib import Path

import pytest

from harness.matrix import view
from harness.matrix.page import Page
from harness.matrix.run import State
from harness.matrix.schedule import Grant
from harness.model import Ended, Kind, Outcome, Task
from harness.report import words
from tests import runs

CELL = Task(name="6.12/s/base/one", kind=Kind.TEST, argv=("run",), expected_s=30.0, known=True)
BUILD = Task(name="kernel 6.12/s/base", kind=Kind.BUILD, argv=("build",))


def state(*running: tuple[Task, float], ended: int = 1) -> State:
    return State(
        builds_waiting=2,
        cells_waiting=3,
        running=[(Grant(task=task, cpus=1), since) for task, since in running],
        cells_ended=ended,
        cells=7,
        elapsed_s=125.0,
        left_s=7500.0,
        progress=dict,
    )


def ended(task: Task, code: int = 0, **more: object) -> Ended:
    about: dict[str, object] = {"task": task.name, "exit": code, "duration_s": 12.34, **more}
    return Ended(**about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (119, "2 min"), (5000, "83 min"), (7500, "2 h 05 min")],
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("task", "told", "said"),
    [
        (BUILD, ended(BUILD, built=1), "built"),
        (BUILD, ended(BUILD, cached=1), "from the cache"),
        (BUILD, ended(BUILD, 12), "does not build"),
        (CELL, ended(CELL, counts={"pass": 5, "fail": 1}, new=1), "1 new, 1 fail, 5 pass"),
        (CELL, ended(CELL, 13), "does not boot"),
        (CELL, ended(CELL, 14, counts={"pass": 2}), "guest lost, 2 pass"),
        (CELL, ended(CELL, 77), "exit 77"),
    ],
)
def test_what_came_of_a_task(task: Task, told: Ended, said: str) -> None:
    assert view.summary(task, told) == said


def test_without_a_terminal_each_end_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with view.shown({CELL.name: CELL}, live=False, colour=False) as shown:
        shown.begun(BUILD, 2)
        shown.ended(BUILD, ended(BUILD, built=1), state())
        shown.ended(CELL, ended(CELL, 12, error="fs/aio.c: no"), state(ended=2))
        shown.look(state())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    assert "build  kernel 6.12/s/base" in lines[0]
    assert "BAD    6.12/s/base/one" in lines[2] and "[2/7 cells, about 2 h 05 min left]" in lines[2]
    assert "fs/aio.c: no" in lines[3]


def test_on_a_terminal_what_runs_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "100")
    with view.shown({CELL.name: CELL}, live=True, colour=False) as shown:
        shown.look(state((CELL, 10.0), (BUILD, 3.0)))
        shown.ended(CELL, ended(CELL, 1, counts={"fail": 1}), state())
    text = screen.getvalue()
    assert "6.12/s/base/one" in text and "about 20 s left" in text
    assert "1/7 cells, 3 waiting, 2 kernels to build" in text and "1 fail" in text


def test_the_page_has_the_runs_that_ended_and_says_what_runs(tmp_path: Path) -> None:
    told = runs.write(tmp_path / "runs", runs.pair("s/a", Outcome.PASS, Outcome.FAIL))
    page = Page(tmp_path / "report.html")
    page.write("nothing yet")
    assert not page.path.exists()
    page.ended(CELL, ended(CELL, 1, run_dir=str(told.directory)), state())
    page.look(state((BUILD, 3.0)))
    assert not page.path.exists()  # not at once, as each costs something
    page._next = 0.0
    page.look(state((BUILD, 3.0)))
    text = page.path.read_text()
    assert '<meta http-equiv="refresh" content="20">' in text
    assert "1 of 7 cells have ended" in text and "Running: kernel 6.12/s/base" in text
    assert told.directory.name in text and f"<h1>{CELL.name}</h1>" in text
    page.write("<over>")
    text = page.path.read_text()
    assert "refresh" not in text.partition("</head>")[0] and "&lt;over&gt;" in text


def test_a_run_that_was_removed_is_not_on_the_page(tmp_path: Path) -> None:
    told = runs.write(tmp_path / "runs", runs.pair("s/a", Outcome.PASS, Outcome.PASS))
    gone = ended(BUILD, run_dir=str(tmp_path / "gone"))
    page = Page(tmp_path / "report.html", [ended(CELL, run_dir=str(told.directory)), gone])
    page.write("")
    assert told.directory.name in page.path.read_text()


def test_a_cell_that_was_lost_with_a_worker_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    again = ended(CELL, counts={"pass": 5}, worker="tcp://b:1", lost=("tcp://a:1",))
    view.Plain(20).ended(CELL, again, state())
    assert "as this worker was lost: tcp://a:1" in capsys.readouterr().err
    given_up = ended(CELL, 20, error="its workers died", lost=("tcp://a:1", "tcp://b:1"))
    assert view.remarks(given_up) == ["its workers died"]
    assert view.remarks(ended(CELL)) == []
