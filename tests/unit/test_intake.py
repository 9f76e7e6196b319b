# SPDX-License-Identifier: GPL-2.0-only
"""Series from tests/data/intake, against what git am, git apply or patch(1) make of them."""

import functools
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import apply, diff, intake, series, tree
from harness.errors import HarnessError, UsageError
from harness.model import Base, Patch, Series
from tests.unit import fakes
from tests.unit.fakes import quick_git as git

DATA = Path(__file__).parents[1] / "data/intake"
ENV = {**os.environ, **fakes.ENV}

# What git am is given where it cannot take the file itself: the same series, plainly written.
MAILS = {
    "format-patch.mbox": None,
    "no-numbers.mbox": None,
    "keep-subject.mbox": None,
    "full-index.mbox": None,
    "b4-am.mbx": None,
    "crlf.mbox": "full-index.mbox",
    "tags.mbox": "full-index.mbox",
    "thread.mbox": "full-index.mbox",
    "thread.mbox.gz": "full-index.mbox",
    "unthreaded.mbox": "full-index.mbox",
    "resent.mbox": "full-index.mbox",
    "fixup-in-thread.mbox": "full-index.mbox",
    "versions.mbox": "full-index.mbox",
    "first-version.mbox": None,
    "format-patch-dir": "full-index.mbox",
    "eml-dir": "full-index.mbox",
    "maildir": "full-index.mbox",
    "unnumbered-dir": "full-index.mbox",
    "single.eml": None,
    "attachment.eml": None,
    "quoted-printable.eml": None,
    "base64.eml": None,
    "base64-crlf.eml": None,
    "latin1.eml": None,
    "format-flowed.eml": None,
    "binary-rename-mode.mbox": None,
    "looks-like-a-diff.eml": None,
    "odd-names.mbox": None,
}
DIFFS = ("git.diff", "show.diff", "no-newline.diff", "epoch.diff", "crlf.diff")
QUILTS = {  # what a human reads in their `series` files
    "quilt-p0": (("zero.patch", 0), ("sub/one.patch", 1), ("epoch.diff", 1)),
    "quilt-guards": (("patches.suse/one.patch", 1), ("patches.suse/two#2.patch", 1)),
    "quilt-mails": (("one.patch", 1), ("two.patch", 1), ("three.patch", 1)),
    "diff-dir": (("02-a.patch", 1), ("10-b.diff", 1)),
}
REFUSED = {
    "missing.mbox": r"missing.mbox: 2/3 of v1 is missing \(there is \"\[PATCH 0/3\] aio: poll",
    "two-claims.mbox": r"two messages claim 2/3 of v1: .*greet in line 30.*another second",
    "two-series.mbox": r"two messages claim 0/2 of v1|two series are in it",
    "unrelated-versions.mbox": r"two series are in it: .*\[PATCH 0/3\].*\[PATCH v2 0/2\] other",
    "cover-only.mbox": r"1/3, 2/3, 3/3 of v1 are missing",
    "replies-only.mbox": r"there is no patch in it \(replies only\)",
    "talk.eml": r"there is no patch in it",
    "patch-without-diff.mbox": r"there is no diff in \"\[PATCH 2/3\] aio: greet in line 30\"",
    "follow-up.mbox": r"\[PATCH v2\] aio: greet in line 30.* may be all of v2, or a part of",
    "four-of-three.mbox": r"\[PATCH 4/3\] .* claims to be 4 of 3",
    "two-single-patches.mbox": r"two series are in it: .*finish line 20.*greet in line 30",
    "empty.mbox": r"empty.mbox: it is empty",
    "words.diff": r"words.diff: there is no unified diff in it",
    "context.diff": r"context.diff: there is no unified diff in it",
    "log.diff": r"is a log of several commits",
    "charset.eml": r"charset.eml: git cannot decode \"\[PATCH\] aio: greet in line 30\"",
    "dotdot.diff": r"dotdot.patch names ../../etc/cron.d/x, outside of the tree",
    "dotdot-inside.diff": r"dotdot-inside.patch names fs/../../x, outside of the tree",
    "absolute.diff": r"absolute.patch names /etc/cron.d/x, an absolute path",
    "dot-git.diff": r"dot-git.patch names .git/hooks/post-checkout, a path into .git",
    "dot-git-below.diff": r"names fs/.GIT/config, a path into .git",
    "rename-out.diff": r"rename-out.patch names ../Kbuild, outside of the tree",
    "link-absolute.diff": r"link-absolute.patch makes fs/passwd a symbolic link that leaves",
    "link-out.diff": r"link-out.patch makes fs/out a symbolic link that leaves the tree",
    "link-sideways.diff": r"link-sideways.patch makes out a symbolic link that leaves the tree",
    "through-a-link.diff": r"through-a-link.patch .*sub/x.c would be written through a symbolic",
    "submodule.diff": r"submodule.patch makes sub a submodule",
    "fuzzy.diff": r"fuzzy.patch does not apply to .*: fs/aio.c hunk 1",
    "mixed-dir": r"mixed-dir holds mails and plain diffs \(2.diff\)",
    "empty-dir": r"empty-dir holds no patches",
    "quilt-twice": r"a.patch is already applied in",
    "quilt-outside": r"series:1: ../words.diff is outside of the directory",
    "quilt-reverse": r"series:1: unknown option -R",
    "quilt-missing": r"series:1: a.patch: No such file or directory",
}


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.commit_kernel(tmp_path_factory.mktemp("intake") / "linux")


