# SPDX-License-Identifier: GPL-2.0-only
"""What a series changed, patch by patch and at random, on real guests."""

import json
from pathlib import Path

from tests.vm.conftest import REPO, Harness, add_suite, environment

FIVE = REPO / "tests/data/five"
DICE = REPO / "tests/data/dice"


def test_each_patch_is_told_from_the_others(harness: Harness) -> None:
    tests = [word for name in ("setup-args", "destroy-args") for word in ("--test", name)]
    options = ["--series", str(FIVE), "--tree", "6.12", "--suite", "aio-core", "--each-patch"]
    code, run = harness("run", *options, *tests)
    table = {result["test"]: result for result in run["results"]}
    names = [patch.stem for patch in sorted(FIVE.glob("*.patch"))]
    assert code == 1
    assert list(table) == ["build", "aio-core/setup-args", "aio-core/destroy-args"]

    def outcomes(test: str) -> list[str]:
        result = table[test]
        return [result["base_outcome"], *(result["patches"][name] for name in names)]

    good, bad = ["pass"] * 3, ["fail"] * 3
    assert outcomes("aio-core/setup-args") == good * 2
    assert table["aio-core/setup-args"]["first_bad"] is None
    assert outcomes("aio-core/destroy-args") == good + bad
    assert table["aio-core/destroy-args"]["first_bad"] == names[2]
    assert table["aio-core/destroy-args"]["verdict"] == "new"
    assert outcomes("build") == ["pass"] * 5 + ["fail"]
    assert table["build"]["first_bad"] == names[4]
    assert "unused variable" in table["build"]["detail"]
    # The fourth patch edits comments, and nobody uses the fifth one's variable.
    assert run["inherited"] == {names[3]: "0003", names[4]: "0003"}
    boots = {path.name for path in (Path(run["run_dir"]) / "kernels").iterdir()}
    assert boots == {"base", "0001", "0002", "0003", "0004", "tip"}
    assert {one["kernel"] for one in table.values()} == {"tip"}


def test_flaky_on_both_kernels_and_new_on_one(harness: Harness, tmp_path: Path) -> None:
    area = add_suite(tmp_path / "p", "dice")
    for file in (DICE / "suite").iterdir():
        (area / file.name).symlink_to(file)
    env = environment(tmp_path / "p")
    options = ["--series", str(DICE), "--tree", "6.12", "--suite", "dice", "--base"]
    # Thirty runs at first: two in 100,000 are without a failure, and what is equal looks so.
    code, run = harness("run", *options, "--repeat", "30", env=env)
    table = {result["test"]: result for result in run["results"]}
    always, series = table["dice/always"], table["dice/series"]
    assert code == 1
    assert always["verdict"] == "flaky", always["reruns"]
    assert series["verdict"] == "new", series["reruns"]
    assert series["reruns"]["probability"] > 0.75 > always["reruns"]["probability"]
    assert series["reruns"]["base"]["failed"] == 0 < always["reruns"]["base"]["failed"]


def test_the_base_is_not_run_again(harness: Harness) -> None:
    options = ["--series", "aio-poll", "--base", "--test", "aio-poll/two-queues-fifo"]
    runs = [harness("run", *options, *more)[1] for more in (("--fresh-base",), (), ())]
    outcomes = [(r["results"][0]["base_outcome"], r["results"][0]["outcome"]) for r in runs]
    assert outcomes == [("xfail", "pass")] * 3
    journals = [Path(run["run_dir"], "journal.jsonl").read_text() for run in runs]
    assert [text.count('"known_from"') for text in journals] == [0, 1, 1]
    assert [text.count('"start"') for text in journals] == [2, 1, 1]


def test_figures_are_measured_in_turn(harness: Harness, tmp_path: Path) -> None:
    area = add_suite(tmp_path / "p", "dice")
    (area / "Makefile").write_text(
        "# SPDX-License-Identifier: GPL-2.0-only\nTEST_PROGS := figure.sh\ninclude ../lib/lib.mk\n"
    )
    script = area / "figure.sh"
    script.write_text("#!/bin/sh\necho \"# metric up=$(cut -d ' ' -f 1 /proc/uptime) unit=s\"\n")
    script.chmod(0o755)
    options = ["--series", str(DICE), "--tree", "6.12", "--suite", "dice", "--base"]
    code, run = harness("run", *options, "--samples", "4", env=environment(tmp_path / "p"))
    (result,) = run["results"]
    (compared,) = result["comparisons"]
    assert (code, result["outcome"], result["runs"]) == (0, "pass", 4)
    assert len(compared["base"]) == len(compared["patched"]) == 4
    assert compared["low"] <= compared["ratio"] <= compared["high"]
    journal = Path(run["run_dir"], "journal.jsonl").read_text().splitlines()
    started = [e["kernel"] for e in map(json.loads, journal) if e["event"] == "start"]
    assert started == ["base", "tip", "tip", "base"] * 2
    boots = [e["boot"] for e in map(json.loads, journal) if e["event"] == "start"]
    assert len(set(boots)) == 8  # a guest of its own for each
