# SPDX-License-Identifier: GPL-2.0-only
"""Leaks are reported against the tests that leak, and no neighbour of theirs.

tests/data/leaks has patches that each leak one thing, tests/vm/leaks programs that meet one of
them each, among others that do not. They share a guest, so that only what is counted tells them
apart.
"""

from pathlib import Path

import pytest

from harness import recorded
from tests.vm.conftest import REPO, Harness, add_suite, environment

LEFT = {
    "leaks/iocb": ("16 aio_kiocbs are not freed", "kmemleak: memory leak in io_submit_one"),
    "leaks/eventfd": ("", "kmemleak: memory leak in do_eventfd"),
    "leaks/contexts": ("aio-nr is 128 higher than before", ""),
    "leaks/mm": ("1 open file is left behind; 1 mm_struct is not freed", ""),
    "leaks/mm-struct": ("1 mm_struct is not freed", ""),
    "leaks/files": ("3 open files are left behind", ""),
    "leaks/taint.sh": ("the kernel is tainted now: W (warning)", ""),
    "leaks/test_served.test_leaves_a_segment": ("1 open file is left behind", ""),
}
"""What each test is told: what is counted after it, and what kmemleak finds."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    area = add_suite(root, "leaks")
    for file in (REPO / "tests/vm/leaks").iterdir():
        (area / file.name).symlink_to(file)
    return root


def test_who_leaks_is_told_apart(harness: Harness, project: Path) -> None:
    code, run = harness(
        *("run", "--series", str(REPO / "tests/data/leaks"), "--suite", "leaks"),
        *("--kconfig", "leaks", "--tree", "6.12"),
        env=environment(project),
    )
    assert code == 1
    told = {one["test"]: (one["outcome"], one["detail"]) for one in run["results"]}
    assert len(told) == 20
    for test, (outcome, detail) in told.items():
        counted, found = LEFT.get(test, ("", ""))
        assert (outcome, detail) == ("fail" if test in LEFT else "pass", told_of(counted, found))
    splats = [(splat["test"], splat["kind"], splat["phase"]) for splat in run["splats"]]
    leaky = [test for test, (_, found) in LEFT.items() if found]
    assert sorted(splats) == sorted((test, "kmemleak", "test") for test in leaky)
    known = {one.test: one.detail for one in recorded.load(Path(run["run_dir"])).results}
    assert known == {test: detail for test, (_, detail) in told.items()}


def told_of(counted: str, found: str) -> str:
    """The detail: what the kernel says comes first."""
    return "; ".join(part for part in (found, counted) if part)
