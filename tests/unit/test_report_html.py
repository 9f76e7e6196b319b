# SPDX-License-Identifier: GPL-2.0-only
"""The HTML report as a file: what is in it and that nothing gets out. tests/browser opens it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness import recorded
from harness.model import Better, Comparison, Outcome
from harness.record import Record
from harness.recorded import Recorded
from harness.report import FORMATS, Options, html, reporter
from harness.report.html import consoles
from harness.report.html.embed import Budget, document, shortened, visible
from tests import runs
from tests.runs import EVIL, NASTY, result

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=200)
PLENTY = 1 << 24


class Page(HTMLParser):
    """The elements of a page, and the text of those with an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: dict[str, str] = {}
        self.words = ""
        self._into = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._into = dict(attrs).get("id") or "" if tag == "script" else ""

    def handle_endtag(self, tag: str) -> None:
        self._into = ""

    def handle_data(self, data: str) -> None:
        if self._into:
            self.texts[self._into] = self.texts.get(self._into, "") + data
        elif self.tags and self.tags[-1] not in ("script", "style"):
            self.words += data

    @property
    def index(self) -> Any:
        return json.loads(self.texts["index"])

    def documents(self, name: str = "details") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.texts.get(name, "").splitlines()]

    def cell(self, test: str, column: int) -> tuple[list[Any], dict[str, Any]]:
        row = next(row for row in self.index["rows"] if row[0] == test)
        cell = next(cell for cell in row[2:] if cell[0] == column)
        return cell, self.documents()[cell[3]]

    def outcome(self, test: str, column: int) -> str:
        return str(self.index["outcomes"][self.cell(test, column)[0][1]])


def page(*told: Recorded, budget: int = PLENTY) -> Page:
    return Page(html.page(told, budget=budget))


def test_it_is_one_of_the_formats_and_encodes(tmp_path: Path) -> None:
    assert "html" in FORMATS
    made = reporter("html")([runs.crashed(tmp_path / "a-beef")], Options())
    assert made.startswith("<!doctype html>")
    assert made.endswith("</html>\n")
    made.encode()


def test_the_file_asks_for_nothing(tmp_path: Path) -> None:
    text = html.page([runs.crashed(tmp_path / "a-beef")], budget=PLENTY)
    assert "default-src &#39;none&#39;" in text
    head = text.split("<dialog")[0].replace(f"<dd>{runs.ARCHIVE}</dd>", "")  # words, no link
    assert not re.search(r"""(src|href)=["'](?!#|data:,")|@import|url\(|https?:""", head)
    assert not {"src", "srcset", "data"} & Page(text).attributes


def test_what_comes_from_outside_is_text(tmp_path: Path) -> None:
    made = page(runs.crashed(tmp_path / f"{EVIL.replace('/', '')}-beef"), runs.many(20))
    assert "img" not in made.tags
    assert made.tags.count("script") == 4
    assert not [name for name in made.attributes if name.startswith("on")]
    cell, doc = made.cell(f"aio/{EVIL}", 1)
    assert doc["output"] == visible(NASTY)
    assert made.outcome(f"aio/{EVIL}", 1) == "pass"
    assert f"WARNING in {EVIL}" in made.words


