# SPDX-License-Identifier: GPL-2.0-only
"""The HTML report in a browser. The fixture also checks that no page logs an error or asks for
anything but itself."""

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from harness.model import Outcome
from tests import runs
from tests.browser.conftest import Browser, Tab
from tests.runs import EVIL, NASTY, result


def hash_of(tab: Tab) -> dict[str, list[str]]:
    return parse_qs(str(tab.run("return location.hash.slice(1)")))


def is_open(tab: Tab) -> bool:
    return bool(tab.run("return document.getElementById('dialog').open"))


def choose(tab: Tab, select: str, value: str) -> None:
    tab.one(f"#{select} option[value={value}]").click()


@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_in_the_colours_that_are_wanted(
    browser: Browser, tmp_path: Path, dark: bool
) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef")], dark=dark)
    assert tab.status == "3 of 3 tests shown"
    background = str(tab.run("return getComputedStyle(document.body).backgroundColor"))
    first = int(re.findall(r"\d+", background)[0])
    assert first < 60 if dark else first > 200
    # What every outcome is printed in can be read (WCAG AA: 4.5 to 1).
    assert all(ratio >= 4.5 for ratio in tab.run(CONTRASTS))


CONTRASTS = """
const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
};
return [...document.querySelectorAll("#matrix span, #matrix button, .quiet, label, legend, dt")]
  .filter((one) => one.innerText).map((one) => {
    const both = [getComputedStyle(one).color, behind(one)].map(light).sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  });
"""


def test_the_keyboard_alone_filters_opens_and_closes(browser: Browser, tmp_path: Path) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef")])
    tab.press("/")
    assert tab.focused == "q"
    tab.press("BAD")
    assert tab.status == "1 of 3 tests shown"
    assert tab.names == ["aio/bad"]
    tab.press(Keys.ARROW_DOWN)
    assert tab.focused.startswith("pass")
    tab.press(Keys.ARROW_RIGHT)
    assert tab.focused.startswith("crash")
    tab.press(Keys.ENTER)
    assert is_open(tab)
    assert tab.focused == "dialog-title"
    assert tab.one("#dialog-title").text == "aio/bad"
    tab.press(Keys.ESCAPE)
    assert not is_open(tab)
    # A dialog gives the focus back when its event comes, which is after it has closed.
    WebDriverWait(tab.driver, 10).until(lambda _: tab.focused.startswith("crash"))
    tab.press("/", Keys.BACKSPACE)
    assert tab.status == "3 of 3 tests shown"


def test_arrows_move_over_holes_and_only_one_cell_is_in_the_tab_order(
    browser: Browser, tmp_path: Path
) -> None:
    first = runs.crashed(tmp_path / "a-beef")
    results = [result("aio/bad", Outcome.PASS), result("z/z", Outcome.PASS)]
    second = runs.write(tmp_path, results, steps=["tip"])
    tab = browser.open([first, second])
    tab.press("/", Keys.ARROW_DOWN)
    tab.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    where = """const td = document.activeElement.closest("td");
        return [td.parentElement.rowIndex, td.cellIndex]"""
    assert tab.run(where) == [2, 2]  # the second run has no aio/good
    tab.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert tab.run(where) == [3, 3]
    tab.press(Keys.ARROW_DOWN)
    assert tab.run(where) == [5, 3]  # over the test that it does not have
    assert len(tab.all("#matrix tbody button[tabindex='0']")) == 1
    tab.press(Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP)
    assert tab.focused == "q"


def test_a_crash_shows_where_it_was_and_whose_lines_of_the_console(
    browser: Browser, tmp_path: Path
) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef")])
    tab.one(".cell.o-crash").click()
    text = tab.one("#sheet").text
    assert "fs/aio.c:12  <- 0002-second.patch" in text
    assert "This guest was restored" in text
    assert tab.one("#sheet mark").text.splitlines()[0].endswith("start 2 aio/bad")
    assert "start 1 aio/good" not in tab.one("#sheet mark").text
    assert "harness run --series twice.mbox --base --test aio/bad" in text
    assert "harness repro a-beef aio/bad" in text
    tab.all("#sheet nav button")[0].click()
    assert tab.one("#dialog-title").text == "aio/good"


