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


def test_the_patch_is_found_however_often_it_is_killed(
    state: dict[str, str], tmp_path: Path
) -> None:
    code, whole = bisect(state, "--patches", *WHAT)
    assert (code, whole["culprit"]) == (0, CULPRIT)
    assert whole["probability"] >= 0.99
    state["XDG_STATE_HOME"] = str(tmp_path / "killed")
    dice = random.Random(KILLS)
    words: tuple[str, ...] = ("--patches", *WHAT)
    killed = 0
    for _ in range(KILLS):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(argv("bisect", *words), stdout=log, stderr=log, env=state)
            try:
                process.wait(dice.uniform(0.5, 1.5 + whole["duration_s"] / KILLS))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        if list((tmp_path / "killed/harness").glob("bisects/*/journal.jsonl")):
            words = ("--resume",)
    assert killed, "it ended before it was killed"
    if killed == KILLS:
        code, again = bisect(state, *words)
        assert (code, again["culprit"]) == (0, CULPRIT)
    journal = next((tmp_path / "killed/harness").glob("bisects/*/journal.jsonl"))
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    ended = [one["step"] for one in events if one["event"] == "end"]
    assert sorted(ended) == sorted(set(ended))  # none is taken twice, and none is lost
    assert set(ended) == {one["step"] for one in events if one["event"] == "begin"}
    assert not processes_below(str(tmp_path))


def test_the_fewest_patches_are_found(state: dict[str, str]) -> None:
    code, found = bisect(state, "--subset", *WHAT)
    assert (code, found["culprits"]) == (0, [CULPRIT])
    whys = " ".join(one["why"] for one in found["steps"])
    assert "does not apply" in whys  # nothing was built for these
    assert "does not build" in whys
