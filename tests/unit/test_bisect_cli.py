# SPDX-License-Identifier: GPL-2.0-only
"""The command line of `harness bisect`: what it asks, and what it refuses."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import cli
from harness.bisect import commits
from harness.cli import bisect as command
from harness.cli import parser
from harness.errors import ExitCode, UsageError
from harness.lineage import Span
from harness.model import Question
from harness.tree import resolve
from tests.unit import fakes
from tests.unit.bisections import Kernels, World, begin, go_on, linear

HOW = ("--command", "true")


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    """A checkout with a file that a series changes."""
    return fakes.commit_kernel(tmp_path / "linux")


def asked(*words: str) -> Question:
    """What a command line searches."""
    made = cli.build()
    arguments = made.parse_args(["bisect", *words])
    arguments.argv, arguments.parser = ["bisect", *words], made
    parser.settle(arguments)
    return command._question(arguments)[0]


def series(place: Path, versions: Sequence[int]) -> Path:
    """A quilt directory with so many patches."""
    place.mkdir()
    names = [f"{number}.patch" for number in range(1, versions[-1] + 1)]
    for number, name in enumerate(names, 1):
        data = fakes.patch(f"line {number * 10}", f"LINE {number * 10}", at=number * 10)
        (place / name).write_bytes(data)
    (place / "series").write_text("".join(f"{name}\n" for name in names))
    return place


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "what is searched?"),
        (("--good", "a", "--patches"), "--good and --patches: one of them"),
        (("--patches", "--series", "s", "--bad", "HEAD"), "--bad wants --good"),
        (("--bad", "HEAD"), "--bad wants --good"),
        (("--good", "a"), "--good wants --tree"),
        (("--patches",), "whose patches? --series S"),
        (("--patches", "--series", "-"), "--series - is read once"),
        (
            ("--patches", "--series", "s", "--pick", "1"),
            "--pick is what a bisection with --patches",
        ),
        (("--good", "a", "--commit", "b"), "--commit is what a bisection with --good"),
        (("--good", "a", "--range", "a..b"), "--range is what a bisection with --good"),
        (("--good", "a", "--confidence", "1"), "--confidence is a probability"),
        (("--good", "a", "--jobs", "0"), "want a number above 0"),
        (("--resume", "--confidence", "0.9"), "no bisection"),
    ],
)
def test_what_cannot_be_meant_is_told(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bisect", *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_bisection_goes_on_as_it_began(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begin(linear(8))
    monkeypatch.chdir("/")
    with pytest.raises(KeyboardInterrupt):
        go_on(path, Kernels(World(culprit=5), lives=1))
    assert cli.main(["bisect", "--resume", "--confidence", "0.9"]) == ExitCode.USAGE
    assert "--confidence 0.9: a bisection goes on as it began" in capsys.readouterr().err


def test_the_tree_of_patches_is_pinned(linux: Path, tmp_path: Path) -> None:
    head = fakes.quick_git(linux, "rev-parse", "HEAD")
    stack = str(series(tmp_path / "s", [2]))
    words = ("--patches", "--series", stack, "--tree", str(linux), *HOW)
    question = asked(*words)
    assert question.argv[-4:] == ("--tree", str(linux), "--commit", head)
    assert len(question.candidates) == 2
    fakes.quick_git(linux, "commit", "-q", "--allow-empty", "-m", "later")
    again = asked(*words, "--commit", "HEAD~1")
    assert again.argv.count("--commit") == 1
    assert again.argv[-1] == head


def test_options_want_a_tree_without_changes(linux: Path, tmp_path: Path) -> None:
    for name, text in (("good", "CONFIG_A=y\n"), ("bad", "CONFIG_A=y\nCONFIG_B=y\n")):
        (tmp_path / name).write_text(text)
    ends = (str(tmp_path / "good"), str(tmp_path / "bad"))
    words = ("--kconfig-bisect", *ends, "--tree", str(linux), *HOW)
    assert [one.name for one in asked(*words).candidates] == ["CONFIG_B"]
    (linux / "Makefile").write_text(f"{fakes.MAKEFILE}\n# changed\n")
    with pytest.raises(UsageError, match="has uncommitted changes"):
        asked(*words)
    assert asked(*words, "--commit", "HEAD").candidates


def test_a_subject_may_have_any_character(linux: Path) -> None:
    good = fakes.quick_git(linux, "rev-parse", "HEAD")
    for subject in ("a\x0cb", "c\N{LINE SEPARATOR}d", "e\x85f"):
        fakes.quick_git(linux, "commit", "-q", "--allow-empty", "-m", subject)
    base = resolve(str(linux))
    _, found = commits.between(Span(base=base, good=good, bad=base.commit))
    assert [one.title for one in found] == ["a\x0cb", "c\N{LINE SEPARATOR}d", "e\x85f"]
