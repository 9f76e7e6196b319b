# SPDX-License-Identifier: GPL-2.0-only
"""A call that fails and that nobody looks at is found, and named (tests/data/unchecked)."""

from pathlib import Path

from harness import recorded
from harness.report import text
from tests.vm.conftest import REPO, Harness

UNCHECKED = REPO / "tests/data/unchecked"
MOST = "40"


def test_an_unchecked_allocation_is_named(harness: Harness) -> None:
    options = ["--tree", "6.12", "--suite", "aio-core", "--test", "setup-args"]
    code, run = harness("run", "--series", str(UNCHECKED), *options, "--fail-nth", MOST)
    assert code == 1
    (result,) = run["results"]
    assert result["outcome"] == "crash" and result["runs"] > result["good"] > 1
    (site,) = [one for one in run["sites"] if one["bad"]]
    assert (site["kind"], site["function"], site["syscall"]) == (
        "failslab",
        "ioctx_add_table",
        "io_setup",
    )
    file, _, line = site["place"].partition(":")
    patch = next(UNCHECKED.glob("*.patch")).read_text()
    assert file == "fs/aio.c" and line.isdecimal()
    assert f"@@ -{int(line) - 2}," in patch  # the call is the last of three lines of context
    assert "null-deref" in site["bad"][0]["detail"]
    shown = text.render(recorded.load(Path(run["run_dir"])).run)
    assert f"failslab in ioctx_add_table ({site['place']}), io_setup: crash" in shown
    assert {one["syscall"] for one in run["sites"]} > {"io_setup"}
