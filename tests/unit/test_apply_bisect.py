# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import apply, apply_bisect, cli, lineage, tree
from harness.errors import ApplyError, ExitCode, UsageError
from harness.model import Base, Patch, Series
from tests.unit import fakes
from tests.unit.histories import Edits, Stream, grow

AIO_NEW = fakes.AIO.replace("line 20\n", "LINE 20\n")
FIRST = fakes.patch("line 10", "LINE 10", at=10)
SECOND = fakes.patch("line 30", "LINE 30", at=30)
NEW_FILE = b"""diff --git a/fs/new/file.c b/fs/new/file.c
new file mode 100644
--- /dev/null
+++ b/fs/new/file.c
@@ -0,0 +1 @@
+new
"""
RENAME = b"""diff --git a/fs/old.c b/fs/moved.c
similarity index 100%
rename from fs/old.c
rename to fs/moved.c
"""
LINK = b"""diff --git a/fs/link b/fs/link
new file mode 120000
--- /dev/null
+++ b/fs/link
@@ -0,0 +1 @@
+../../out
\\ No newline at end of file
"""
DELETE = b"""diff --git a/fs/gone b/fs/gone
deleted file mode 100644
--- a/fs/gone
+++ /dev/null
@@ -1 +0,0 @@
-gone
"""
FILE_FOR_DIRECTORY = b"""diff --git a/fs/gone b/fs/gone
new file mode 100644
--- /dev/null
+++ b/fs/gone
@@ -0,0 +1 @@
+a file
"""


def stack(*data: bytes) -> Series:
    patches = tuple(Patch(name=f"{n:04}.patch", data=one) for n, one in enumerate(data, 1))
    return Series(name="s", patches=patches)


class Kernel:
    """A repository of small kernels: commits of whole trees, without a work tree."""

    def __init__(self, path: Path) -> None:
        self.path = fakes.commit_kernel(path)
        self.root = fakes.quick_git(path, "rev-parse", "HEAD")
        self._count = 0

    def commit(self, *parents: str, **files: str | None) -> str:
        """The first parent with these files changed: text, `-> target` for a link, None to go.
        In their names `__` stands for a slash and `_c` for .c."""
        self._count += 1
        said = f"c{self._count}"
        who = b"t <t@localhost> %d +0000" % (1_700_000_000 + self._count)
        lines = [b"commit refs/heads/main", b"mark :1", b"committer " + who]
        lines += [b"data %d" % len(said), said.encode()]
        words = ["from", *["merge"] * (len(parents) - 1)]
        lines += [f"{word} {parent}".encode() for word, parent in zip(words, parents, strict=True)]
        for key, text in files.items():
            name = key.replace("__", "/").replace("_c", ".c")
            if text is None:
                lines.append(f"D {name}".encode())
                continue
            mode = "120000" if text.startswith("-> ") else "100644"
            data = text.removeprefix("-> ").encode()
            lines += [f"M {mode} inline {name}".encode(), b"data %d" % len(data), data]
        done = subprocess.run(
            ["git", "-C", str(self.path), "fast-import", "--quiet", "--force"],
            input=b"\n".join([*lines, b"", b"get-mark :1", b""]),
            stdout=subprocess.PIPE,
            env={**os.environ, **fakes.ENV},
            check=True,
        )
        return done.stdout.decode().strip()

    def find(self, stack: Series, good: str, bad: str) -> apply_bisect.Broken | None:
        return apply_bisect.find(lineage.span(str(self.path), good, bad), stack)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "linux")


def said(base: Base, stack: Series, *, whole: bool) -> str:
    """What apply() or check() says of a base."""
    try:
        if whole:
            apply.apply(base, stack)
        else:
            apply.check(base, stack, apply.visible(base.mirror, base.commit, stack))
    except ApplyError as error:
        return f"{error.message} | {error.where}"
    return "applies"


CHANGES: dict[str, str | None] = {
    "fs__aio_c": AIO_NEW,
    "fs__aio_c ": "added\n" + fakes.AIO,
    "fs__aio_c  ": fakes.AIO.replace("line 12\n", "other\n"),
    "fs__aio_c   ": fakes.AIO.replace("line 10\n", "LINE 10\n"),
    "fs__aio_c    ": None,
    "fs__aio_c     ": "-> old.c",
    "fs__aio_c__below": "a directory\n",
    "fs__new": "a file where a directory has to be\n",
    "fs__new ": "-> old.c",
    "fs__new__file_c": "there already\n",
    "fs__new__file_c ": "new\n",
    "fs__new__file_c__deep": "a directory\n",
    "fs__old_c": "old\n",
    "fs__moved_c": "there\n",
    "fs__gone": "gone\n",
    "fs__gone ": "something else\n",
    "fs__gone__below": "gone\n",
    "fs__link": "there\n",
}
SERIES = {
    "two": (FIRST, SECOND),
    "twice": (FIRST, FIRST),
    "new file": (FIRST, NEW_FILE),
    "rename": (RENAME, FIRST),
    "link": (LINK,),
    "delete": (DELETE,),
    "file for a directory": (DELETE, FILE_FOR_DIRECTORY),
    "out of the tree": (FIRST.replace(b"fs/aio.c", b"../aio.c"),),
    "nothing": (b"just words\n",),
}


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.lists(st.sampled_from(sorted(CHANGES)), min_size=2, max_size=4))
def test_a_check_says_what_applying_says(kernel: Kernel, changes: list[str]) -> None:
    compare(kernel, changes)


