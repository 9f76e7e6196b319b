# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the host's pytest, in a pytest of its own: options, reports, the record."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness import cache, hosted, recorded
from harness.errors import ApplyError, HarnessError
from harness.model import Cell
from harness.record import Record
from tests.unit.fakes import commit_kernel
from tests.unit.stories import RELEASE, Story

pytest_plugins = ["pytester"]
REPO = Path(__file__).parents[2]
RELEASE_TEST = """
    def test_release(guest, kernel):
        done = guest.run(["uname", "-r"])
        assert done.status == 0
        assert done.output.decode().strip() == kernel.release
"""


class Runs:
    """pytest runs with stories in place of cells: what these were, and whether guests are left."""

    def __init__(self, pytester: pytest.Pytester, tree: Path) -> None:
        self._pytester = pytester
        self.tree = tree
        self.fails: HarnessError | None = None
        self.stories: list[Story] = []

    def story(self, cell: Cell, root: Path, record: Record, watch: Any) -> Story:
        self.stories.append(Story(cell=cell, record=record, fails=self.fails))
        return self.stories[-1]

    def __call__(self, *words: str) -> pytest.RunResult:
        done = self._pytester.runpytest_inprocess("-p", "harness.pytest_plugin", *words)
        assert not any(story.up for story in self.stories)
        return done

    @property
    def cell(self) -> Cell:
        return self.stories[-1].cell

    @property
    def record(self) -> Any:
        (path,) = cache.runs().glob("*/run.json")
        return json.loads(path.read_text())


@pytest.fixture
def runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it may be installed as well
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    made = Runs(pytester, commit_kernel(tmp_path / "kernel"))
    monkeypatch.setattr(hosted, "Visit", made.story)
    return made


def test_the_entry_point_is_there() -> None:
    about = tomllib.loads((REPO / "pyproject.toml").read_text())
    name = about["project"]["entry-points"]["pytest11"]["harness"]
    assert importlib.import_module(name).pytest_addoption


