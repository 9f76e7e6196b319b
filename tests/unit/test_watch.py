# SPDX-License-Identifier: GPL-2.0-only
"""What `harness watch` looks at, and that a change during a run is not missed."""

import contextlib
import queue
from pathlib import Path

import pytest

from harness import cli
from harness.cli import run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("kconfigs", "guest-tests/area", "patches/s", "patches/t", "linux/fs"):
        (tmp_path / name).mkdir(parents=True)
    for name, about in (("s", "title: s\n"), ("t", "title: t\nafter: [s]\n")):
        (tmp_path / f"patches/{name}/series.yaml").write_text(about)
        (tmp_path / f"patches/{name}/series").touch()
    (tmp_path / "kconfigs/base.config").touch()
    (tmp_path / "linux/repro").touch(0o755)
    monkeypatch.setenv("HARNESS_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path / "linux")
    return tmp_path


def watched(project: Path, *options: str) -> list[str]:
    arguments = cli.build().parse_args(["watch", *options])
    return [str(path.relative_to(project)) for path in run._watched(arguments)]


def test_a_series_its_tests_and_fragments(project: Path) -> None:
    assert watched(project, "--series", "s") == ["guest-tests", "kconfigs", "patches/s"]


def test_a_series_and_what_it_goes_after(project: Path) -> None:
    found = watched(project, "--series", "t")
    assert found == ["guest-tests", "kconfigs", "patches/s", "patches/t"]


def test_a_checkout_and_a_program_inside_it_are_one_place(project: Path) -> None:
    assert watched(project, "--tree", ".", "--command", "./repro -x") == ["kconfigs", "linux"]


def test_a_change_while_a_run_is_under_way_is_kept(project: Path) -> None:
    names: set[str] = set()
    with run._changes([project / "linux"]) as changes:
        for attempt in range(100):  # the watching begins a moment after the block does
            (project / "linux/fs/aio.c").write_text(str(attempt))
            with contextlib.suppress(queue.Empty):
                names = {Path(path).name for _, path in changes.get(timeout=0.2)}
                break
    assert names == {"aio.c"}
