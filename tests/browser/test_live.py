# SPDX-License-Identifier: GPL-2.0-only
"""The page of a matrix while it runs: a real one, whose tasks run until the test lets them end."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from harness.executors import Capacity, Finished, Order, Progress
from harness.matrix import page, record, serve
from harness.matrix.live import Live
from harness.matrix.record import MatrixRecord
from harness.matrix.run import MatrixRun
from harness.model import Kind, Outcome, Task
from tests import runs
from tests.browser.conftest import Browser, Tab, log

SOON_S = 10.0
NASTY = "6.12/<img src=x onerror=alert(1)>/base/one"
PLAIN = "6.12/aio-poll/base/two"
TASKS = [
    Task(name="kernel 6.12/base", kind=Kind.BUILD, argv=("build",)),
    *(Task(name=name, kind=Kind.TEST, argv=("run", name)) for name in (NASTY, PLAIN)),
]


class Held:
    """An executor whose tasks run until the test lets them end."""

    resumes = True

    def __init__(self) -> None:
        self.capacity = Capacity(cpus=8, memory_mib=1 << 20)
        self.far: dict[str, Progress] = {}
        self._running = {task.name for task in TASKS}  # all at once
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()

    def has(self, kernel: str) -> bool:
        return False

    def start(self, order: Order) -> None:
        pass

    def wait(self, timeout_s: float) -> list[Finished]:
        try:
            return [self._finished.get(timeout=timeout_s / 5)]
        except queue.Empty:
            return []

    def progress(self) -> Mapping[str, Progress]:
        return dict(self.far)

    def end(self, name: str, code: int = 0, **document: Any) -> None:
        if name in self._running:
            self._running.remove(name)
            self._finished.put(Finished(task=name, exit=code, duration_s=2.0, document=document))

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One that runs, and where it is served."""

    executor: Held
    url: str
    directory: Path
    done: threading.Event = field(default_factory=threading.Event)

    def end_cell(self, name: str, outcome: Outcome) -> None:
        """One ends, with a run to report."""
        told = runs.write(
            self.directory / "of" / name[-3:], runs.pair("s/a", Outcome.PASS, outcome)
        )
        results = [{"outcome": str(outcome), "verdict": "new" if outcome.bad else None}]
        self.executor.end(
            name, int(outcome.bad), run_dir=str(told.directory), results=results, error="<b>why</b>"
        )


@contextmanager
def running(address: str = ":0", token: str = "") -> Iterator[Matrix]:
    """A matrix, all tasks of which end with the block."""
    live, executor = Live(), Held()
    with (
        serve.serving(serve.place(address, token), live) as url,
        MatrixRecord.new(TASKS, {}) as made,
    ):
        told = record.load(made.path)
        live.begin(told)
        file = page.Page(made.path / "report.html")
        matrix = Matrix(executor=executor, url=url, directory=made.path)

        def run() -> None:
            MatrixRun(made, executor, (file, live), told).run()
            file.write("")
            matrix.done.set()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield matrix
        finally:
            if not matrix.done.is_set():
                for task in TASKS:
                    executor.end(task.name)
            thread.join()


