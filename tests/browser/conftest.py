# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from harness.recorded import Recorded
from harness.report import html

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_MISSING = (
    "there is no {what} here, which the tests of reports need: `ci/bootstrap true` installs it, or "
    "by hand the packages chromium and chromium-driver (docs/setup.md has their names elsewhere)"
)


def _found(*names: str) -> str:
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        pytest.fail(_MISSING.format(what=names[0]), pytrace=False)
    return path


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests; each opens a page of its own in it."""
    options = webdriver.ChromeOptions()
    options.binary_location = _found(*_BROWSERS)
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.add_argument("--disable-dev-shm-usage")  # containers have little of it
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it does not start for root with one
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(_found("chromedriver")))
    yield made
    made.quit()


def log(driver: Any, name: str) -> list[str]:
    """What came into one of the browser's logs since it was last asked for."""
    return [str(one["message"]) for one in driver.get_log(name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """An open page, and what a person can do with it."""

    driver: webdriver.Chrome
    url: str

    def press(self, *keys: str) -> None:
        """Keys, one after the other, for whatever has the focus."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        """An element that has to be there."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Elements, in the order of the page."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    @property
    def focused(self) -> str:
        """The text of the element with the focus, or its id where it has one."""
        return str(self.run("const e = document.activeElement; return e.id || e.innerText"))

    @property
    def names(self) -> list[str]:
        """The tests in the table."""
        script = "return [...document.querySelectorAll('#matrix tbody th')].map(e => e.innerText)"
        return [str(name) for name in self.run(script)]

    @property
    def status(self) -> str:
        """What the page says of how much is shown."""
        return str(self.one("#status").text)

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened."""
        entries = [json.loads(one)["message"] for one in log(self.driver, "performance")]
        sent = [one["params"] for one in entries if one["method"] == "Network.requestWillBeSent"]
        return [str(one["request"]["url"]).partition("#")[0] for one in sent]

    @property
    def errors(self) -> list[str]:
        """What the browser complained about."""
        return log(self.driver, "browser")

    def close_and_open(self, url: str) -> None:
        """Another address, from nothing: one that differs in its hash alone is the same page."""
        self.driver.get("about:blank")
        self.driver.get(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Opens reports of runs."""

    driver: webdriver.Chrome
    path: Path

    def open(
        self,
        runs: Sequence[Recorded],
        *,
        width: int = 1200,
        dark: bool = False,
        scripts: bool = True,
        hash_: str = "",
    ) -> Tab:
        """The page of some runs in a window of this width."""
        made = html.page(runs, budget=html.BUDGET)
        return self.show(made, width=width, dark=dark, scripts=scripts, hash_=hash_)

    def show(
        self,
        page: str,
        *,
        width: int = 1200,
        dark: bool = False,
        scripts: bool = True,
        hash_: str = "",
    ) -> Tab:
        """Any page."""
        self.path.write_text(page)
        url = f"{self.path.as_uri()}{hash_}"
        return self.visit(url, width=width, dark=dark, scripts=scripts)

    def visit(
        self, url: str, *, width: int = 1200, dark: bool = False, scripts: bool = True
    ) -> Tab:
        """The page at an address."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.driver.get("about:blank")
        for name in ("browser", "performance"):
            log(self.driver, name)  # what is in it is another page's
        self.driver.get(url)
        return Tab(driver=self.driver, url=url)


@pytest.fixture
def browser(driver: webdriver.Chrome, tmp_path: Path) -> Iterator[Browser]:
    """A browser whose pages have to do without complaints and without asking for anything."""
    path = tmp_path / "report.html"
    yield Browser(driver=driver, path=path)
    tab = Tab(driver=driver, url=path.as_uri())
    assert tab.errors == []
    assert set(tab.requests) <= {path.as_uri(), "data:,", "about:blank"}


__all__ = ["Browser", "Keys", "Tab"]
