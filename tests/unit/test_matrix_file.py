# SPDX-License-Identifier: GPL-2.0-only
import json
import textwrap
from pathlib import Path

import pytest

from harness.cli import build, main
from harness.errors import ExitCode, UsageError
from harness.matrix import file as matrixfile
from harness.model import MatrixCell

REPO = Path(__file__).parents[2]
GOOD = """\
trees: ["6.12", "6.1"]
series: [base, aio-poll]
kconfigs:
  base:
  debug:
    fragments: [debug]
    set: [HZ=1000]
    priority: -1
guests:
  one:
  two: {cpus: 2, memory: 1024, append: [threadirqs]}
"""


def load(tmp_path: Path, text: str) -> matrixfile.Matrix:
    path = tmp_path / "matrix.yaml"
    path.write_text(textwrap.dedent(text))
    return matrixfile.load(path, REPO)


def test_the_cells_are_the_product(tmp_path: Path) -> None:
    matrix = load(tmp_path, GOOD)
    assert len(matrix.cells) == 16 and not matrix.left_out
    assert len({cell.name for cell in matrix.cells}) == 16
    debug = next(cell for cell in matrix.cells if cell.name == "6.1/aio-poll/debug/two")
    assert debug.command == (
        "harness run --tree 6.1 --series aio-poll --base --new-only --kconfig debug"
        " --set HZ=1000 --cpus 2 --memory 1024 --jobs 1 --append threadirqs"
    )
    base = next(cell for cell in matrix.cells if cell.name == "6.12/base/base/one")
    assert base.argv == ("run", "--tree", "6.12", "--cpus", "1", "--memory", "512", "--jobs", "1")


def test_priorities_come_first_and_order_stays(tmp_path: Path) -> None:
    names = [cell.name for cell in load(tmp_path, GOOD).cells]
    assert names[0] == "6.12/base/base/one"
    assert all("/debug/" in name for name in names[8:])
    assert names[8] == "6.12/base/debug/one"


def test_rules_leave_out_and_add(tmp_path: Path) -> None:
    more = """\
suites: [aio-core]
exclude:
  - {tree: "6.1", kconfig: debug, reason: too slow}
  - {series: aio-poll, reason: later}
include:
  - {tree: "6.1", series: aio-poll, kconfig: debug, guest: two, suites: [fsx], priority: 9}
"""
    with pytest.raises(UsageError, match="6.1/aio-poll/debug/two is there already"):
        load(tmp_path, GOOD + more)
    more = more[: more.index("include")]
    matrix = load(tmp_path, GOOD + more)
    assert len(matrix.cells) == 6 and len(matrix.left_out) == 10
    assert {gone.reason for gone in matrix.left_out} == {"too slow", "later"}
    assert {cell.suites for cell in matrix.cells} == {("aio-core",)}


