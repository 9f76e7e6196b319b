# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: the code of docs/design.md and one sentence that names the thing and the place."""

import errno
import importlib.util
import json
from pathlib import Path

import pytest

from harness import cli, crash, doctor
from harness.cli.run import for_git
from harness.errors import ExitCode
from tests.unit import fakes


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "kconfigs").mkdir(parents=True)
    (root / "kconfigs/base.config").write_text("# Help: base\nCONFIG_64BIT=y\n")
    area = root / "guest-tests/area"
    area.mkdir(parents=True)
    (area / "Makefile").write_text("all:\n\ttouch $(OUTPUT)/t\nprint-tests:\n\t@echo t\n")
    directory = root / "patches/s"
    directory.mkdir(parents=True)
    (directory / "series.yaml").write_text("title: x\nsuites: [area]\n")
    (directory / "series").write_text("one.patch\n")
    (directory / "one.patch").write_bytes(fakes.patch("line 10", "LINE 10", at=10))
    monkeypatch.setenv("HARNESS_PROJECT", str(root))
    return root


@pytest.fixture
def kernel(tmp_path: Path) -> str:
    return str(fakes.commit_kernel(tmp_path / "linux"))


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = cli.main(argv)
    return code, capsys.readouterr().err


def test_a_series_that_does_not_exist(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "run", "--series", "nope")
    assert code == ExitCode.USAGE
    assert "no series named nope" in said and "there are: s" in said


def test_a_tree_path_that_is_no_kernel(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "run", "--tree", str(tmp_path))
    assert code == ExitCode.USAGE
    assert f"{tmp_path} is no kernel tree" in said


def test_no_test_matched(project: Path, kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "run", "--series", "s", "--tree", kernel, "--test", "zzz*")
    assert code == ExitCode.NOTHING_RAN
    assert "no test matches zzz*" in said and "area/t" in said


