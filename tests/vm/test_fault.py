# SPDX-License-Identifier: GPL-2.0-only
"""A call that fails and that nobody looks at is found, and named (tests/data/unchecked)."""

import re
from pathlib import Path

from harness import recorded
from harness.report import text
from tests.vm.conftest import PLANTED, REPO, Harness, add_suite, environment

SHOTS = "30-70"  # the one that is bad was the 48th of 60


def test_an_unchecked_allocation_is_named(harness: Harness, tmp_path: Path) -> None:
    area = add_suite(tmp_path / "project", "core")
    for file in (REPO / "guest-tests/aio-core").iterdir():
        if file.name != "config":
            (area / file.name).symlink_to(file)
    options = [*PLANTED, "--suite", "core", "--test", "core/setup-args", "--fail-nth", SHOTS]
    code, run = harness("run", *options, env=environment(tmp_path / "project"))
    assert code == 1
    (result,) = run["results"]
    assert result["outcome"] == "crash" and result["runs"] - 1 == result["good"] > 10
    (site,) = [one for one in run["sites"] if one["bad"]]
    named = (site["kind"], site["function"], site["syscall"])
    assert named == ("failslab", "ioctx_add_table", "io_setup")
    assert re.fullmatch(r"fs/aio\.c:\d+", site["place"])
    assert "null-deref" in site["bad"][0]["detail"]
    shown = text.render(recorded.load(Path(run["run_dir"])).run)
    assert f"failslab in ioctx_add_table ({site['place']}), io_setup: crash" in shown
    assert "0001-aio-take-the-table-of-contexts-as-it-comes" in shown  # the splat is the patch's
    assert {one["syscall"] for one in run["sites"]} > {"io_setup"}
