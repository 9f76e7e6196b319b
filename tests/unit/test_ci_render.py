# SPDX-License-Identifier: GPL-2.0-only
"""`harness ci render`: what is rendered is what the services take, and runs the cells."""

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import render
from harness.cli import ci, main
from harness.errors import ExitCode, UsageError
from harness.matrix import file as matrixfile
from harness.model import MatrixCell, Shape
from harness.render import words
from tests import workflow

REPO = Path(__file__).parents[2]
SHIPPED = matrixfile.load(REPO / "ci/matrix.yaml", REPO).cells
ODD = (
    "a b",
    "it's",
    'say "x"',
    "${{ secrets.X }}",
    "$HOME `id` $(id)",
    "#: &*!|>",
    "\\ %Y ;",
    "é中",
)
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}

# Says what it was asked to do, a line of JSON each, and fails as --set EXIT=N wants it to.
BOOTSTRAP = """#!/usr/bin/env python3
import json, pathlib, sys
with open("asked", "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
if "report" in sys.argv:
    print("a report")
    sys.exit(0 if pathlib.Path(sys.argv[-1]).is_dir() else 2)
pathlib.Path("build/state/harness/runs/one").mkdir(parents=True, exist_ok=True)
sys.exit(sum(int(word[5:]) for word in sys.argv if word.startswith("EXIT=")))
"""


def cell(tree: str = "6.12", kconfig: str = "base", **more: Any) -> MatrixCell:
    return MatrixCell(**{"series": "base", "guest": "one", **more}, tree=tree, kconfig=kconfig)


def failing(status: int, **more: Any) -> MatrixCell:
    return cell(settings=(f"EXIT={status}",), **more)


ODD_CELLS = tuple(
    cell(
        f"/t/{one}",
        one,
        guest=one,
        fragments=(f"./{one}",),
        settings=(f'X="{one}"',),
        shape=Shape(cmdline=(one,)),
    )
    for one in ODD
)


def wish(target: str, root: Path = REPO, **more: Path) -> render.Wish:
    places = {"matrix": root / "ci/matrix.yaml", "output": root / render.TARGETS[target]}
    return render.Wish(target=target, root=root, **{**places, **more})


def text_of(target: str, cells: tuple[MatrixCell, ...]) -> str:
    (made,) = render.files(wish(target), cells)
    return made.text


def scripts(target: str, text: str) -> list[str]:
    """Every piece of shell in it."""
    document = yaml.safe_load(text)
    if target == "gitlab":
        found = document["cells"]
        return [*found["script"], *found["after_script"]]
    return [step["run"] for step in document["jobs"]["cells"]["steps"] if "run" in step]