@pytest.fixture(scope="module")
def base(linux: Path) -> Base:
    """Resolved once; its mirror outlives the test whose cache it was made in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(linux.parent / "cache"))
        return tree.resolve(str(linux))


@pytest.fixture
def scratch(linux: Path) -> Path:
    """The kernel as a repository to apply things in with other tools than ours."""
    git(linux, "reset", "-q", "--hard")
    git(linux, "clean", "-fdxq")
    git(linux, "checkout", "-q", "--detach", "main")
    return linux


@functools.cache
def load(name: str, version: int | None = None) -> Series:
    return intake.load(DATA, str(DATA / name), version=version)


def tree_of_work(path: Path) -> str:
    git(path, "add", "-f", "-A")
    return git(path, "write-tree")


def with_patch(path: Path, data: bytes, strip: int) -> None:
    """patch(1) without fuzz where it is installed, else git apply."""
    argv = ["git", "apply", f"-p{strip}"]
    if shutil.which("patch"):
        argv = ["patch", "-s", "-f", "-F0", "--no-backup-if-mismatch", f"-p{strip}"]
    done = subprocess.run(argv, cwd=path, env=ENV, input=data, capture_output=True, check=False)
    assert not done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.fixture(scope="module")
def am(linux: Path) -> Callable[[str], str]:
    """The tree that git am makes of a file, run once for each."""

    @functools.cache
    def run(name: str) -> str:
        data = (DATA / name).read_bytes()
        parts = re.split(rb"^(?=From [0-9a-f]{40} )", data, flags=re.MULTILINE)
        plain = linux.parent / "for-git-am"  # git am would choke on the cover letter
        plain.write_bytes(b"".join(part for part in parts if b"[PATCH 0/" not in part))
        git(linux, "checkout", "-q", "-f", "--detach", "main")
        git(linux, "am", "-q", str(plain))
        return git(linux, "rev-parse", "HEAD^{tree}")

    return run


@pytest.mark.parametrize("name", MAILS)
def test_mails_give_the_tree_of_git_am(name: str, base: Base, am: Callable[[str], str]) -> None:
    made = load(name)
    assert apply.apply(base, made) == am(MAILS[name] or name)
    for patch in made.patches:
        assert re.match(rb"From: .+ <.+@.+>\nDate: .+\nSubject: \[PATCH\] .+\n", patch.data)
        assert b"\n---\n" in patch.data


@pytest.mark.parametrize("name", ["thread.mbox", "latin1.eml", "binary-rename-mode.mbox"])
def test_what_is_kept_of_a_mail_is_a_mail(
    name: str, scratch: Path, tmp_path: Path, am: Callable[[str], str]
) -> None:
    expected = am(MAILS[name] or name)
    intake.write(load(name), tmp_path / "new")
    git(scratch, "checkout", "-q", "-f", "--detach", "main")
    git(scratch, "am", "-q", *map(str, sorted((tmp_path / "new").glob("*.patch"))))
    assert git(scratch, "rev-parse", "HEAD^{tree}") == expected


def test_a_message_that_looks_like_a_diff_is_only_read(base: Base, scratch: Path) -> None:
    (patch,) = load("looks-like-a-diff.eml").patches
    assert b"\n @@ -5,7 +5,7 @@ said it all, and\n" in patch.data
    with_git = subprocess.run(["git", "apply", "-"], cwd=scratch, env=ENV, input=patch.data)
    assert not with_git.returncode
    assert tree_of_work(scratch) == apply.apply(base, Series(name="s", patches=(patch,)))


@pytest.mark.parametrize("name", DIFFS)
def test_a_diff_gives_the_tree_of_patch(name: str, base: Base, scratch: Path) -> None:
    with_patch(scratch, (DATA / name).read_bytes(), 1)
    assert apply.apply(base, load(name)) == tree_of_work(scratch)


@pytest.mark.parametrize("name", QUILTS)
def test_a_directory_gives_the_tree_of_patch(name: str, base: Base, scratch: Path) -> None:
    for file, strip in QUILTS[name]:
        with_patch(scratch, (DATA / name / file).read_bytes(), strip)
    made = load(name)
    assert apply.apply(base, made) == tree_of_work(scratch)
    if (DATA / name / "series").exists():
        assert tuple((p.name, p.strip) for p in made.patches) == QUILTS[name]


def test_a_packed_patch_is_unpacked() -> None:
    assert series.touched(load("quilt-packed").patches[0]) == {"fs/aio.c", "fs/poll.c"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_one_whole_series_is_refused(name: str, base: Base) -> None:
    with pytest.raises(HarnessError, match=REFUSED[name]) as caught:
        apply.apply(base, load(f"refused/{name}"))
    assert caught.value.exit_code in (2, 10)


def test_every_file_is_used() -> None:
    known = {*MAILS, *DIFFS, *QUILTS, "quilt-packed", "refused", "README", ".gitattributes"}
    assert known == {path.name for path in DATA.iterdir()}
    assert set(REFUSED) == {path.name for path in (DATA / "refused").iterdir()}


def test_a_cover_letter_names_the_series() -> None:
    made = load("thread.mbox")
    assert made.name == "thread"
    assert made.title == "aio: poll and greet"
    assert made.thread == "https://lore.kernel.org/r/20240301-aio-v1-0@example.org"
    assert [patch.name for patch in made.patches] == [
        "0001-aio-poll-at-line-10.patch",
        "0002-aio-greet-in-line-30.patch",
        "0003-aio-finish-line-20.patch",
    ]
    assert load("b4-am.mbx").title == "aio: poll at line 10"
    assert load("fixup-in-thread.mbox").note.startswith('left out "[PATCH] aio: shout in line 1"')


def test_an_author_is_kept_in_any_charset() -> None:
    for name in ("latin1.eml", "quoted-printable.eml", "base64.eml"):
        (patch,) = load(name).patches
        assert patch.data.startswith("From: Jörg Müller <joerg@example.org>\n".encode())
        assert "\n\nGrüße an alle, die das lesen.\n---\n".encode() in patch.data


def test_a_version_can_be_asked_for(base: Base) -> None:
    old = load("versions.mbox", version=1)
    assert apply.apply(base, old) == apply.apply(base, load("first-version.mbox"))
    assert len(load("unrelated-versions.mbox".join(["refused/", ""]), version=2).patches) == 2
    with pytest.raises(UsageError, match="there is no v3 in it") as caught:
        load("versions.mbox", version=3)
    assert caught.value.hint == "there is v1, v2"
    with pytest.raises(UsageError, match="no versions to choose from"):
        load("quilt-mails", version=1)


def test_standard_input_is_read(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (DATA / "thread.mbox").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    made = intake.load(DATA, "-")
    assert made.name == "stdin"
    assert apply.apply(base, made) == apply.apply(base, load("thread.mbox"))


def test_a_name_is_a_name_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aio-poll").write_bytes(fakes.patch("line 1", "x", at=1))
    assert len(intake.load(root, "aio-poll").patches) == 3
    assert len(intake.load(root, "./aio-poll").patches) == 1
    with pytest.raises(UsageError, match="no series named aio-pol "):
        intake.load(root, "aio-pol")
    with pytest.raises(UsageError, match=r"gone.mbox does not exist"):
        intake.load(root, "gone.mbox")


@pytest.mark.parametrize(
    "name", ["thread.mbox", "quilt-p0", "git.diff", "binary-rename-mode.mbox", "quilt-mails"]
)
def test_what_is_written_loads_again(name: str, base: Base, tmp_path: Path) -> None:
    made = replace(load(name), bases=("6.12",), base_commit="5c2637ded7d2")
    intake.write(made, tmp_path / "patches/new")
    again = series.load(tmp_path, "new")
    assert apply.apply(base, again) == apply.apply(base, made)
    assert replace(again, name=made.name) == made
    with pytest.raises(UsageError, match="is there already"):
        intake.write(made, tmp_path / "patches/new")


def test_a_stack_with_equal_names_is_written(tmp_path: Path) -> None:
    made = series.stack((load("single.eml"), load("single.eml")))
    intake.write(made, tmp_path / "new")
    names = [patch.name for patch in series.read(tmp_path / "new").patches]
    assert names == ["0001-0001-aio-greet-in-line-30.patch", "0002-0001-aio-greet-in-line-30.patch"]


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two added trees, and no known one: `new` has another fs/aio.c than `old`."""
    monkeypatch.setattr(tree, "KNOWN", ())
    monkeypatch.setattr(tree, "KNOWN", ("6.12",))
    monkeypatch.setattr(tree, "_package", lambda name: None)
    for name in ("old", "new"):
        fakes.commit_kernel(tmp_path / name)
    (tmp_path / "new/fs/aio.c").write_text("another\n")
    git(tmp_path / "new", "commit", "-q", "-a", "-m", "newer")
    tree.add("new", str(tmp_path / "new"))
    tree.add("old", str(tmp_path / "old"))
    return tmp_path


