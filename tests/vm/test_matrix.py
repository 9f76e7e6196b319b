# SPDX-License-Identifier: GPL-2.0-only
"""A matrix of small cells: run, killed at any moment, gone on with."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness import cache
from tests.cluster.machines import Cluster, cluster
from tests.vm.conftest import RUN_S, add_suite, argv, environment, processes_below

KILLS = int(os.environ.get("HARNESS_KILLS", "3"))
TESTS = 6 + 2 * KILLS
MATRIX = """\
trees: ["6.12"]
series: [base]
kconfigs: {base: }
guests:
  one: {memory: 256}
  other: {memory: 256, append: [threadirqs]}
  third: {memory: 256, append: [nokaslr]}
"""
TEST = """\
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
sleep 0.1
exit %d
"""


SHARED = ("mirrors", "accel", "agent", "guard", "toolchain")
"""What of the cache workers have from the first, as a tree takes half a minute to import. They have
no kernel and nothing of the project."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a suite of short tests, one of which fails."""
    root = tmp_path_factory.mktemp("matrix") / "project"
    area = add_suite(root, "short")
    names = [f"t{number}" for number in range(TESTS)]
    (area / "Makefile").write_text(f"TEST_PROGS := {' '.join(names)}\ninclude ../lib/lib.mk\n")
    (area / "settings").write_text("isolation=test\n")
    for number, name in enumerate(names):
        (area / name).write_text(TEST % (number == 3))
        (area / name).chmod(0o755)
    (root / "ci").mkdir()
    (root / "ci/matrix.yaml").write_text(MATRIX)
    return root


@pytest.fixture(scope="module")
def whole(root: Path) -> Any:
    """The document of the matrix when nothing is in its way."""
    made = run({**environment(root), "XDG_STATE_HOME": str(root.parent / "state")})
    assert Path(made["matrix_dir"], "report.html").read_text().startswith("<!doctype html>")
    outcomes = Counter(one for cell in results(made).values() for one in cell.values())
    assert outcomes == {"pass": 3 * (TESTS - 1), "fail": 3}
    return made


@pytest.fixture
def project(root: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of the project, with a state directory of its own."""
    return {**environment(root), "XDG_STATE_HOME": str(tmp_path / "state")}


def run(env: dict[str, str], *words: str) -> Any:
    """The document of a matrix that comes to its end."""
    command = argv("matrix", "--json", *words)
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=RUN_S, check=False, env=env)
    assert done.returncode == 1  # one test fails
    return json.loads(done.stdout)


def results(document: Any) -> dict[str, dict[str, str]]:
    """By cell and test."""
    found = {}
    for cell in document["cells"]:
        told = json.loads((Path(cell["run_dir"]) / "run.json").read_text())
        found[cell["name"]] = {one["test"]: one["outcome"] for one in told["results"]}
    return found


def ran(state: Path) -> Counter[tuple[str, str]]:
    """How often each test of each cell has ended, in whatever run."""
    found: Counter[tuple[str, str]] = Counter()
    for journal in state.glob("harness/runs/*/journal.jsonl"):
        lines = []
        for line in journal.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                assert line == journal.read_text().splitlines()[-1]
        cell = " ".join(word for word in lines[0]["argv"] if word != "--json") if lines else ""
        for event in lines:
            if event["event"] == "result" and "known_from" not in event:
                found[cell, event["test"]] += 1
    return found


def test_killed_at_any_moment_it_goes_on_and_repeats_nothing(
    project: dict[str, str], whole: Any, tmp_path: Path
) -> None:
    dice = random.Random(KILLS)
    lasts = max(1.0, sum(cell["duration_s"] for cell in whole["cells"]) / 2)
    words: tuple[str, ...] = ()
    killed = 0
    for _ in range(KILLS):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(argv("matrix", *words), stdout=log, stderr=log, env=project)
            try:
                process.wait(dice.uniform(0.2, 1.5 + lasts / KILLS))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        if list((tmp_path / "state/harness").glob("matrices/*/journal.jsonl")):
            words = ("--resume",)
    assert killed == KILLS, f"it ended after {killed} kills"
    assert results(run(project, *words)) == results(whole)
    assert set(ran(tmp_path / "state").values()) == {1}
    assert len(ran(tmp_path / "state")) == 3 * TESTS
    assert not processes_below(str(tmp_path))


def test_a_killed_worker_changes_nothing_of_the_results(
    project: dict[str, str], whole: Any, tmp_path: Path
) -> None:
    place = tmp_path / "cluster"
    for name in ("a", "b", "c"):
        own = place / name / "cache/harness"
        own.mkdir(parents=True)
        for part in SHARED:
            (cache.root() / part).mkdir(exist_ok=True)
            (own / part).symlink_to(cache.root() / part)
    with cluster(place) as there:
        command = argv("matrix", "--json", "--scheduler", there.address)
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=project)
        kill_in_the_middle(there, "b")
        said, _ = process.communicate(timeout=RUN_S)
        assert process.returncode == 1, (tmp_path / "log").read_text()
        kernels = [len(list(there.cache(name).glob("kernels/*/kernel.json"))) for name in "ac"]
    document = json.loads(said)
    assert results(document) == results(whole)
    assert kernels == [1, 1], "fetched from here, by way of the scheduler"
    cells = {cell["name"]: cell for cell in document["cells"]}
    assert Counter(len(cell["lost"]) for cell in cells.values()) == {0: 2, 1: 1}
    assert set(ran(tmp_path / "state").values()) == {1}, "nothing is recorded twice"
    assert len(ran(tmp_path / "state")) == 3 * TESTS


def kill_in_the_middle(there: Cluster, name: str) -> None:
    """Kill a worker when a test of its cell has ended, and others have not."""
    deadline = time.monotonic() + RUN_S
    while True:
        journals = list((there.place / name).rglob("journal.jsonl"))
        if any(b'"event": "result"' in journal.read_bytes() for journal in journals):
            break
        assert time.monotonic() < deadline, there.said()
        time.sleep(0.05)
    there.workers[name].send_signal(signal.SIGKILL)