@pytest.mark.parametrize("change", CHANGES)
def test_a_check_says_what_applying_says_of_each_change(kernel: Kernel, change: str) -> None:
    compare(kernel, [change])


def test_a_check_says_what_applying_says_of_what_nothing_mends(kernel: Kernel) -> None:
    compare(kernel, [])


def compare(kernel: Kernel, changes: list[str]) -> None:
    """Every series that can see one of the changes, or all of them for none."""
    commit, areas = kernel.root, set()
    for change in changes:
        commit = kernel.commit(commit, **{change.strip(): CHANGES[change]})
        areas.add("/".join(change.strip().replace("_c", ".c").split("__")[:2]))
    base = tree.resolve(str(kernel.path), commit)
    for data in SERIES.values():
        one = stack(*data)
        if changes and not any(path.startswith(tuple(areas)) for path in apply.named(one)):
            continue
        cheap = said(base, one, whole=False)  # first: apply() leaves blobs behind
        assert cheap == said(base, one, whole=True)


def test_a_check_merges_three_ways_too(kernel: Kernel) -> None:
    blob = fakes.quick_git(kernel.path, "rev-parse", "HEAD:fs/aio.c")
    index = f"diff --git a/fs/aio.c b/fs/aio.c\nindex {blob}..{'1' * 40} 100644\n"
    data = index.encode() + FIRST
    # In its context, but no neighbour of its line: no hunk fits, a merge does.
    text = fakes.AIO.replace("line 13\n", "other\n")
    base = tree.resolve(str(kernel.path), kernel.commit(kernel.root, fs__aio_c=text))
    assert said(base, stack(data), whole=False) == "applies"
    assert said(base, stack(data), whole=True) == "applies"
    assert said(base, stack(FIRST), whole=False).startswith("0001.patch does not apply")


def test_a_check_writes_nothing_to_the_mirror(kernel: Kernel) -> None:
    base = tree.resolve(str(kernel.path))
    before = sorted(base.mirror.rglob("*"))
    assert said(base, stack(FIRST, SECOND), whole=False) == "applies"
    assert sorted(base.mirror.rglob("*")) == before


def test_the_commit_that_broke_it_is_found_among_a_thousand(tmp_path: Path) -> None:
    culprit = 613

    def render(path: str, edits: Edits) -> bytes:
        head = "".join(f"/* {number} */\n" for number in sorted(edits))
        old = "line 29\n"
        return (head + fakes.AIO.replace(old, "changed\n" if culprit in edits else old)).encode()

    repository = fakes.commit_kernel(tmp_path / "linux")
    stream = Stream(render=render, onto=fakes.quick_git(repository, "rev-parse", "HEAD"))
    line = grow(stream, 1000, lambda mark: "fs/aio.c")
    hashes = stream.write(repository)
    span = lineage.span(str(repository), hashes[line[0]], hashes[line[-1]])
    found = apply_bisect.find(span, stack(FIRST, SECOND))
    assert found is not None
    assert (found.commit, found.subject) == (hashes[culprit], f"commit {culprit}")
    assert (found.patch, found.where) == ("0002.patch", "fs/aio.c hunk 1")
    assert found.files == ("fs/aio.c",)
    assert found.commits == found.suspects == 999
    assert found.checks <= 12


def test_only_commits_that_touch_its_files_are_tried(kernel: Kernel) -> None:
    commits = [kernel.root]
    for number in range(8):
        files = {"fs__aio_c": AIO_NEW.replace("line 9\n", "x\n")} if number == 5 else {}
        commits.append(kernel.commit(commits[-1], fs__other_c=f"{number}", **files))
    found = kernel.find(stack(FIRST), commits[0], commits[-1])
    assert found is not None and found.commit == commits[6]
    assert (found.suspects, found.checks) == (1, 2)