def test_a_series_may_have_suites_of_its_own(tmp_path: Path) -> None:
    mapped = "series:\n  base: {suites: [fsx], priority: 3}\n  aio-poll:\n"
    cells = load(tmp_path, GOOD.replace("series: [base, aio-poll]\n", mapped)).cells
    told = {cell.series: (cell.suites, cell.priority) for cell in cells if cell.kconfig == "base"}
    assert told == {"base": (("fsx",), 3), "aio-poll": ((), 0)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("[base, aio-poll]", "{base: , aio-pol: }"),
            r"yaml:2: series\.aio-pol: aio-pol is not known",
        ),
        (
            ("[base, aio-poll]", "{base: {suite: [fsx]}}"),
            r"yaml:2: unknown key series\.base\.suite",
        ),
        (("[base, aio-poll]", "{base: {suites: [fs]}}"), r"series\.base\.suites: no suite fs"),
        (("trees:", "treees:"), r"matrix\.yaml:1: unknown key treees"),
        (('"6.1"]', "6.1]"), r"yaml:1: trees\[1\]: 6.1 is read as a number"),
        (('"6.1"]', '"6.2"]'), r"yaml:1: trees\[1\]: 6.2 is not known"),
        (('"6.1"]', '"6.12"]'), r"yaml:1: trees: 6.12 is there twice"),
        (("[base, aio-poll]", "base"), r"yaml:2: series: expected a list"),
        (("[base, aio-poll]", "[base, aio-pol]"), r"yaml:2: series\[1\]: aio-pol is not known"),
        (("[base, aio-poll]", "[]"), r"series is missing or empty"),
        (
            ("kconfigs:\n", ""),
            r"yaml:3: not YAML",
        ),
        (
            ("fragments: [debug]", "fragments: [dbg]"),
            r"yaml:6: .*fragments: no fragment dbg",
        ),
        (
            ("fragments: [debug]", "fragment: [debug]"),
            r"yaml:6: unknown key kconfigs.debug.frag",
        ),
        (
            ("fragments: [debug]", "fragments: [./none.config]"),
            r"yaml:6: .*fragments: no fragment ./none.config",
        ),
        (("[HZ=1000]", "[HZ]"), r"yaml:7: kconfigs\.debug\.set: HZ is no SYMBOL=value"),
        (
            ("priority: -1", "priority: high"),
            r"yaml:8: .*debug\.priority: expected a number",
        ),
        (("  base:\n", "  base: yes\n"), r"yaml:4: kconfigs\.base: expected `key: value`"),
        (("cpus: 2", "cpus: 0"), r"yaml:11: guests\.two\.cpus: expected a number from 1"),
        (("cpus: 2", "cpus: two"), r"yaml:11: guests\.two\.cpus: expected a number"),
        (("memory: 1024", "memory: 1G"), r"yaml:11: guests\.two\.memory: expected a number"),
        (("[threadirqs]", "[1]"), r"guests\.two\.append\[0\]: 1 is read as a number"),
        (("  two:", "  one:"), r"yaml:11: guests\.one: stands there twice"),
        (("guests:", "guests: ["), r"yaml:\d+: not YAML"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = GOOD.replace(*change, 1)
    assert text != GOOD
    with pytest.raises(UsageError, match=said):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("exclude: [{tree: '6.1'}]", r"yaml:12: exclude\[0\]: reason is missing"),
        ("exclude: [{reason: why}]", r"exclude\[0\]: names nothing"),
        ("exclude: [{tree: '6.3', reason: why}]", r"exclude\[0\]\.tree: no tree 6\.3"),
        ("exclude: {tree: '6.1'}", r"yaml:12: exclude: expected a list of rules"),
        ("exclude: [{tre: '6.1', reason: why}]", r"yaml:12: unknown key exclude\[0\]\.tre"),
        (
            "exclude:\n  - {guest: two, reason: a}\n  - {guest: two, reason: b}",
            r"yaml:14: exclude\[1\]: excludes nothing",
        ),
        ("include: [{tree: '6.1'}]", r"include\[0\]: series, kconfig, guest is missing"),
        ("suites: [aio-nothing]", r"yaml:12: suites: no suite aio-nothing"),
    ],
)
def test_mistakes_in_rules_are_placed(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(tmp_path, f"{GOOD}{more}\n")


def test_no_file_and_an_empty_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.yaml: No such file"):
        matrixfile.load(tmp_path / "none.yaml", REPO)
    with pytest.raises(UsageError, match=r"yaml:1: the file: trees is missing"):
        load(tmp_path, "# nothing\n")


def test_a_part_is_selected(tmp_path: Path) -> None:
    cells = load(tmp_path, GOOD).cells

    def names(wish: str) -> list[str]:
        return [cell.name for cell in matrixfile.select(cells, wish)]

    assert len(names("")) == 16
    assert names("tree=6.1,series=aio-poll,kconfig=debug,guest=two") == ["6.1/aio-poll/debug/two"]
    for wish in ("serie=aio-poll", "series", "series=aio"):
        with pytest.raises(UsageError, match=f"--select {wish}"):
            names(wish)


def test_the_shipped_matrix_is_what_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--list", "--json", "--file", str(REPO / "ci/matrix.yaml")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["cells"]) == 25 and len(document["left_out"]) == 23
    parser = build()
    for one in document["cells"]:
        parser.parse_args(one["command"].split()[1:])


def test_a_selection_of_nothing_is_an_error() -> None:
    cells = matrixfile.load(REPO / "ci/matrix.yaml", REPO).cells
    with pytest.raises(UsageError, match="no cell is all of that"):
        matrixfile.select(cells, "tree=6.1,kconfig=preempt-rt")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slots", "0"), "--slots wants a number above 0"),
        (("--deadline", "soon"), "--deadline soon is no time"),
        (("--deadline", "0h"), "--deadline 0h is no time"),
        (("--estimate",), "--estimate goes with --list"),
        (("--resume", "--select", "tree=6.1"), "--file and --select are for a new matrix"),
        (("--select", "tree=5"), "no cell has tree=5"),
    ],
)
def test_wrong_options_begin_nothing(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["matrix", *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("harness/matrices/*"))


def test_the_list_says_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["matrix", "--list", "--file", str(REPO / "ci/matrix.yaml")]
    assert main([*argv, "--select", "kconfig=debug,guest=one"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[-1] == "6 cells of 25"
    assert main(argv) == ExitCode.OK
    assert "left out: PREEMPT_RT" in capsys.readouterr().out


def test_a_command_is_for_a_shell() -> None:
    cell = MatrixCell(
        tree="/a b", series="s", kconfig="k", guest="g", settings=('LOCALVERSION="-x y"',)
    )
    assert "'/a b'" in cell.command and """'LOCALVERSION="-x y"'""" in cell.command