def asked(directory: Path) -> Iterator[list[str]]:
    for line in (directory / "asked").read_text().splitlines():
        yield json.loads(line)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of which the rendered files only see ci/bootstrap."""
    for name in ("ci", "kconfigs"):
        (tmp_path / name).mkdir()
    (tmp_path / "kconfigs/base.config").touch()
    (tmp_path / "ci/bootstrap").write_text(BOOTSTRAP)
    (tmp_path / "ci/bootstrap").chmod(0o755)
    return tmp_path


@pytest.fixture
def project(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_PROJECT", str(checkout))
    (checkout / "ci/matrix.yaml").write_text(
        'trees: ["6.12", "/t/${{ x }} y"]\nseries: [base]\nkconfigs: {base: }\nguests: {one: }\n'
    )
    return checkout


@pytest.mark.parametrize("target", SCHEMAS)
@pytest.mark.parametrize("cells", [SHIPPED, ODD_CELLS, SHIPPED[:1]], ids=["ours", "odd", "one"])
def test_the_public_schema_takes_it(
    target: str, cells: tuple[MatrixCell, ...], tmp_path: Path
) -> None:
    path = tmp_path / "rendered.yml"
    path.write_text(text_of(target, cells))
    tool = Path(sys.executable).with_name("check-jsonschema")
    argv: list[str | Path] = [tool, "--builtin-schema", SCHEMAS[target], path]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # And the tool would say if it did not.
    path.write_text(path.read_text().replace("timeout", "timeuot"))
    assert subprocess.run(argv, capture_output=True).returncode == 1


@pytest.mark.parametrize("target", SCHEMAS)
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_its_scripts_are_shell(target: str, shell: str) -> None:
    found = scripts(target, text_of(target, SHIPPED + ODD_CELLS))
    assert len(found) >= 3
    for script in found:
        done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", SCHEMAS)
def test_each_cell_is_run_once_with_its_own_words(target: str, checkout: Path) -> None:
    cells = SHIPPED + ODD_CELLS
    (script, *_) = (one for one in scripts(target, text_of(target, cells)) if "case $PART" in one)
    for part in render.parts(cells):
        argv = ["bash" if target == "github" else "sh", "-ec", script]
        done = subprocess.run(
            argv, cwd=checkout, env={**os.environ, "PART": part.name}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert all(one.name in done.stdout for one in part.cells)
    wanted = [["harness", *one.argv] for part in render.parts(cells) for one in part.cells]
    assert list(asked(checkout)) == wanted
    assert sorted(map(tuple, wanted)) == sorted(("harness", *one.argv) for one in cells)


@pytest.mark.parametrize("target", SCHEMAS)
def test_services_read_nothing_that_somebody_named(target: str) -> None:
    """GitHub evaluates ${{ wherever it stands; GitLab has $NAME in all but scripts."""
    text = text_of(target, ODD_CELLS)
    assert "secrets.X" in text and "${{ secrets" not in text
    document = yaml.safe_load(text)
    if target == "gitlab":
        names = document["cells"]["parallel"]["matrix"][0]["PART"]
    else:
        names = document["jobs"]["cells"]["strategy"]["matrix"]["part"]
    assert len(set(names)) == len(ODD)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_a_failing_cell_stops_neither_the_others_nor_the_reports(checkout: Path) -> None:
    path = checkout / "harness.yml"
    cells = (failing(11, kconfig="a"), failing(12, kconfig="b"), failing(0, kconfig="b", guest="2"))
    path.write_text(text_of("github", cells))
    for part, status in zip(render.parts(cells), (11, 12), strict=True):
        ran = workflow.run(without_kvm(path), part.name, checkout)
        assert ran.failed and ran.statuses.pop("Run the cells") == status
        assert set(ran.statuses.values()) == {0} and len(ran.statuses) == 3
        assert ran.summary == "a report\n"
        assert f"::error::{part.cells[0].name} ended with status {status}" in ran.output
    lines = [" ".join(one) for one in asked(checkout)]
    assert sum(" run " in one for one in lines) == 3
    for name in ("junit -o build/junit.xml", "html -o build/report.html", "markdown"):
        assert sum(f"report --format {name} build/state/" in one for one in lines) == 2


def test_the_worst_status_is_that_of_the_job(checkout: Path) -> None:
    path = checkout / "harness.yml"
    cells = tuple(failing(status, guest=str(status)) for status in (1, 13, 0, 2))
    path.write_text(text_of("github", cells))
    ran = workflow.run(without_kvm(path), "6.12-base", checkout)
    assert ran.statuses["Run the cells"] == 13
    assert ran.output.count("::group::") == 4 and ran.output.count("::error::") == 3


def without_kvm(path: Path) -> Path:
    """A workflow that does not change the udev rules of this machine."""
    made = path.with_name("without-kvm.yml")
    text = path.read_text()
    assert "[ -e /dev/kvm ]" in text
    made.write_text(text.replace("[ -e /dev/kvm ]", "[ -e /dev/kvm/none ]"))
    return made


PRINTABLE = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=20)


@settings(derandomize=True, deadline=None)
@given(st.lists(PRINTABLE | st.sampled_from(ODD), min_size=1, max_size=4))
def test_any_words_come_back_from_the_file(names: list[str]) -> None:
    made = cell("/" + names[0], names[-1], shape=Shape(cmdline=tuple(names)), settings=(names[0],))
    for target in SCHEMAS:
        text = text_of(target, (made,))
        assert "${{" not in words.command(made.argv)
        script = "\n".join(scripts(target, text))
        lines = [line for line in script.split("\n") if " run " in line]
        assert [shlex.split(line) for line in lines] == [
            ["ci/bootstrap", "harness", *made.argv, "||", "failed"]
        ]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(PRINTABLE | st.sampled_from(ODD), max_size=30))
def test_a_shell_reads_the_words_that_were_meant(names: list[str]) -> None:
    script = f"printf '%s\\0' {words.command(['', *names])}"
    said = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert said.split("\0")[:-1] == ["", *names]


@pytest.mark.parametrize("bad", ["a\nb", "a\x00", "\x85", "\u2028", "\u202e", "\ufeff", "\t"])
@pytest.mark.parametrize("target", SCHEMAS)
def test_what_cannot_be_printed_is_refused(bad: str, target: str) -> None:
    with pytest.raises(UsageError, match="cannot be printed"):
        text_of(target, (cell(shape=Shape(cmdline=(bad,))),))
    with pytest.raises(UsageError, match="cannot be printed"):
        text_of(target, (cell(guest=bad),))


def test_parts_are_named_apart() -> None:
    pairs = [("a-b", "c"), ("a", "b-c"), ("x y", "z"), ("x_y", "z"), ("x&y", "z"), ("/", "/")]
    made = render.parts([cell(*pair) for pair in pairs])
    assert len({part.name for part in made}) == len(pairs)
    assert made[3].name == "x_y-z"
    assert [len(part.cells) for part in render.parts(SHIPPED)] == [8, 8, 3, 3, 3]
    assert len(words.slug("x" * 500)) <= 60
    assert words.slug("x" * 500) != words.slug("x" * 501)


@pytest.mark.parametrize(("target", "most"), [("github", 256), ("gitlab", 200)])
def test_more_jobs_than_a_service_takes_are_refused(target: str, most: int) -> None:
    cells = tuple(cell(f"/t/{number}") for number in range(most + 1))
    assert text_of(target, cells[:most]).count('- "t-') == most
    with pytest.raises(UsageError, match=f"has {most + 1} pairs .* takes {most} jobs") as error:
        text_of(target, cells)
    assert "--file" in error.value.hint
    with pytest.raises(UsageError, match="no cell"):
        text_of(target, ())


@pytest.mark.parametrize("target", render.TARGETS)
def test_it_is_written_checked_and_found_out_of_date(
    target: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["ci", "render", target]
    name = render.TARGETS[target]
    assert main([*argv, "--check"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert f"{name} is missing" in said and f"harness ci render {target}\n" in said
    assert main(argv) == main([*argv, "--check"]) == ExitCode.OK
    assert f"{name}: is up to date" in capsys.readouterr().out
    first = (project / name).read_text()
    stamp = (project / name).stat().st_mtime_ns
    assert main(argv) == ExitCode.OK
    assert (project / name).stat().st_mtime_ns == stamp
    for text, where in ((first.replace("\n", "\nx", 1), "in line 2"), (first + "\n", "at its end")):
        (project / name).write_text(text)
        assert main([*argv, "--check"]) == ExitCode.FAILED
        assert f"{name} is out of date {where}" in capsys.readouterr().err
    assert main(argv) == ExitCode.OK
    assert (project / name).read_text() == first


def test_a_changed_matrix_makes_the_file_stale(project: Path) -> None:
    assert main(["ci", "render", "github"]) == ExitCode.OK
    path = project / "ci/matrix.yaml"
    path.write_text(path.read_text().replace("one:", "two:"))
    assert main(["ci", "render", "github", "--check"]) == ExitCode.FAILED


@pytest.mark.parametrize("target", render.TARGETS)
def test_other_places_are_in_the_command_that_mends_it(
    target: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "ci/matrix.yaml").rename(project / "ci/some nights.yaml")
    output = project / "out/a b.service"
    argv = ["ci", "render", target, "--file", str(project / "ci/some nights.yaml")]
    assert main([*argv, "--output", str(output)]) == ExitCode.OK
    typed = f"harness ci render {target} --file 'ci/some nights.yaml' --output 'out/a b.service'"
    assert f"#     {typed}\n" in output.read_text()
    output.unlink()
    assert main([*argv, "--output", str(output), "--check"]) == ExitCode.FAILED
    assert typed in capsys.readouterr().err


def test_mistakes_are_usage_errors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "file").touch()
    for more, said in (
        (["github", "--file", "/none.yaml"], "/none.yaml: No such file"),
        (["github", "--output", str(project / "file/x.yml")], "file/x.yml: Not a directory"),
        (["gitlab", "--output", str(project)], f"{project}: Is a directory"),
        (["systemd", "--output", "x.unit"], "expected NAME.service"),
    ):
        assert main(["ci", "render", *more]) == ExitCode.USAGE
        assert said in capsys.readouterr().err
    (project / "ci/bootstrap").unlink()
    assert main(["ci", "render", "github"]) == ExitCode.USAGE
    assert "no ci/bootstrap" in capsys.readouterr().err


def test_the_command_line_knows_all_targets() -> None:
    """It has a list of its own, as --help imports nothing from below."""
    assert tuple(render.TARGETS) == ci.TARGETS


def test_the_units_of_the_project_are_up_to_date() -> None:
    made = render.files(wish("systemd"), SHIPPED)
    assert [one.path.name for one in made] == ["harness-nightly.service", "harness-nightly.timer"]
    render.check(wish("systemd"), made)


DIRECTIVES = {
    "Unit": {"Description"},
    "Service": {"Type", "ExecStart", "TimeoutStartSec", "KillMode", "TimeoutStopSec", "OOMPolicy"}
    | {"Nice", "NoNewPrivileges", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"}
    | {"RestrictAddressFamilies", "SystemCallArchitectures", "LimitCORE"},
    "Timer": {"OnCalendar", "Persistent"},
    "Install": {"WantedBy"},
}
"""Those of systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.timer(5) that are used."""


@pytest.mark.parametrize("suffix", [".service", ".timer"])
def test_a_unit_has_only_what_systemd_knows(suffix: str) -> None:
    """For machines without systemd-analyze; where it is, the next test asks it."""
    text = (REPO / "ci/harness-nightly").with_suffix(suffix).read_text()
    parsed = configparser.RawConfigParser(delimiters=["="], comment_prefixes=["#"], strict=True)
    vars(parsed)["optionxform"] = str
    parsed.read_string(text)
    assert parsed.sections()[0] == "Unit"
    for section in parsed.sections():
        assert set(parsed[section]) <= DIRECTIVES[section]
        assert all(value and value == value.strip() for value in parsed[section].values())
    if suffix == ".timer":
        assert parsed["Install"]["WantedBy"] == "timers.target"
        return
    service = parsed["Service"]
    assert service["ExecStart"].startswith("%Y/bootstrap --no-install harness nightly ")
    # Without KVM QEMU writes code and runs it; with it, it needs the device and its group.
    assert not {"MemoryDenyWriteExecute", "PrivateDevices", "DevicePolicy", "PrivateUsers"} & set(
        service
    )


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("manager", ["--system", "--user"])
@pytest.mark.parametrize("output", ["ci/harness-nightly.service", "elsewhere/n.service"])
def test_systemd_takes_the_units(manager: str, output: str, checkout: Path, tmp_path: Path) -> None:
    root = tmp_path / "a $b %h"
    shutil.copytree(checkout / "ci", root / "ci")
    path = root / output
    made = render.files(wish("systemd", root, output=path, matrix=root / "ci/x y.yaml"), SHIPPED)
    render.write(made)
    argv = ["systemd-analyze", "verify", manager, "--man=no", *(str(one.path) for one in made)]
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(argv, env=env, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    # And it looks: a program that is not there is an error.
    (root / "ci/bootstrap").unlink()
    done = subprocess.run(argv, env=env, text=True, capture_output=True)
    assert done.returncode == 1 and f"{root}/ci/bootstrap is not executable" in done.stderr
