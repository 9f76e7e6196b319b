# SPDX-License-Identifier: GPL-2.0-only
"""The page of a bisection in a browser. The fixture also checks that it asks for nothing."""

from collections.abc import Iterator

import pytest

from harness.bisect import answer, page, record
from tests.browser.conftest import Browser, Tab
from tests.browser.test_html import CONTRASTS
from tests.unit.bisections import Kernels, World, begin, go_on, linear

_SEEN = "p, td, th, code, figcaption, footer, h1, h2, h3"


@pytest.fixture(autouse=True)
def _own_directories(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path_factory.mktemp(name.lower())))
    yield


def made() -> str:
    path = begin(linear(64))
    go_on(path, Kernels(World(culprit=41, broken={30, 47})))
    return page.page(answer.of(record.load(path)))


def shape(tab: Tab, selector: str) -> tuple[float, float]:
    """Width and height of an element as it is drawn."""
    script = "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
    width, height = tab.run(f"{script} return [r.width, r.height]", selector)
    return float(width), float(height)


@pytest.mark.parametrize("dark", [False, True])
def test_all_of_it_can_be_read(browser: Browser, dark: bool) -> None:
    tab = browser.show(made(), dark=dark)
    contrasts = CONTRASTS.partition("return [...document")[0] + (
        f'return [...document.querySelectorAll("{_SEEN}")]'
        + CONTRASTS[CONTRASTS.index("  .filter") :]
    )
    ratios = tab.run(contrasts)
    assert len(ratios) > 50
    assert min(ratios) >= 4.5


def test_the_culprit_has_the_highest_bar_and_marks_differ(browser: Browser) -> None:
    tab = browser.show(made())
    assert shape(tab, ".posterior .found.share")[1] > 80
    marks = {verdict: tab.one(f".posterior .b-{verdict}") for verdict in ("bad", "good", "skip")}
    shapes = {str(one.get_attribute("d")).partition("m")[2] for one in marks.values()}
    assert len(shapes) == 3
    assert "c41 100.0%" in str(tab.one("#posterior-desc").get_attribute("textContent"))
    assert tab.one("tr.culprit").text.startswith("c41 bad 1 1 ")


def test_a_telephone_shows_it_without_scrolling_sideways(browser: Browser) -> None:
    tab = browser.show(made(), width=360)
    assert tab.run("return document.documentElement.scrollWidth") <= 360
