# SPDX-License-Identifier: GPL-2.0-only
"""Tests on the host, by a pytest of its own, whose guests are real."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import REPO, RUN_S, processes_below

Pytest = Callable[..., "tuple[int, str, Any]"]
JOURNALS = "runs/*/journal.jsonl"
PLANTED = REPO / "tests/data/planted/warning.patch"
CRASH = '["sh", "-c", "echo c > /proc/sysrq-trigger"]'
TEN_LINES = f"""\
def test_release(guest, kernel):
    done = guest.run(["uname", "-r"])
    assert done.status == 0
    assert done.output.decode().strip() == kernel.release
def test_fails(guest):
    assert guest.run(["cat", "/proc/nosuch"]).status == 0
def test_crashes(guest):
    guest.run({CRASH})
def test_goes_on(guest):
    assert guest.run(["cat", "/proc/uptime"], check=True).text.split()
"""


def command(file: Path, *words: str) -> list[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "harness.pytest_plugin", str(file)]
    return [*argv, "-p", "no:cacheprovider", *words]


def environment(tmp_path: Path) -> dict[str, str]:
    """The plugin is loaded by its name, whether or not it is installed as one."""
    return {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "HARNESS_OUTPUT": str(tmp_path / "runs"),
    }


@pytest.fixture
def hosted(tmp_path: Path) -> Pytest:
    """Run pytest on a file of that text; its status, what it said, and the run's document."""

    def run(text: str, *words: str) -> tuple[int, str, Any]:
        file = tmp_path / "test_host.py"
        file.write_text(text)
        argv = command(file, "--harness-series", "aio-poll", *words)
        done = subprocess.run(
            argv, env=environment(tmp_path), cwd=REPO, stdout=subprocess.PIPE, timeout=RUN_S
        )
        made = sorted((tmp_path / "runs").glob("*/run.json"))
        return done.returncode, done.stdout.decode(), json.loads(made[-1].read_text())

    return run


def outcomes(run: Any) -> list[tuple[str, str]]:
    return [(one["test"].partition("::")[2], one["outcome"]) for one in run["results"]]


def test_a_crash_costs_its_test_and_a_guest(hosted: Pytest) -> None:
    code, said, run = hosted(TEN_LINES)
    assert outcomes(run) == [
        ("test_release", "pass"),
        ("test_fails", "fail"),
        ("test_crashes", "crash"),
        ("test_goes_on", "pass"),
    ]
    assert (code, run["exit"], run["guest"]) == (1, 1, "vng")
    assert [one["boot"] for one in run["results"]] == [1, 1, 1, 2]
    head, _, splat = said.partition("- kernel splat -")
    assert "CrashError: panic: " in head and "lent.py" not in head
    assert splat.splitlines()[1].endswith("sysrq triggered crash")
    assert "sysrq_handle_crash+" in splat
    assert said.count("- guest console -") == 2
    assert f"boot 1: {run['run_dir']}/boots/001/console.log" in said
    assert "2 failed, 2 passed" in said


def test_a_warning_fails_its_test_and_says_whose_line_it_is(hosted: Pytest) -> None:
    text = (
        'AREA = "/run/harness/tests/aio-poll"\n'
        "def test_warns(guest):\n"
        '    assert guest.run([f"{AREA}/resfd"], cwd=AREA).status == 0\n'
        "def test_is_quiet(guest):\n"
        '    guest.run([f"{AREA}/cancel"], cwd=AREA, check=True)\n'
    )
    stack = f"aio-poll,{PLANTED}"
    code, said, run = hosted(text, "--harness-series", stack, "--harness-suite", "aio-poll")
    assert code == 1
    assert outcomes(run) == [("test_warns", "fail"), ("test_is_quiet", "pass")]
    (splat,) = run["results"][0]["splats"]
    assert (splat["kind"], splat["function"]) == ("warning", "io_submit_one")
    assert re.search(r"io_submit_one\S*\+0x\w+ +fs/aio.c:2140  <- \S*-aio-warn-of-requests", said)
    assert [one["boot"] for one in run["results"]] == [1, 1], "the guest lives on"


def test_each_test_has_a_restored_guest_of_its_own(hosted: Pytest) -> None:
    text = (
        "import pytest\n"
        '@pytest.mark.parametrize("n", range(3))\n'
        "def test_is_alone(guest, n):\n"
        '    assert guest.run(["mkdir", "/root/here"]).status == 0\n'
        "def test_crashes_as_expected(guest):\n"
        f'    assert guest.run({CRASH}, expect_splat=["sysrq triggered crash"]).loss\n'
        '    assert guest.run(["test", "-e", "/root/here"]).status == 1\n'
        '    assert b"root:" in guest.read_file("/etc/passwd")\n'
    )
    code, said, run = hosted(text, "--harness-guest", "snapshot")
    assert code == 0, said
    assert (run["guest"], len(run["results"])) == ("snapshot", 4)
    assert len({one["boot"] for one in run["results"]}) == 4


def test_a_series_that_does_not_apply(hosted: Pytest, tmp_path: Path) -> None:
    bad = tmp_path / "bad.patch"
    bad.write_text(PLANTED.read_text().replace("req = aio_get_req(ctx);", "req = another(ctx);"))
    text = "def test_1(guest): pass\ndef test_2(kernel): pass\n"
    code, said, run = hosted(text, "--harness-series", f"aio-poll,{bad}")
    assert (code, run["exit"]) == (1, 10)
    assert "2 errors" in said and said.count("eventfd.patch does not apply to 6.12") >= 2
    assert "Traceback" not in said


def test_an_interruption_leaves_no_qemu(tmp_path: Path) -> None:
    file = tmp_path / "test_host.py"
    file.write_text('def test_1(guest):\n    guest.run(["sleep", "300"], timeout_s=300)\n')
    # A shell starts what it puts into the background with this signal ignored.
    argv = ["env", "--default-signal=INT", *command(file, "--harness-series", "aio-poll")]
    with subprocess.Popen(argv, env=environment(tmp_path), stdout=subprocess.PIPE) as running:
        try:
            deadline = time.monotonic() + RUN_S
            while not any('"start"' in one.read_text() for one in tmp_path.glob(JOURNALS)):
                assert time.monotonic() < deadline and running.poll() is None
                time.sleep(0.1)  # poll: until the test begins
            (journal,) = tmp_path.glob(JOURNALS)
            assert processes_below(journal.parent.name)  # QEMU: its -name is the run's
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == pytest.ExitCode.INTERRUPTED
        finally:
            running.kill()
    assert not processes_below(journal.parent.name)
    assert json.loads((journal.parent / "run.json").read_text())["exit"] == 130
