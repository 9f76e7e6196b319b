# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness import series
from tests.vm.conftest import (
    REPO,
    RUN_S,
    SHIPPED,
    Harness,
    add_suite,
    argv,
    environment,
    processes_below,
)

GONE_S = 2.0


# Two kernels with three file systems more, and a slow disk: not for each change.
LONG = {"aio-retry-read"}


@pytest.mark.parametrize("name", series.names(REPO))
def test_a_shipped_series_mends_what_it_says(
    harness: Harness, name: str, early: dict[str, "subprocess.Popen[bytes]"]
) -> None:
    if name in LONG and not os.environ.get("HARNESS_ALL_SERIES"):
        pytest.skip(f"{name} is left out: set HARNESS_ALL_SERIES=1 to run all")
    if name in early:
        told = early[name].communicate(timeout=RUN_S)[0]
        code, run = early[name].returncode, json.loads(told)
    else:
        code, run = harness(*SHIPPED, "--series", name)
    parts = series.with_below(REPO, [series.load(REPO, name)])
    said = {test for part in parts for test in part.fails_on_base}
    ran = {suite for part in parts for suite in part.suites}
    outcomes = {r["test"]: (r["base_outcome"], r["outcome"]) for r in run["results"]}
    assert code == 0, json.dumps(run["results"], indent=1)
    assert {outcome for _, outcome in outcomes.values()} == {"pass"}
    mended = {name for name, (base, _) in outcomes.items() if base == "xfail"}
    assert mended == {test for test in said if test.partition("/")[0] in ran}
    assert not run["splats"]


def test_the_modules_of_a_suite_are_built_and_loaded(harness: Harness) -> None:
    code, run = harness("run", "--series", "aio-poll", "--suite", "aio-chardev")
    outcomes = {result["test"]: result["outcome"] for result in run["results"]}
    assert code == 0 and set(outcomes.values()) == {"pass"}
    assert {"aio-chardev/completion", "aio-chardev/poll"} <= set(outcomes)


def test_a_report_that_the_base_makes_too_is_marked_and_placed(harness: Harness) -> None:
    command = ["--command", "sh -c 'echo c > /proc/sysrq-trigger'"]
    options = ["--series", "aio-poll", "--set", "AIO=y", "--base", "--new-only"]
    code, run = harness("run", *options, *command)
    (result,) = run["results"]
    (splat,) = result["splats"]
    assert (code, result["verdict"], splat["on_base"]) == (0, "pre-existing", True)
    assert not splat["undecoded"]
    places = {frame["function"]: (frame["file"], frame["patch"]) for frame in splat["frames"]}
    assert places["write_sysrq_trigger"] == ("drivers/tty/sysrq.c", "")
    assert {stage["name"] for stage in run["stages"]} >= {"symbols base", "symbols tip"}


def test_a_series_that_changes_no_program_is_not_run(harness: Harness) -> None:
    # Without a suite that asks for it there is no AIO in the kernel.
    code, run = harness("run", "--series", "aio-poll", "--command", "false", "--base")
    (result,) = run["results"]
    assert (code, result["base_outcome"], result["outcome"]) == (1, "fail", "fail")
    assert result["verdict"] == "pre-existing"
    journal = Path(run["run_dir"], "journal.jsonl").read_text()
    assert journal.count('"start"') == 1 and '"source": "base"' in journal


@pytest.mark.parametrize("kind", ["vng", "snapshot"])
def test_every_evil_costs_one_test(harness: Harness, nasty: Path, kind: str) -> None:
    code, run = harness("run", "--suite", "nasty", "--guest", kind, env=environment(nasty))
    assert run["guest"] == kind
    found = {r["test"].partition("/")[2]: (r["outcome"], r["detail"]) for r in run["results"]}
    assert code == 1
    for number in range(1, 7):
        assert found[f"good-{number}.sh"] == ("pass", "")
    assert found["child.sh"] == ("pass", "")
    assert found["flood"] == ("pass", "")
    assert found["exit-255.sh"] == ("fail", "exit status 255")
    assert found["hang.sh"][0] == "timeout"
    assert found["wedge.sh"][0] == "timeout"
    assert found["wedge.sh"][1].startswith("the guest stopped answering: ")
    assert found["kill-agent.sh"] == ("error", "the agent in the guest died")
    assert found["reboot-now"] == ("crash", "the guest restarted without a word")
    assert found["forge"] == ("fail", "exit status 1 after KTAP without a failure")
    assert found["panic.sh"][0] == "crash"
    assert "sysrq triggered crash" in found["panic.sh"][1]
    again = {r["test"]: len(r["retried"]) for r in run["results"] if r["retried"]}
    assert again == {"nasty/kill-agent.sh": 2}, "what the host is to blame for is tried again"
    flood = next(r for r in run["results"] if r["test"] == "nasty/flood")
    log = Path(run["run_dir"]) / f"boots/{flood['boot']:03}/console.log"
    assert log.read_bytes().count(b"flood ") == 4000