def test_a_patch_that_does_not_apply(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = fakes.patch("line 10", "LINE 10", at=10).replace(b" line 9\n", b" line x\n")
    (project / "patches/s/one.patch").write_bytes(wrong)
    code, said = run(capsys, "run", "--series", "s", "--tree", kernel)
    assert code == ExitCode.APPLY
    assert "one.patch does not apply" in said and "fs/aio.c hunk 1" in said


def test_a_patch_that_is_already_applied(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = (project / "patches/s/one.patch").read_bytes()
    (project / "patches/s/again.patch").write_bytes(patch)
    (project / "patches/s/series").write_text("one.patch\nagain.patch\n")
    code, said = run(capsys, "run", "--series", "s", "--tree", kernel)
    assert code == ExitCode.APPLY
    assert "already applied" in said


def test_two_fragments_that_disagree(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "kconfigs/a.config").write_text("# Help: a\nCONFIG_AIO=y\n")
    (project / "kconfigs/b.config").write_text("# Help: b\n# CONFIG_AIO is not set\n")
    code, said = run(capsys, "run", "--tree", kernel, "--kconfig", "a", "--kconfig", "b")
    assert code == ExitCode.KCONFIG
    assert "CONFIG_AIO" in said and "a.config" in said and "b.config" in said


def test_a_fragment_that_does_not_exist(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "run", "--tree", kernel, "--kconfig", "nope")
    assert code == ExitCode.USAGE
    assert "no fragment named nope" in said


def test_a_guest_without_processors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "run", "--cpus", "0")[0] == ExitCode.USAGE


@pytest.mark.parametrize("option", ["--base", "--each-patch"])
def test_a_base_that_never_fails_would_run_for_ever(
    project: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    code, said = run(capsys, "run", "--series", "s", "--until-fail", option)
    assert code == ExitCode.USAGE and "bound it with --repeat" in said
    code, said = run(capsys, "run", "--series", "s", "--max-reruns", "-1", option)
    assert code == ExitCode.USAGE and "--max-reruns and --budget are 0 or more" in said


def test_a_default_tree_does_not_move_a_series_with_bases(
    project: Path, kernel: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_TREE", kernel)
    code, said = run(capsys, "run", "--series", "s", "--test", "zzz*")
    assert (code, "zzz*" in said) == (ExitCode.NOTHING_RAN, True)  # no bases: the default counts
    about = project / "patches/s/series.yaml"
    about.write_text(f"{about.read_text()}bases: [gone]\n")
    code, said = run(capsys, "run", "--series", "s", "--test", "zzz*")
    assert (code, "gone" in said) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(
    "argv",
    [
        ("run", "--tes", "x"),
        ("run", "--keep", "--json"),
        ("show", "--js"),
        ("run", "--timeout", "0"),
        ("run", "--timeout", "nan"),
        ("run", "--env", "A"),
        ("run", "--env", "A=\udcff"),
        ("run", "--fail-nth", "0"),
        ("run", "--fail-nth", "5-3"),
        ("run", "--fail-nth", "x"),
        ("run", "--fail-nth", "--base"),
        ("run", "--fail-nth", "--repeat", "2"),
    ],
)
def test_what_would_mean_something_else_is_refused(
    project: Path, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == ExitCode.USAGE
    assert capsys.readouterr().err


@pytest.mark.parametrize("asked", [(), ("debuginfo",), ("other", "debuginfo")])
def test_a_run_with_dumps_is_of_a_kernel_with_debug_information(
    project: Path,
    kernel: str,
    asked: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crash, "check", lambda: None)
    for name in ("debuginfo", "other"):
        (project / f"kconfigs/{name}.config").write_text("# Help: x\nCONFIG_PCI=y\n")
    named = [word for name in asked for word in ("--kconfig", name)]
    for more, dump in (((), False), (("--dump",), True)):
        cli.main(["run", "--tree", kernel, "--test", "zzz", "--json", *named, *more])
        document = json.loads(capsys.readouterr().out)
        journal = Path(document["run_dir"], "journal.jsonl").read_text()
        cell = json.loads(journal.splitlines()[0])["cell"]
        assert cell["guest"]["dump"] is dump
        wanted = asked if asked or not dump else ("debuginfo",)
        assert tuple(cell["kconfigs"]) == wanted


def test_a_run_with_dumps_ends_at_once_where_nothing_reads_them(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, said = run(capsys, "run", "--tree", kernel, "--dump", "--output", str(project / "runs"))
    assert code == ExitCode.HOST
    assert "--dump needs drgn" in said and "pip install drgn" in said
    assert not (project / "runs").exists()


def test_json_says_the_same_and_nothing_else(
    project: Path, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["run", "--tree", kernel, "--test", "zzz", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit"]) == (1, code)
    assert document["error"] == "no test matches zzz"
    assert json.loads((Path(document["run_dir"]) / "run.json").read_text()) == document
    events = (Path(document["run_dir"]) / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events][0] == "cell"


def test_a_full_disk_is_the_hosts_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr(doctor, "examine", full)
    code, said = run(capsys, "doctor")
    assert code == ExitCode.HOST
    assert "no space left" in said


def test_a_bug_of_ours_has_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "examine", broken)
    code, said = run(capsys, "doctor")
    assert code == ExitCode.BUG
    assert "bug in harness" in said and "ZeroDivisionError" in said


def test_doctor_names_what_is_missing_and_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "apt-get").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["doctor", "--json"]) == ExitCode.HOST
    document = json.loads(capsys.readouterr().out)
    flex = next(check for check in document["checks"] if check["name"] == "flex")
    assert flex["state"] == "missing"
    assert flex["mend"].endswith("apt-get install flex")


def test_the_series_of_the_project_are_listed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["series", "list"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("s ")


def test_git_bisect_run_gets_the_exit_statuses_that_it_knows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = {0: 0, 1: 1, 3: 125, 10: 125, 11: 125, 12: 125, 13: 125, 14: 125}
    assert {code: for_git(code) for code in known} == known
    assert {for_git(code) for code in (2, 20, 70, 130)} == {128}
    assert cli.main(["run", "--bisect-step", "--nonsense"]) == 128
    assert cli.main(["run", "--bisect-step", "--series", "there-is-none"]) == 128
    assert "no series named there-is-none" in capsys.readouterr().err
