# SPDX-License-Identifier: GPL-2.0-only
"""Bisections of planted answers on real kernels, killed at any moment and gone on with."""

import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import RUN_S, argv, processes_below

KILLS = int(os.environ.get("HARNESS_KILLS", "3"))
FIVE = Path(__file__).parents[1] / "data/five"
WHAT = ("--series", str(FIVE), "--tree", "6.12", "--suite", "aio-core", "--test", "destroy-args")
CULPRIT = "0003-aio-tell-who-cancels-in-an-unknown-context.patch"


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    """An environment with a state directory of its own."""
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}


def bisect(env: dict[str, str], *words: str) -> tuple[int, Any]:
    """Exit status and document of a bisection that comes to its end."""
    command = argv("bisect", "--json", *words)
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=RUN_S, check=False, env=env)
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def journals(below: Path) -> list[Path]:
    """Those of the bisections that were killed once they had begun."""
    found = sorted((below / "killed/harness").glob("bisects/*/journal.jsonl"))
    return [path for path in found if '"question"' in path.read_text()]


def test_the_patch_is_found_however_often_it_is_killed(
    state: dict[str, str], tmp_path: Path
) -> None:
    anew = ("--patches", *WHAT)
    code, whole = bisect(state, *anew)
    assert (code, whole["culprit"]) == (0, CULPRIT)
    assert whole["probability"] >= 0.99
    state["XDG_STATE_HOME"] = str(tmp_path / "killed")
    dice = random.Random(KILLS)
    words: tuple[str, ...] = anew
    killed = 0
    while killed < KILLS:  # where one comes to its end before, another begins
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(argv("bisect", *words), stdout=log, stderr=log, env=state)
            try:
                assert process.wait(dice.uniform(0.5, 1.5 + whole["duration_s"] / KILLS)) == 0
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        going_on = any('"finish"' not in path.read_text() for path in journals(tmp_path))
        words = ("--resume",) if going_on else anew
    code, again = bisect(state, *words)
    assert (code, again["culprit"]) == (0, CULPRIT)
    for path in journals(tmp_path):
        events = [json.loads(line) for line in path.read_text().splitlines()]
        steps = [one["step"] for one in events if one["event"] == "end"]
        assert len(steps) == len(set(steps))  # none is taken twice, and none is lost
        assert set(steps) == {one["step"] for one in events if one["event"] == "begin"}
        report = subprocess.run(
            argv("bisect", "report", path.parent.name), capture_output=True, text=True, env=state
        )
        assert CULPRIT in report.stdout, report
    assert not processes_below(str(tmp_path))


def test_the_fewest_patches_are_found(state: dict[str, str]) -> None:
    code, found = bisect(state, "--subset", *WHAT)
    assert (code, found["culprits"]) == (0, [CULPRIT])
    whys = " ".join(one["why"] for one in found["steps"])
    assert "does not apply" in whys  # nothing was built for these
    assert "does not build" in whys