def test_a_patch_that_came_in_is_said_so(kernel: Kernel) -> None:
    text = fakes.AIO.replace("line 10\n", "LINE 10\n")
    merged = kernel.commit(kernel.root, fs__aio_c=text)
    found = kernel.find(stack(FIRST), kernel.root, kernel.commit(merged, Kbuild="x"))
    assert found is not None
    assert (found.commit, found.patch, found.where) == (merged, "0001.patch", "")


def test_a_file_that_moved_is_found(kernel: Kernel) -> None:
    moved = kernel.commit(kernel.root, fs__aio_c=None, fs__poll_c=fakes.AIO)
    found = kernel.find(stack(FIRST), kernel.root, kernel.commit(moved, Kbuild="x"))
    assert found is not None and found.commit == moved
    assert "fs/aio.c: does not exist" in found.where


def test_a_directory_that_became_a_file_is_found(kernel: Kernel) -> None:
    """The one thing that git's list of suspects leaves out."""
    good = kernel.commit(kernel.root, fs__new__other_c="x")
    culprit = kernel.commit(kernel.commit(good, Kbuild="x"), fs__new="now a file")
    found = kernel.find(stack(NEW_FILE), good, kernel.commit(culprit, Kbuild="y"))
    assert found is not None and found.commit == culprit
    assert (found.suspects, found.files) == (0, ("fs/new",))


def test_two_sides_that_only_break_it_together(kernel: Kernel) -> None:
    """Neither of two lines of context moved alone; the merge is what does not fit."""
    left = kernel.commit(kernel.root, fs__aio_c=fakes.AIO.replace("line 1\n", "one\n"))
    right = kernel.commit(kernel.root, fs__aio_c=fakes.AIO.replace("line 40\n", "x\n"))
    both = kernel.commit(left, right, fs__aio_c=fakes.AIO.replace("line 9\n", "mended\n"))
    found = kernel.find(stack(FIRST), kernel.root, kernel.commit(both, Kbuild="x"))
    assert found is not None and (found.commit, found.never) == (both, "")
    assert found.parents == (left, right)


def test_what_a_merge_lost_is_found_in_the_merge(kernel: Kernel) -> None:
    """It takes the file of a branch that never had what the series needs."""
    needed = kernel.commit(kernel.root, fs__aio_c=AIO_NEW)
    old = kernel.commit(kernel.root, Kbuild="x")
    merge = kernel.commit(needed, old, fs__aio_c=fakes.AIO)
    patch = FIRST + b"@@ -18,4 +18,4 @@\n line 18\n line 19\n-LINE 20\n+line twenty\n line 21\n"
    found = kernel.find(stack(patch), needed, kernel.commit(merge, Kbuild="y"))
    assert found is not None and (found.commit, found.never) == (merge, old)


def test_nothing_is_broken(kernel: Kernel) -> None:
    assert kernel.find(stack(FIRST), kernel.root, kernel.commit(kernel.root)) is None


def test_a_good_end_that_is_not_good(kernel: Kernel) -> None:
    good = kernel.commit(kernel.root, fs__aio_c="nothing of it\n")
    bad = kernel.commit(good, Kbuild="x")
    with pytest.raises(UsageError, match=r"s does not apply to the good end, .*, either"):
        kernel.find(stack(FIRST), good, bad)


@pytest.fixture
def project(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = kernel.path.parent / "project"
    directory = root / "patches/mine"
    directory.mkdir(parents=True)
    (root / "kconfigs").mkdir()
    (root / "kconfigs/base.config").write_text("# Help: base\n")
    (directory / "series.yaml").write_text("title: x\n")
    (directory / "series").write_text("one.patch\n")
    (directory / "one.patch").write_bytes(FIRST)
    monkeypatch.setenv("HARNESS_PROJECT", str(root))
    return root


def test_the_command_says_who_broke_it(
    kernel: Kernel, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    culprit = kernel.commit(kernel.root, fs__aio_c=fakes.AIO.replace("line 9\n", "9\n"))
    command = ["series", "broken", "mine", "--tree", str(kernel.path), "--good"]
    assert cli.main([*command, kernel.root]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert f"mine does not apply since {culprit[:12]} (c1)" in shown
    assert "one.patch does not apply: fs/aio.c hunk 1" in shown
    assert f"next: git -C {kernel.path} show {culprit[:12]} -- fs/aio.c" in shown
    assert cli.main([*command, kernel.root, "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["commit"], told["checks"]) == (1, culprit, 2)
    assert cli.main([*command, kernel.root, "--bad", kernel.root]) == ExitCode.FAILED
    assert "nothing is broken" in capsys.readouterr().out
    shutil.rmtree(project / "patches/mine")
    assert cli.main([*command, kernel.root]) == ExitCode.USAGE
