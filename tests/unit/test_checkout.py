# SPDX-License-Identifier: GPL-2.0-only
"""Ranges of commits and uncommitted changes; the checkout itself is only read."""

import hashlib
import os
from pathlib import Path

import pytest

from harness import apply, intake, tree
from harness.errors import UsageError
from tests.unit import fakes
from tests.unit.fakes import quick_git as git


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    path = fakes.commit_kernel(tmp_path / "linux")
    (path / ".git/info").mkdir(exist_ok=True)
    (path / ".git/info/exclude").write_text("*.excluded\n")
    return path


def make_dirty(path: Path) -> None:
    """Every way in which a file can differ from HEAD, and things that do not count."""
    (path / "fs/aio.c").write_text(fakes.AIO.replace("line 10\n", "staged\n"))
    git(path, "add", "fs/aio.c")
    (path / "fs/aio.c").write_text(fakes.AIO.replace("line 10\n", "staged, then edited\n"))
    (path / "Kconfig").chmod(0o755)
    (path / "Kbuild").unlink()
    git(path, "rm", "-q", "hidden.c")
    (path / "fs/untracked é.c").write_text("new\n")
    (path / "fs/intended.c").write_text("to be added\n")
    git(path, "add", "-N", "fs/intended.c")
    (path / "fs/staged.c").write_text("staged\n")
    git(path, "add", "fs/staged.c")
    (path / "fs/staged.c").unlink()  # staged, and gone again: no change
    (path / "link").symlink_to("fs/aio.c")
    (path / "data.bin").write_bytes(bytes(range(256)))
    (path / "fs/aio.o").write_text("ignored by .gitignore\n")
    (path / "notes.excluded").write_text("ignored by info/exclude\n")
    git(path, "init", "-q", "nested")
    (path / "nested/theirs.c").write_text("another repository's\n")
    os.mkfifo(path / "pipe")