@pytest.fixture
def visitor(
    driver: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser for pages that are served, of matrices with a state directory of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(page, "_EVERY_S", 0.5)
    monkeypatch.setattr(serve, "_FAREWELL_S", 0.0)  # who tests the end waits for it
    yield Browser(driver=driver, path=tmp_path / "none")
    driver.get("about:blank")
    for name in ("browser", "performance"):
        log(driver, name)


def text(tab: Tab, selector: str) -> str:
    """What is to be read in an element, at one time; nothing in one that is hidden."""
    script = """const one = document.querySelector(arguments[0]);
        return one?.checkVisibility() ? one.innerText : '' """
    return " ".join(str(tab.run(script, selector)).split())


def sees(tab: Tab, selector: str, *wanted: str) -> None:
    """Wait until it is to be read there."""
    deadline = time.monotonic() + SOON_S
    while not all(one in text(tab, selector) for one in wanted):
        assert time.monotonic() < deadline, text(tab, selector)
        time.sleep(0.1)  # poll: the page says nothing of its own accord


def test_what_runs_is_on_the_page_and_goes_on_without_loading_it_again(visitor: Browser) -> None:
    with running() as matrix:
        tab = visitor.visit(matrix.url)
        sees(tab, "#live-running", PLAIN)
        assert "build kernel 6.12/base" in text(tab, "#live-running")
        assert "0 of 2 cells have ended" in text(tab, "#live-sums")
        assert NASTY in text(tab, "#live-running") and not tab.all("#live img")
        tab.run("window.same = true")
        for ended in (1, 3):
            matrix.executor.far[PLAIN] = Progress(
                ended=ended, planned=4, test=f"s/<i>{ended}", counts={"fail": 1}, worker="far.away"
            )
            sees(tab, "#live-running", f"{ended}/4", f"s/<i>{ended}", "1 fail", "far.away")
        assert tab.run("return window.same") and tab.errors == []
        asked = f"{matrix.url}live.json?after=0&report="
        assert set(tab.requests) - {"data:,"} == {matrix.url, asked}


def test_what_has_ended_is_told_and_then_in_the_report(visitor: Browser) -> None:
    with running() as matrix:
        tab = visitor.visit(matrix.url)
        sees(tab, "#live-running", PLAIN)
        matrix.end_cell(NASTY, Outcome.FAIL)
        sees(tab, "#live-ended", NASTY)
        assert "failed" in text(tab, "#live-ended") and "1 fail" in text(tab, "#live-ended")
        assert "<b>why</b>" in text(tab, "#live-ended") and NASTY not in text(tab, "#live-running")
        assert "1 of 2 cells have ended 1 of them not good" in text(tab, "#live-sums")
        sees(tab, "#matrix", "s/a")  # it has loaded itself again
        sees(tab, "#live-ended", NASTY)
        assert tab.errors == []


def test_a_reader_of_the_report_is_asked_before_it_changes(visitor: Browser) -> None:
    with running() as matrix:
        tab = visitor.visit(matrix.url)
        matrix.end_cell(NASTY, Outcome.FAIL)
        sees(tab, "#matrix", "s/a")
        tab.one("#q").click()
        tab.press("s", "/")
        tab.run("window.same = true")
        matrix.end_cell(PLAIN, Outcome.PASS)
        sees(tab, "#live-news", "More has ended")
        assert tab.run("return window.same && q.value") == "s/"
        tab.one("#live-news button").click()
        sees(tab, "header.page", PLAIN)
        assert tab.run("return q.value") == "s/"  # the address has it


def test_the_end_is_told_and_where_the_report_is(
    visitor: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_FAREWELL_S", 5.0)
    with running() as matrix:
        tab = visitor.visit(matrix.url)
        sees(tab, "#live-running", PLAIN)
        matrix.end_cell(NASTY, Outcome.FAIL)
        matrix.end_cell(PLAIN, Outcome.PASS)
        matrix.executor.end(TASKS[0].name)
        assert matrix.done.wait(SOON_S)
    sees(tab, "#live-over", f"The report: {matrix.directory}/report.html")
    assert "2 of 2 cells have ended" in text(tab, "#live-sums")
    assert PLAIN in text(tab, "header.page")


def test_a_server_that_is_gone_is_said(visitor: Browser) -> None:
    with running() as matrix:
        tab = visitor.visit(matrix.url)
        sees(tab, "#live-running", PLAIN)
        tab.one("body").click()
    sees(tab, "#live-over", "the matrix has ended, or was interrupted")
    assert f"The report: {matrix.directory}/report.html" in text(tab, "#live-over")


def test_others_need_the_token(visitor: Browser) -> None:
    token = "0123456789abcdef"
    with running("0.0.0.0:0", token) as matrix:
        url = f"http://127.0.0.1:{matrix.url.rpartition(':')[2]}"
        tab = visitor.visit(url)
        assert text(tab, "body") == "401 Unauthorized"
        tab = visitor.visit(f"{url}?token={token}")
        sees(tab, "#live-running", PLAIN)
        assert tab.driver.current_url == url and tab.run("return document.cookie") == ""
        tab.driver.delete_all_cookies()


@pytest.mark.parametrize("width", [1200, 400])
def test_it_fits_into_the_window(visitor: Browser, width: int) -> None:
    with running() as matrix:
        far = Progress(ended=1, planned=400, test="suite/" + "long-name-" * 9, counts={"pass": 1})
        matrix.executor.far[PLAIN] = far
        tab = visitor.visit(matrix.url, width=width)
        matrix.end_cell(NASTY, Outcome.FAIL)
        sees(tab, "#live-running", "1/400")
        sees(tab, "#live-ended", NASTY)
        assert tab.run("return document.documentElement.scrollWidth") <= width
        for name in (PLAIN, TASKS[0].name):
            matrix.end_cell(name, Outcome.PASS)
        assert matrix.done.wait(SOON_S)
        sees(tab, "#live-sums", "2 of 2")
        assert text(tab, "#live-running") == ""


def test_without_scripts_there_is_the_report(visitor: Browser) -> None:
    with running() as matrix:
        matrix.end_cell(NASTY, Outcome.FAIL)
        sees(visitor.visit(matrix.url), "#matrix", "s/a")
        tab = visitor.visit(matrix.url, scripts=False)
        assert "load it again for the report" in tab.one("#live").text
        assert "s/a" in tab.one("noscript pre").text
        tab.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