def test_no_script_is_allowed_but_the_page_s_own(tmp_path: Path) -> None:
    text = html.page([runs.many(1)], budget=PLENTY)
    policy = re.search(r'Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "script-src &#39;sha256-" in policy[1]
    assert "script-src &#39;unsafe" not in policy[1]


@REPEATABLE
@given(st.text())
def test_a_document_says_what_went_in_and_cannot_end_its_element(text: str) -> None:
    made = document({"a": [text, 1.5]})
    assert json.loads(made) == {"a": [text, 1.5]}
    assert made.isascii()
    assert not set("<>&\n\x00") & set(made)


@REPEATABLE
@given(st.text(st.characters()))
def test_visible_text_has_nothing_that_acts(text: str) -> None:
    made = visible(text)
    made.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", made)


def test_controls_are_shown_and_colours_are_not() -> None:
    assert visible("a\x00\x1b[1;31mred\x1b[0m\r\n\tb\ud800") == "a\u2400red\n\tb\ufffd"


def test_a_crash_has_its_splat_its_reruns_and_its_part_of_the_console(tmp_path: Path) -> None:
    made = page(runs.crashed(tmp_path / "a-beef"))
    cell, doc = made.cell("aio/bad", 1)
    assert made.outcome("aio/bad", 1) == "crash"
    assert made.index["verdicts"][cell[4]] == "new"
    assert cell[5:7] == [0, 2]
    (splat,) = doc["splats"]
    assert splat["trace"][0].endswith("fs/aio.c:12  <- 0002-second.patch")
    assert splat["trace"][1].endswith("fs/aio.c:7  <- 0001-first.patch")
    assert [run[0] for run in doc["runs"]] == [1, 2]
    index, first, last = doc["console"]
    console = made.documents("consoles")[index]
    assert console["restored"]
    assert console["name"] == "boots/003/console.log"
    lines = console["pieces"][0][1].splitlines()[first - 1 : last]
    assert "start 2 aio/bad" in lines[0]
    assert lines[-1].endswith("<b>not markup</b>")
    assert made.cell("aio/good", 1)[1]["console"] == [index, 2, 3]


def test_a_console_that_is_gone_is_said(tmp_path: Path) -> None:
    made = page(runs.crashed(tmp_path / "a-beef"))
    assert made.cell("aio/bad", 0)[1]["console_out"] == "boots/001/console.log"
    assert "1 consoles are not in it" in made.words


def test_each_patch_has_its_column(tmp_path: Path) -> None:
    made = page(runs.each_patch(tmp_path / "a-beef"))
    assert [column[1] for column in made.index["columns"]] == [
        "base",
        "0001",
        "0002",
        "0003",
        "tip",
    ]
    assert made.index["columns"][2][2] == "up to 0002-second"
    said = [made.outcome("aio/bad", column) for column in range(5)]
    assert said == ["pass", "pass", "fail", "fail", "pass"]
    broke, like = made.cell("aio/bad", 2)[0], made.cell("aio/bad", 3)
    assert broke[7:9] == [1, 0]
    assert like[0][7:9] == [0, 1]
    assert like[1]["inherited"] == "0002"
    assert made.cell("aio/bad", 4)[1]["broke"] == "0002-second"
    assert made.index["rows"][0][1] == "it is -22"


def test_several_runs_share_rows_and_have_columns_of_their_own(tmp_path: Path) -> None:
    first = runs.crashed(tmp_path / "a-beef")
    results = [result("aio/bad", Outcome.PASS), result("aio/new", Outcome.PASS)]
    second = runs.write(tmp_path, results, steps=["tip"])
    made = page(first, second)
    assert [column[:2] for column in made.index["columns"]] == [[0, "base"], [0, "tip"], [1, "tip"]]
    assert made.outcome("aio/bad", 2) == "pass"
    assert [row[0] for row in made.index["rows"]][-1] == "aio/new"
    assert made.words.count("2 runs: twice on 6.12") >= 1


def test_a_killed_run_shows_what_had_run(tmp_path: Path) -> None:
    one = runs.write(tmp_path, [result("aio/a", Outcome.PASS, "base")], exit_code=None)
    made = page(one)
    assert made.outcome("aio/a", 0) == "pass"
    assert "killed in the middle of the run" in made.words
    assert "Not run: 1 test" in made.words


def test_a_run_with_nothing_but_an_error_is_a_page(tmp_path: Path) -> None:
    said = "0003-foo.patch does not apply to <6.12>: fs/aio.c hunk 2"
    made = page(runs.write(tmp_path, exit_code=10, error=said))
    assert made.index["rows"] == []
    assert said in made.words
    assert "exit 10 (apply)" in made.words
    assert "nothing ran" in made.words


def test_a_guest_that_did_not_boot_shows_the_end_of_its_console(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(5000)) + "Kernel panic: </pre>\n"

    def also(record: Record) -> None:
        runs.console(record.new_boot()[1], text)
        runs.console(record.new_boot()[1], "")

    made = page(runs.write(tmp_path, exit_code=13, error="did not boot", also=also))
    assert "The end of boots/001/console.log" in made.words
    assert "line 4999\nKernel panic: </pre>" in made.words
    assert "line 4000\n" not in made.words
    assert "The end of" not in page(runs.crashed(tmp_path / "b-cafe")).words


def test_a_journal_that_says_nothing_is_a_page(tmp_path: Path) -> None:
    (tmp_path / "a-beef").mkdir()
    (tmp_path / "a-beef/journal.jsonl").write_text("")
    assert page(recorded.load(tmp_path / "a-beef")).index["rows"] == []


def test_a_journal_of_an_older_harness_is_a_page(tmp_path: Path) -> None:
    one = runs.crashed(tmp_path / "a-beef")
    journal = one.directory / "journal.jsonl"
    events = [json.loads(line, object_hook=older) for line in journal.read_text().splitlines()]
    kept = [event for event in events if event["event"] not in ("base", "kernel", "boot")]
    journal.write_text("".join(f"{json.dumps(event)}\n" for event in kept))
    again = recorded.load(one.directory)
    assert (again.base, again.kernels, again.tests) == (None, {}, {})
    assert again.results == one.results
    assert page(again).index["rows"] == page(one).index["rows"]


def older(told: dict[str, Any]) -> dict[str, Any]:
    """What a journal had before these were in it."""
    new = {"metrics", "details", "near", "module", "complete", "first", "undecoded"}
    new |= {"on_base", "phase", "guest", "thread"}
    return {key: value for key, value in told.items() if key not in new}


def test_the_command_runs_the_same_without_what_chose_the_tests(tmp_path: Path) -> None:
    made = page(runs.crashed(tmp_path / "a-beef"))
    assert made.index["runs"][0]["command"] == "harness run --series twice.mbox --base"


def test_bad_results_get_the_room_first_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    run = runs.many(200)
    whole, none = page(run), page(run, budget=0)
    some = page(run, budget=4 * 2200)
    assert "brief" not in whole.cell("suite-1/test_00001", 1)[1]
    assert whole.cell("suite-7/test_00007", 1)[1]["output"].startswith("line 0\n")
    assert "output" in some.cell("suite-7/test_00007", 1)[1]
    assert some.cell("suite-1/test_00001", 1)[1]["brief"]
    assert none.cell("suite-7/test_00007", 1)[1]["brief"]
    assert "For 400 results only the outcome is here" in none.words
    assert len(none.texts["details"]) < len(some.texts["details"]) < len(whole.texts["details"])


def test_an_error_of_the_harness_is_told_as_a_failure_is(tmp_path: Path) -> None:
    said = {"detail": "the agent in the guest died", "output": "line\n" * 99}
    lost = result("aio/lost", Outcome.ERROR, **said)
    made = page(runs.write(tmp_path, [lost], steps=["tip"], exit_code=20))
    assert made.index["rows"][0][1] == "the agent in the guest died"
    assert made.cell("aio/lost", 0)[1]["cut"] == 0


def test_of_good_outputs_only_the_end_is_kept() -> None:
    doc = page(runs.many(2)).cell("suite-1/test_00001", 1)[1]
    assert doc["output"].splitlines()[0] == "line 12"
    assert doc["cut"] == len("line 0\n") * 10 + len("line 10\n") * 2


def test_a_budget_is_not_overdrawn() -> None:
    left = Budget(10)
    assert (left.take(8), left.take(3), left.take(2), left.left) == (True, False, True, 0)


def test_shortened_text_is_the_last_lines() -> None:
    assert shortened("a\nb\nc\n", lines=2, size=100) == ("b\nc\n", 2)
    assert shortened("abc", lines=9, size=2) == ("bc", 1)
    assert shortened("", lines=9, size=2) == ("", 0)


def test_of_a_long_console_the_parts_around_the_tests_stay(tmp_path: Path) -> None:
    filler = "".join(f"[    1.0] noise number {n} {'x' * 60}\n" for n in range(4000))
    path = runs.console(tmp_path, f"{filler}{runs.CONSOLE}{filler}")
    console = consoles.read(path, ["aio/bad"], [(4005, 4006)])
    assert console is not None
    assert console.lines == 8007
    assert console.of("aio/bad") == (4004, 8007)
    assert not console.restored
    text = "".join(text for _, text in console.pieces)
    assert len(text) < 120_000
    assert "start 2 aio/bad" in text
    for first, piece in console.pieces:
        lines = path.read_text().splitlines()
        assert piece.splitlines() == lines[first - 1 : first - 1 + piece.count("\n")]
    assert console.pieces[-1][0] + console.pieces[-1][1].count("\n") - 1 == 8007


def test_an_empty_console_and_none_are_told_apart(tmp_path: Path) -> None:
    console = consoles.read(runs.console(tmp_path, ""), ["aio/bad"], [])
    assert console is not None
    assert (console.lines, console.pieces, console.of("aio/bad")) == (0, (), None)
    assert consoles.read(tmp_path / "none", [], []) is None


def test_a_test_that_ran_twice_in_a_guest_has_each_its_lines(tmp_path: Path) -> None:
    nonce = "harness dd2a423acbf7fe8d"
    text = "".join(f"[ 1] {nonce}: start {n} aio/x\n[ 2] {nonce}: end {n}\n" for n in (1, 2))
    console = consoles.read(runs.console(tmp_path, text), ["aio/x"], [])
    assert console is not None
    assert [console.of("aio/x", nth=nth) for nth in (0, 1)] == [(1, 2), (3, 4)]


def test_metrics_have_a_picture_and_a_sentence(tmp_path: Path) -> None:
    run = runs.many(3)
    metric = Comparison(
        name=f"latency {EVIL}",
        unit="us",
        better=Better.LOWER,
        base=(2.0, 2.1),
        patched=(1.0, 1.1),
        ratio=0.5,
        low=0.4,
        high=0.6,
        p=0.01,
    )
    rows = (replace(run.run.rows[0], metrics=(metric,)), *run.run.rows[1:])
    made = page(replace(run, run=replace(run.run, rows=rows)))
    assert made.tags.count("svg") == 1
    assert "img" not in made.tags
    (figure,) = made.cell("suite-0/test_00000", 1)[1]["figures"]
    assert figure[0] == "figure-0"
    assert figure[1].startswith(f"latency {EVIL}: base 2.05 us (median of 2 runs)")
    assert figure[1].endswith("better")


def test_outcomes_and_their_order_are_those_of_the_model(tmp_path: Path) -> None:
    assert page(runs.many(1)).index["outcomes"] == [str(one) for one in Outcome]
