# SPDX-License-Identifier: GPL-2.0-only
"""Python tests in a real guest: one interpreter for all, and what each of them can do to it."""

import json
import os
from pathlib import Path

from tests.vm.conftest import REPO, Harness


def project(root: Path) -> Path:
    """A project whose only suite is tests/vm/python, on the kernel of the shipped suite."""
    (root / "kconfigs").symlink_to(REPO / "kconfigs")
    (root / "patches").mkdir()
    area = root / "guest-tests/python"
    area.mkdir(parents=True)
    (root / "guest-tests/lib").symlink_to(REPO / "guest-tests/lib")
    source = REPO / "tests/vm/python"
    for name in ("Makefile", "settings"):
        (area / name).symlink_to(source / name)
    # In the repository it has a name that pytest does not collect: it would do all that here.
    (area / "test_nasty.py").symlink_to(source / "nasty.py")
    (area / "config").symlink_to(REPO / "guest-tests/aio-poll/config")
    return root


def test_every_evil_costs_one_python_test(harness: Harness, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    env = {**os.environ, "HARNESS_PROJECT": str(project(root))}
    code, run = harness("run", "--suite", "python", env=env)
    found = {r["test"].partition(".test_")[2]: (r["outcome"], r["detail"]) for r in run["results"]}
    assert code == 1
    for name in (
        "passes",
        "leaves_a_child",
        "sees_no_child_of_others",
        "shares_the_interpreter",
        "has_another_interpreter",
        "passes_at_the_end",
    ):
        assert found.pop(name) == ("pass", ""), name
    assert found.pop("skips") == ("skip", "nothing to do here")
    outcome, detail = found.pop("fails")
    assert outcome == "fail" and "AssertionError: not the one we thought" in detail
    assert found.pop("prints_lies")[0] == "fail"
    assert found.pop("kills_its_interpreter") == ("fail", "killed by signal 9: last words")
    assert found.pop("crashes_its_interpreter")[1].startswith("killed by signal 11")
    assert found.pop("exits")[0] == "fail"
    outcome, detail = found.pop("hangs")
    assert outcome == "timeout" and detail.endswith("about to wait")
    assert found.pop("closes_descriptors")[0] == "fail"
    assert not found
    assert len({r["boot"] for r in run["results"]}) == 1, "no evil of these costs a guest"
    journal = Path(run["run_dir"], "journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in journal]
    order = [e["event"] for e in events if e["event"] in ("start", "result")]
    assert order == ["start", "result"] * len(run["results"])