def test_the_base_is_the_tree_that_has_the_files(trees: Path) -> None:
    assert intake.choose_base(load("full-index.mbox")) == intake.BaseChoice(
        tree="old", commit=None, why="2 of 2 files match old"
    )
    (one,) = load("single.eml").patches
    alone = intake.choose_base(Series(name="s", patches=(one,)))
    assert (alone.tree, alone.why) == ("6.12", "no known tree has these files; taking 6.12")
    blind = intake.choose_base(load("epoch.diff"))
    assert blind.why == "the patches name no blobs; taking 6.12"


def test_a_default_gives_way_to_what_the_series_says(trees: Path) -> None:
    mails = load("full-index.mbox")
    assert intake.choose_base(mails, "new").why == "new is your default"
    assert intake.choose_base(replace(mails, bases=("old",)), "new").tree == "old"
    below = git(trees / "new", "rev-parse", "HEAD~1")
    assert intake.choose_base(replace(mails, base_commit=below), "old").tree == "new"


def test_the_base_commit_is_taken_from_any_tree(trees: Path) -> None:
    below = git(trees / "new", "rev-parse", "HEAD~1")
    choice = intake.choose_base(replace(load("single.eml"), base_commit=below))
    assert (choice.tree, choice.commit) == ("new", below)
    assert choice.why == f"base-commit {below[:12]} (6.12.7) is in new"
    assert tree.resolve("new", below).tree == git(trees / "old", "rev-parse", "HEAD^{tree}")
    head = git(trees / "new", "rev-parse", "HEAD")
    assert intake.choose_base(replace(load("git.diff"), base_commit=head)) == intake.BaseChoice(
        tree="new", commit=None, why=f"base-commit {head[:12]} is new"
    )
    lost = intake.choose_base(replace(load("git.diff"), base_commit="a" * 40))
    assert lost.why == "base-commit aaaaaaaaaaaa is in no known tree; 2 of 2 files match old"
    with pytest.raises(UsageError, match="tree new has no commit aaaa"):
        tree.resolve("new", "a" * 40)