@pytest.mark.parametrize(
    ("sort", "first", "direction"),
    [("c1", "aio/bad", "ascending"), ("name", f"aio/{EVIL}", "ascending")],
)
def test_columns_sort_and_say_so(
    browser: Browser, tmp_path: Path, sort: str, first: str, direction: str
) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef")])
    head = f"th[data-sort={sort}]"
    tab.one(f"{head} button").click()
    assert tab.names[0] == first
    assert tab.one(head).get_attribute("aria-sort") == direction
    names = tab.names
    tab.one(f"{head} button").click()
    assert tab.one(head).get_attribute("aria-sort") == "descending"
    assert tab.names != names
    tab.one(f"{head} button").click()
    assert tab.one(head).get_attribute("aria-sort") is None
    assert tab.names[0] == "aio/good"


def test_outcomes_verdicts_and_suites_filter(browser: Browser) -> None:
    tab = browser.open([runs.many(120)])
    tab.one("#outcomes input[value=fail]").click()
    assert tab.names == [f"suite-7/test_{n:05d}" for n in (7, 57, 107)]
    tab.one("#verdicts input[value=new]").click()
    tab.press("/", "107")
    assert tab.status == "1 of 120 tests shown"
    tab.one("button[type=reset]").click()
    assert tab.status == "120 of 120 tests shown"
    assert not tab.all("#outcomes input:checked")
    choose(tab, "suite", "suite-3")
    assert tab.status == "12 of 120 tests shown"


def test_the_address_holds_what_is_seen(browser: Browser, tmp_path: Path) -> None:
    run = runs.crashed(tmp_path / "a-beef")
    tab = browser.open([run])
    tab.press("/", "bad")
    tab.one("#outcomes input[value=crash]").click()
    tab.one("th[data-sort=c1] button").click()
    tab.one(".cell.o-crash").click()
    kept = {"q": ["bad"], "outcome": ["crash"], "sort": ["c1"], "cell": ["a-beef:tip:aio/bad"]}
    assert hash_of(tab) == kept
    shared = str(tab.run("return location.href"))
    tab.close_and_open(shared)
    assert is_open(tab)
    assert tab.one("#dialog-title").text == "aio/bad"
    assert tab.names == ["aio/bad"]
    assert hash_of(tab) == kept
    tab.press(Keys.ESCAPE)
    WebDriverWait(tab.driver, 10).until(lambda _: "cell" not in hash_of(tab))
    assert tab.focused.startswith("crash")


def test_an_address_that_makes_no_sense_is_the_whole_table(
    browser: Browser, tmp_path: Path
) -> None:
    nonsense = "#sort=c99&outcome=what&suite=none&cell=a:b:c&q=%00"
    tab = browser.open([runs.crashed(tmp_path / "a-beef")], hash_=nonsense)
    assert tab.status == "0 of 3 tests shown"  # no name has that letter
    tab.close_and_open(tab.url.replace("&q=%00", ""))
    assert tab.status == "3 of 3 tests shown"
    assert not is_open(tab)


def test_several_runs_have_a_group_of_columns_each(browser: Browser, tmp_path: Path) -> None:
    both = [runs.crashed(tmp_path / "a-beef"), runs.each_patch(tmp_path / "b-cafe")]
    tab = browser.open(both)
    groups = tab.all("#matrix thead th[scope=colgroup]")
    assert [(one.text, one.get_attribute("colspan")) for one in groups] == [
        ("beef twice on 6.12", "2"),
        ("cafe twice on 6.12", "5"),
    ]
    heads = [one.text for one in tab.all("#matrix thead th[scope=col]")]
    assert heads == ["Test", "base", "tip", "base", "0001", "0002", "0003", "tip", "Detail"]
    row = next(row for row in tab.all("#matrix tbody tr") if "aio/bad" in row.text)
    assert row.text.split().count("fail") == 2
    assert "first bad" in row.text


