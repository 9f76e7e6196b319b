# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

from harness import tree
from harness.blame import Blame, Edit, Marks, edits, function_at
from harness.model import Frame, Patch, Position, Series
from tests.unit import fakes

SOURCE = """static int one(int x)
{
	return x;
}

int
two(int x,
    int y)
{
	if (x) {
		y++;
	}
	return y;
}

int after;
"""
LINES = SOURCE.splitlines()


def test_edits_are_read_from_hunks_without_context() -> None:
    diff = "--- a/f\n+++ b/f\n@@ -3 +3,2 @@ int f(void)\n-a\n+b\n+c\n@@ -9,2 +9,0 @@\n-@@ x\n-y\n"
    assert edits(diff) == (
        Edit(old=3, removed=1, new=3, added=2),
        Edit(old=9, removed=2, new=9, added=0),
    )


def test_later_patches_move_marks_and_take_them_over() -> None:
    marks = Marks().after("one", edits("@@ -4,0 +5,3 @@"))
    assert marks.made == {5: "one", 6: "one", 7: "one"}
    marks = marks.after("two", edits("@@ -1,0 +2,2 @@\n@@ -6 +8,0 @@"))
    assert marks.made == {2: "two", 3: "two", 7: "one", 8: "one"}
    assert marks.cut == {9: "two"}
    assert marks.near(range(8, 10)) == ["one", "two"]


def test_a_function_is_found_by_its_braces() -> None:
    assert function_at(LINES, 3) == range(1, 5)
    assert function_at(LINES, 11) == range(6, 15)
    assert function_at(LINES, 4) == range(1, 5)
    assert not function_at(LINES, 16)
    assert not function_at(LINES, 99)


def at(line: int, **more: object) -> Frame:
    return Frame(function="f", offset=1, size=2, file="fs/aio.c", line=line, **more)  # type: ignore[arg-type]


def test_a_frame_gets_the_patch_of_its_line_though_the_patch_says_another(tmp_path: Path) -> None:
    linux = fakes.write_kernel(tmp_path / "linux")
    (linux / "fs/aio.c").write_text(SOURCE)
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "base"]):
        fakes.git(linux, *command)
    patches = []
    for name, old, new in (
        ("0001-y.patch", "\t\ty++;", "\t\ty += 2;\n\t\tx = y;"),
        ("0002-x.patch", "\treturn x;", "\tx++;\n\treturn x;"),
    ):
        count = new.count("\n") + 1
        body = f"-{old}\n" + "".join(f"+{line}\n" for line in new.split("\n"))
        at_line = LINES.index(old)
        # As off as a hunk may be: it names a line and applies at another.
        head = f"--- a/fs/aio.c\n+++ b/fs/aio.c\n@@ -5,3 +5,{count + 2} @@\n"
        text = f"{head} {LINES[at_line - 1]}\n{body} {LINES[at_line + 1]}\n"
        patches.append(Patch(name=name, data=text.encode()))
    blame = Blame(tree.resolve(str(linux)), Series(name="s", patches=tuple(patches)))
    # The second one moved the first one's lines from 11 and 12 on.
    assert [blame.mark(at(line)).patch for line in (3, 12, 13, 14)] == [
        "0002-x.patch",
        "0001-y.patch",
        "0001-y.patch",
        "",
    ]
    assert [blame.mark(at(line)).near for line in (12, 14, 15)] == ["", *["0001-y.patch"] * 2]
    inlined = Position(function="g", file="fs/aio.c", line=3)
    (marked,) = blame.mark(at(15, inlines=(inlined,))).inlines
    assert marked.patch == "0002-x.patch"
    elsewhere = Frame(function="f", offset=1, size=2, file="Kbuild", line=1)
    assert blame.mark(elsewhere) == elsewhere