def test_loading_the_plugin_imports_nothing_more() -> None:
    program = (
        "import sys, pytest, _pytest.config; before = set(sys.modules); "
        "import harness.pytest_plugin; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["harness", "harness.pytest_plugin"]


def test_a_run_without_the_fixtures_loads_no_more(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile("def test_a(): pass")
    runs("--harness-series", "nosuch").assert_outcomes(passed=1)
    assert not runs.stories and not list(cache.runs().iterdir())


def test_a_test_in_a_guest(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile(RELEASE_TEST)
    done = runs("--harness-tree", str(runs.tree))
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines([f"6.12: {RELEASE}, guests: vng, tcg", "record: *"])
    assert "warning" not in done.stdout.str()
    assert runs.record["exit"] == 0
    (result,) = runs.record["results"]
    assert result["test"].endswith("test_a_test_in_a_guest.py::test_release")


def test_a_crash_costs_its_test_and_says_why(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile(
        "def test_1(guest): guest.run(['crash'])\n"
        "def test_2(guest): guest.run(['true'])\n"
        "def test_3(guest): assert guest.run(['false']).status == 0"
    )
    done = runs("--harness-tree", str(runs.tree))
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(
        [
            "E * harness.errors.CrashError: panic: sysrq triggered crash, in `crash`",
            "*- guest output -*",
            "$ crash",
            "*- kernel splat -*",
            "panic: sysrq triggered crash",
            "  aio_poll+0x4  fs/aio.c:1702",
            "  Kernel panic",
            "*- guest console -*",
            "boot 1: *boots/001/console.log",
        ]
    )
    assert "lent.py" not in done.stdout.str(), "the traceback ends at the test"
    outcomes = [one["outcome"] for one in runs.record["results"]]
    assert outcomes == ["crash", "pass", "fail"]
    assert runs.record["results"][0]["splats"][0]["frames"][0]["line"] == 1702


def test_a_splat_fails_a_test_that_does_not_expect_it(
    pytester: pytest.Pytester, runs: Runs
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_1(guest):
            guest.run(["warn"])

        @pytest.mark.expect_splat("warning: ")
        def test_2(guest):
            guest.run(["warn"])

        def test_3(guest):
            guest.run(["warn"], expect_splat=("/aio_poll$/",))

        @pytest.mark.expect_splat("warning: ", "oops")
        def test_4(guest):
            guest.run(["warn"])

        def test_5(guest):
            guest.run(["warn"])
            pytest.skip("a reason")

        @pytest.mark.xfail(reason="known")
        def test_6(guest):
            guest.run(["warn"])

        @pytest.fixture
        def around(guest):
            yield
            guest.run(["warn"])

        def test_7(around):
            pass
        """
    )
    done = runs("--harness-tree", str(runs.tree), "--strict-markers", "-rA")
    done.assert_outcomes(passed=3, failed=3, xfailed=1, errors=1)
    done.stdout.fnmatch_lines(["the kernel did not report oops"])
    done.stdout.no_fnmatch_line("*Traceback*")
    outcomes = [one["outcome"] for one in runs.record["results"]]
    assert outcomes == ["fail", "pass", "pass", "fail", "fail", "xfail", "fail"]


def test_skips_and_errors_are_recorded(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken(guest):
            raise ValueError("of the test's own")

        def test_1(guest): pytest.skip("a reason")
        def test_2(broken): pass
        """
    )
    runs("--harness-tree", str(runs.tree)).assert_outcomes(skipped=1, errors=1)
    told = [(one["outcome"], one["detail"]) for one in runs.record["results"]]
    assert told == [("skip", "a reason"), ("error", "ValueError: of the test's own")]


def test_what_no_test_did_fails_the_run(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile("def test_1(guest): guest.run(['late'])")
    done = runs("--harness-tree", str(runs.tree))
    done.assert_outcomes(passed=1)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["outside of the tests, boot 1: hung-task: task cat blocked"])


def test_a_stage_that_fails_is_said_without_a_traceback(
    pytester: pytest.Pytester, runs: Runs, tmp_path: Path
) -> None:
    log = tmp_path / "build.log"
    runs.fails = ApplyError("0001-x.patch does not apply", hint="rebase it", log=log)
    pytester.makepyfile("def test_1(kernel): pass\ndef test_2(guest): pass")
    done = runs("--harness-tree", str(runs.tree))
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(
        ["harness: 0001-x.patch does not apply", "hint: rebase it", f"log: {log}"]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*During handling*")
    assert len(runs.stories) == 1, "it is tried once"
    assert runs.record["exit"] == 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--harness-series=nosuch",), "harness: no series named nosuch in *"),
        (("--harness-guest=big",), "harness: --harness-guest: invalid choice: 'big'*"),
        (("--harness-cpus=some",), "harness: --harness-cpus: invalid int value: 'some'"),
    ],
)
def test_an_option_that_is_wrong(
    pytester: pytest.Pytester, runs: Runs, words: tuple[str, ...], said: str
) -> None:
    pytester.makepyfile("def test_1(guest): pass")
    done = runs("--harness-tree", str(runs.tree), *words)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([said])


def test_options_come_before_the_ini_file_before_the_environment(
    pytester: pytest.Pytester, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_ACCEL", "kvm")
    monkeypatch.setenv("HARNESS_CPUS", "3")
    monkeypatch.setenv("HARNESS_MEMORY", "300")
    tree = runs.tree.rename(pytester.path / "linux")
    (pytester.path / "my.config").write_text("# Help: mine\nCONFIG_AIO=y\n")
    pytester.makeini(
        "[pytest]\nharness_accel = tcg\nharness_cpus = 2\nharness_tree = ./linux\n"
        "harness_kconfig = debuginfo,./my.config\nharness_guest = snapshot\n"
    )
    pytester.makepyfile("def test_1(kernel): pass")
    runs("--harness-accel", "kvm", "--harness-guest", "vng").assert_outcomes(passed=1)
    cell = runs.cell
    assert (cell.accel, cell.guest_kind, cell.tree) == ("kvm", "vng", str(tree))
    assert (cell.guest.cpus, cell.guest.memory_mib) == (2, 300)
    assert cell.kconfigs == ("debuginfo", str(pytester.path / "my.config"))


def test_a_fixture_of_the_same_name_is_its_owner_s(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.fixture\ndef guest(): return 1\n"
        "def test_1(guest): assert guest == 1"
    )
    runs().assert_outcomes(passed=1)
    assert not runs.stories


def test_a_kernel_of_the_tests_own_leaves_guests_alone(
    pytester: pytest.Pytester, runs: Runs
) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.fixture\ndef kernel(): raise ValueError\n"
        "def test_1(guest): guest.run(['true'], check=True)"
    )
    runs("--harness-tree", str(runs.tree)).assert_outcomes(passed=1)


def test_an_interruption_leaves_no_guest(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile(
        "def test_1(guest):\n guest.run(['true'])\n raise KeyboardInterrupt\n"
        "def test_2(guest): pass"
    )
    done = pytester.runpytest_inprocess(
        "-p", "harness.pytest_plugin", "--harness-tree", str(runs.tree), no_reraise_ctrlc=True
    )
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert not runs.stories[0].up
    assert runs.record["exit"] == 130
    assert len(runs.record["unfinished"]) == 2


def test_harness_shows_the_run_with_its_command_line(pytester: pytest.Pytester, runs: Runs) -> None:
    pytester.makepyfile("def test_1(guest): guest.run(['crash'])")
    runs("--harness-tree", str(runs.tree))
    one = recorded.load(recorded.find())
    assert one.command.startswith("pytest -p harness.pytest_plugin ")
    assert [row.result.outcome for row in one.run.rows] == ["crash"]