def test_a_base_commit_is_read_from_the_cover_letter() -> None:
    made = load("format-patch.mbox")
    text = (DATA / "format-patch.mbox").read_text()
    assert f"\nbase-commit: {made.base_commit}\n" in text
    assert len(made.base_commit) == 40


def test_only_the_first_patch_to_a_file_names_its_blob() -> None:
    blobs = diff.blobs(load("full-index.mbox").patches)
    assert set(blobs) == {"fs/aio.c", "Kbuild"}
    text = (DATA / "full-index.mbox").read_text()
    assert blobs["fs/aio.c"] == re.findall(r"^index (\w+)\.\.", text, re.MULTILINE)[0]


def test_a_removed_line_is_no_header() -> None:
    data = b"--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n--- a/x\n+++ b/y\n context\n@@ -9 +9 @@\n-a\n+b\n"
    (one,) = diff.files(data)
    assert (one.paths, one.hunks) == (frozenset({"f"}), (1, 9))


def test_quoted_names_are_read() -> None:
    patch = load("odd-names.mbox").patches[0]
    assert series.touched(patch) == {"fs/a b.c", "fs/ümlaut\t.c", "fs/empty.c"}
    assert series.touched(Patch(name="p", data=b"diff --git a/x b/x\nold mode 100644\n")) == {"x"}
