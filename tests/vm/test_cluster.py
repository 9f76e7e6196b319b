# SPDX-License-Identifier: GPL-2.0-only
"""The same matrix here and on three workers, of which one is killed in the middle of a cell."""

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from harness import cache
from tests.cluster.conftest import Cluster, cluster
from tests.vm.conftest import RUN_S, argv
from tests.vm.test_matrix import TESTS, project, ran, results, run

__all__ = ["project"]  # a fixture

SHARED = ("mirrors", "accel", "agent", "guard", "toolchain")
"""What of the cache the workers have from the first, as a tree takes half a minute to import. They
have no kernel and nothing of the project."""


def test_a_killed_worker_changes_nothing_of_the_results(
    project: dict[str, str], tmp_path: Path
) -> None:
    wanted = results(run(project))
    project["XDG_STATE_HOME"] = str(tmp_path / "far")
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
    assert results(document) == wanted
    assert kernels == [1, 1], "fetched from here, by way of the scheduler"
    cells = {cell["name"]: cell for cell in document["cells"]}
    assert Counter(len(cell["lost"]) for cell in cells.values()) == {0: 2, 1: 1}
    assert set(ran(tmp_path / "far").values()) == {1}, "nothing is recorded twice"
    assert len(ran(tmp_path / "far")) == 3 * TESTS


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