def fingerprint(path: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time and hash of everything below, .git included.

    No times of git's objects: git renews them where it would write an object that an alternate
    has, so that the owner's gc leaves it alone.
    """
    found = {}
    for file in sorted(path.rglob("*")):
        stat = file.lstat()
        content = b""
        if file.is_symlink():
            content = os.readlink(file).encode()  # noqa: PTH115
        elif file.is_file():
            content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        time = 0 if ".git/objects/" in str(file) else stat.st_mtime_ns
        found[str(file.relative_to(path))] = (stat.st_mode, time, digest)
    return found


def test_a_dirty_checkout_is_one_patch_and_stays_as_it_was(linux: Path, tmp_path: Path) -> None:
    make_dirty(linux)
    before = fingerprint(linux)
    assert intake.has_changes(str(linux))
    made = intake.from_checkout(str(linux))
    assert made is not None
    assert made.base_commit == git(linux, "rev-parse", "HEAD")
    applied = apply.apply(tree.resolve(str(linux)), made)
    assert fingerprint(linux) == before
    again = intake.from_checkout(str(linux))
    assert again == made
    # git itself, in the checkout, for comparison: after this it is no longer as it was.
    (linux / "nested").rename(tmp_path / "nested")
    git(linux, "add", "-A")
    assert applied == git(linux, "write-tree")


def test_a_clean_checkout_has_no_changes(linux: Path) -> None:
    os.utime(linux / "fs/aio.c", (1, 1))  # touched, and the same
    (linux / "fs/aio.o").write_text("ignored\n")
    before = fingerprint(linux)
    assert not intake.has_changes(str(linux))
    assert intake.from_checkout(str(linux)) is None
    assert fingerprint(linux) == before


def test_an_edit_within_the_second_of_the_commit_is_seen(linux: Path) -> None:
    """Same size, same time as the index has: only the index's own time tells git to look."""
    stat = (linux / "fs/aio.c").stat()
    (linux / "fs/aio.c").write_text(fakes.AIO.replace("line 10\n", "LINE 10\n"))
    os.utime(linux / "fs/aio.c", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.utime(linux / ".git/index", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert intake.has_changes(str(linux))
    assert intake.from_checkout(str(linux)) is not None


def test_a_linked_worktree_has_changes_of_its_own(linux: Path, tmp_path: Path) -> None:
    git(linux, "worktree", "add", "-q", str(tmp_path / "side"))
    (tmp_path / "side/fs/aio.c").write_text("edited\n")
    assert intake.has_changes(str(tmp_path / "side"))
    assert not intake.has_changes(str(linux))
    made = intake.from_checkout(str(tmp_path / "side"))
    assert made is not None
    apply.apply(tree.resolve(str(tmp_path / "side")), made)


def test_a_split_index_is_read(linux: Path) -> None:
    git(linux, "update-index", "--split-index")
    (linux / "fs/aio.c").write_text("edited\n")
    before = fingerprint(linux)
    assert intake.from_checkout(str(linux)) is not None
    assert fingerprint(linux) == before


def test_the_file_mode_setting_is_heeded(linux: Path) -> None:
    git(linux, "config", "core.fileMode", "false")
    (linux / "Kconfig").chmod(0o755)
    assert intake.from_checkout(str(linux)) is None


def test_the_users_configuration_shapes_no_patch(linux: Path) -> None:
    (linux / "fs/aio.c").write_text(fakes.AIO.replace("line 10\n", "edited\n"))
    plain = intake.from_checkout(str(linux))
    for key, value in {
        "diff.noprefix": "true",
        "diff.external": "false",
        "diff.mnemonicPrefix": "true",
        "diff.context": "0",
        "diff.algorithm": "patience",
        "color.ui": "always",
        "core.fsmonitor": "false",
        "core.abbrev": "5",
        "diff.c.textconv": "false",
        "format.pretty": "oneline",
        "log.showSignature": "true",
    }.items():
        git(linux, "config", key, value)
    (linux / ".git/info/attributes").write_text("*.c diff=c\n")
    assert intake.from_checkout(str(linux)) == plain
    git(linux, "commit", "-q", "-a", "-m", "edited")
    (patch,) = intake.from_range(str(linux), "HEAD~1..HEAD")[0].patches
    assert plain is not None
    one, other = (p.data.partition(b"diff --git")[2] for p in (patch, plain.patches[0]))
    assert one == other


def test_a_conflict_is_refused(linux: Path) -> None:
    git(linux, "checkout", "-q", "-b", "side")
    for branch, text in (("side", "theirs\n"), ("main", "ours\n")):
        git(linux, "checkout", "-q", branch)
        (linux / "Kbuild").write_text(text)
        git(linux, "commit", "-q", "-a", "-m", text)
    with pytest.raises(AssertionError):
        git(linux, "merge", "-q", "side")
    with pytest.raises(UsageError, match="Kbuild has a conflict that is not resolved"):
        intake.from_checkout(str(linux))


def test_a_huge_untracked_file_is_refused(linux: Path) -> None:
    with (linux / "disk.img").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(UsageError, match=r"disk.img is not tracked and has 65 MiB"):
        intake.from_checkout(str(linux))


def test_what_is_no_checkout_has_no_changes(linux: Path, tmp_path: Path) -> None:
    fakes.write_kernel(tmp_path / "plain")
    assert not intake.has_changes(str(tmp_path / "plain"))
    git(tmp_path, "clone", "-q", "--bare", str(linux), "bare.git")
    assert not intake.has_changes(str(tmp_path / "bare.git"))
    assert intake.from_checkout(str(tmp_path / "bare.git")) is None


def commit(path: Path, message: str) -> None:
    git(path, "add", "-A")
    git(path, "commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture
def history(linux: Path) -> Path:
    """main, and on top of it: a binary file, a rename with an odd message, an empty commit."""
    git(linux, "checkout", "-q", "-b", "topic/one")
    (linux / "data.bin").write_bytes(bytes(range(256)))
    commit(linux, "data: add some\n\nGrüße.\n\nLink: https://example.org/")
    git(linux, "mv", "Kbuild", "fs/Kbuild")
    (linux / "fs/aio.c").write_text(fakes.AIO.replace("line 5\n", "-- a/x\n++ b/x\n"))
    commit(linux, "move it\n\n--- a/fs/aio.c\n+++ b/fs/aio.c\n@@ -1 +1 @@\n-line 1\n+evil\n")
    commit(linux, "nothing at all")
    return linux


def test_a_range_is_its_commits_as_patches(history: Path) -> None:
    before = fingerprint(history)
    made, base = intake.from_range(str(history), "main..topic/one")
    assert base == made.base_commit == git(history, "rev-parse", "main")
    assert made.name == "main..topic-one"
    assert [p.name for p in made.patches] == ["0001-data-add-some.patch", "0002-move-it.patch"]
    assert "nothing at all" in made.note
    assert "\n\nGrüße.\n\nLink: https://example.org/\n---\n".encode() in made.patches[0].data
    applied = apply.apply(tree.resolve(str(history), base), made)
    assert applied == git(history, "rev-parse", "HEAD^{tree}")
    assert fingerprint(history) == before


def test_a_range_from_another_branch_begins_where_they_part(history: Path) -> None:
    fork = git(history, "rev-parse", "main")
    git(history, "checkout", "-q", "main")
    (history / "Kbuild").write_text("later\n")
    commit(history, "later")
    made, base = intake.from_range(str(history), "main..topic/one")
    assert base == fork
    assert len(made.patches) == 2
    assert intake.from_range(str(history), "topic/one..")[0].title == "later"


def test_a_shallow_clone_has_ranges(history: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth=3", f"file://{history}", "shallow")
    made, base = intake.from_range(str(tmp_path / "shallow"), "HEAD~2..HEAD")
    assert len(made.patches) == 1
    assert tree.resolve(str(tmp_path / "shallow"), base).commit == base


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("main..main", "main..main: there is no commit in it"),
        ("topic/one..main", "there is no commit in it"),
        ("main..merged", r"main..merged: \w{12} \(join\) is a merge, and no patch says the same"),
        ("main..gone", "git finds no commit gone there"),
        ("--all..main", "git finds no commit --all there"),
        ("main", "main is no range of commits"),
        ("main...topic/one", "is no range of commits"),
        ("orphan..main", "have no commit in common"),
        ("topic/one~1..topic/one", "change nothing"),
    ],
)
def test_a_range_that_is_none_is_refused(history: Path, spec: str, said: str) -> None:
    git(history, "branch", "side", "main")
    git(history, "checkout", "-q", "-b", "merged", "main")
    git(history, "merge", "-q", "--no-ff", "-m", "join", "topic/one")
    git(history, "checkout", "-q", "--orphan", "orphan")
    git(history, "commit", "-q", "-m", "alone")
    with pytest.raises(UsageError, match=said):
        intake.from_range(str(history), spec)


def test_a_range_needs_a_checkout(tmp_path: Path) -> None:
    fakes.write_kernel(tmp_path / "plain")
    with pytest.raises(UsageError, match="is no git checkout"):
        intake.from_range(str(tmp_path / "plain"), "A..B")