def events_of(parent: Path) -> list[dict[str, Any]]:
    """The journal of the one run directory below `parent`, as far as it is written."""
    text = "".join(file.read_text() for file in parent.glob("*/journal.jsonl"))
    return [json.loads(line) for line in text.splitlines()]


def test_a_killed_harness_leaves_results_and_nothing_running(tmp_path: Path, nasty: Path) -> None:
    command = argv("run", "--suite", "nasty", "--output", str(tmp_path))
    globs = ["--test", "good-1.sh", "--test", "hang.sh"]
    with subprocess.Popen([*command, *globs], env=environment(nasty)) as popen:
        deadline = time.monotonic() + 120
        while not any(e["event"] == "start" and "hang" in e["test"] for e in events_of(tmp_path)):
            assert time.monotonic() < deadline and popen.poll() is None
            time.sleep(0.05)
        run_dir = next(tmp_path.iterdir())
        assert processes_below(run_dir.name)  # QEMU: its -name is the run's
        popen.send_signal(signal.SIGKILL)
        popen.wait()
    deadline = time.monotonic() + GONE_S
    while (left := processes_below(run_dir.name)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left
    assert [e["outcome"] for e in events_of(tmp_path) if e["event"] == "result"] == ["pass"]


@pytest.mark.parametrize(("script", "status"), [("exit 42", 42), ("kill -9 $$", 137)])
def test_boot_passes_output_and_status_through(script: str, status: int) -> None:
    command = argv("boot", "--series", "aio-poll", "--", "sh", "-c", f"printf 'a\\0b'; {script}")
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=300, check=False)
    assert (done.stdout, done.returncode) == (b"a\0b", status)


def test_a_command_below_tmp_has_its_place_its_time_and_its_environment(
    harness: Harness, nasty: Path, tmp_path: Path
) -> None:
    program = tmp_path / "repro"
    program.write_text("#!/bin/sh\ntouch beside && echo $SAID && sleep 60\n")
    program.chmod(0o755)
    command = ["--command", str(program), "--timeout", "8", "--env", "SAID=said so"]
    config = ["--kconfig", str(nasty / "guest-tests/nasty/config")]
    code, run = harness("run", *command, *config, env=environment(nasty))
    (result,) = run["results"]
    assert (code, result["outcome"], result["output"]) == (1, "timeout", "said so\n")
    assert 8 <= result["duration_s"] < 40
    assert not (tmp_path / "beside").exists()  # nor where we are


# A suite with its size on the disk: empty, as large as asked for, then not empty any more.
DISK = """#!/bin/sh
echo "$SCRATCH_DEV"
[ "$(blockdev --getsize64 "$SCRATCH_DEV")" = %d ] || exit 1
cmp -n 1048576 "$SCRATCH_DEV" /dev/zero || exit 1
yes | dd bs=65536 count=16 iflag=fullblock of="$SCRATCH_DEV"
"""


def test_a_suite_has_a_disk_of_its_own_at_each_boot(harness: Harness, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name, size, isolation in (("one", 8 << 20, "test"), ("two", 16 << 20, "run")):
        area = add_suite(root, name)
        (area / "Makefile").write_text("TEST_PROGS := a.sh b.sh\ninclude ../lib/lib.mk\n")
        (area / "settings").write_text(f"scratch={size >> 20}M\nisolation={isolation}\n")
        for program in (area / "a.sh", area / "b.sh"):
            program.write_text(DISK % size)
            program.chmod(0o755)
    code, run = harness("run", env=environment(root))
    found = {r["test"]: (r["outcome"], r["output"].split("\n")[0]) for r in run["results"]}
    assert code == 1
    assert found == {
        "one/a.sh": ("pass", "/dev/vda"),
        "one/b.sh": ("pass", "/dev/vda"),
        "two/a.sh": ("pass", "/dev/vdb"),
        "two/b.sh": ("fail", "/dev/vdb"),  # what the one before it wrote, as it asked for
    }


def test_two_runs_at_once_are_both_right(tmp_path: Path, nasty: Path) -> None:
    both = [
        subprocess.Popen(
            argv("run", "--suite", "nasty", "--test", glob, "--json", "--output", str(tmp_path)),
            env=environment(nasty),
            stdout=subprocess.PIPE,
        )
        for glob in ("good-*.sh", "exit-255.sh")
    ]
    documents = [json.loads(popen.communicate(timeout=300)[0]) for popen in both]
    assert [popen.returncode for popen in both] == [0, 1]
    assert [len(document["results"]) for document in documents] == [6, 1]
    assert documents[0]["run_dir"] != documents[1]["run_dir"]