def test_names_and_outputs_are_never_markup(browser: Browser, tmp_path: Path) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef"), runs.many(1)])
    assert f"aio/{EVIL}" in tab.names
    tab.all("#matrix tbody tr")[2].find_elements("css selector", "button")[1].click()
    assert tab.one("#dialog-title").text == f"aio/{EVIL}"
    shown = str(tab.run("return document.querySelector('#sheet pre').textContent"))
    assert shown.startswith(NASTY.split("\x00")[0])
    assert tab.all("img, #sheet script, #sheet b") == []
    with pytest.raises(Exception, match="no such alert"):
        _ = tab.driver.switch_to.alert


def test_twenty_thousand_results_come_in_pages(browser: Browser) -> None:
    tab = browser.open([runs.many(20_000)])
    assert tab.status == "20,000 of 20,000 tests shown, the first 300 in the table"
    more = tab.one("#more")
    assert more.text == "Show 300 more of 19,700"
    more.send_keys(Keys.ENTER)
    assert len(tab.names) == 600
    assert tab.run("return document.activeElement.closest('tr').rowIndex") == 301
    tab.press("/", "_19957")
    assert tab.names == ["suite-7/test_19957"]
    tab.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ENTER)
    assert "line 199" in tab.one("#sheet").text
    tab.press(Keys.ESCAPE)
    tab.one("button[type=reset]").click()
    choose(tab, "sort", "worst")
    assert tab.names[:2] == ["suite-7/test_19957", "suite-7/test_19907"]
    assert not tab.one("#more").get_attribute("hidden")


def test_the_last_row_of_a_page_leads_to_the_next_one(browser: Browser) -> None:
    tab = browser.open([runs.many(400)])
    tab.run("document.querySelector('#matrix tbody tr:last-child button').focus()")
    tab.press(Keys.ARROW_DOWN)
    assert len(tab.names) == 400
    assert tab.run("return document.activeElement.closest('tr').rowIndex") == 301


@pytest.mark.parametrize("opened", [False, True])
def test_a_narrow_window_does_not_scroll_sideways(
    browser: Browser, tmp_path: Path, opened: bool
) -> None:
    both = [runs.crashed(tmp_path / "a-beef"), runs.each_patch(tmp_path / "b-cafe")]
    tab = browser.open([*both, runs.many(3)], width=360)
    if opened:
        tab.one(".cell.o-crash").click()
        sheet = "const d = document.getElementById('dialog'); return [d.scrollWidth, d.clientWidth]"
        wide, room = tab.run(sheet)
        assert wide <= room
    assert tab.run("return document.documentElement.scrollWidth") == 360
    wide, room = tab.run(
        "const s = document.querySelector('.scroll'); return [s.scrollWidth, s.clientWidth]"
    )
    assert wide > room


def test_without_scripts_there_is_the_plain_report(browser: Browser, tmp_path: Path) -> None:
    tab = browser.open([runs.crashed(tmp_path / "a-beef")], scripts=False)
    text = tab.one("body").text
    assert "This is the plain report" in text
    assert "fs/aio.c:12  <- 0002-second.patch" in text
    assert not tab.one("#controls").is_displayed()
    assert tab.all("img") == []


def test_for_print_everything_is_unfolded(browser: Browser, tmp_path: Path) -> None:
    tab = browser.open([runs.many(3)])
    assert tab.all("main details:not([open])")
    tab.driver.print_page()
    assert not tab.all("main details:not([open])")


def test_a_run_with_nothing_but_an_error_opens(browser: Browser, tmp_path: Path) -> None:
    said = "0003-foo.patch does not apply to 6.12: fs/aio.c hunk 2"
    tab = browser.open([runs.write(tmp_path, exit_code=10, error=said)])
    assert not tab.one("#results").is_displayed()
    assert said in tab.one("header").text
