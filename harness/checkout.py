# SPDX-License-Identifier: GPL-2.0-only
"""Patches from a checkout of the user's: a range of commits, or what is not committed yet.

The checkout is only read. All git work happens in the mirror, or in a private git directory with
a copy of the index, so nothing of the user's configuration shapes a diff.
"""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import proc, tree
from harness.errors import UsageError
from harness.git import Git
from harness.mbox import Decoded, file_name, with_header
from harness.model import Patch
from harness.tree import Checkout

_DIFF = ("diff-tree", "-r", "-p", "-M", "--binary", "--full-index", "--no-ext-diff")
_LARGEST = 64 << 20  # an untracked file beyond that is no source: a disk image, a core dump
# How the files of a checkout compare with git's: these are the file system's, or the user's wish.
_SETTINGS = re.compile(
    r"core\.(?:filemode|symlinks|ignorecase|trustctime|checkstat|autocrlf|eol|safecrlf"
    r"|excludesfile|precomposeunicode|sparsecheckout|sparsecheckoutcone)|index\.sparse"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Commits as patches, oldest first. `base` is the commit below them, in full; `note` says
    which commits were left out."""

    base: str
    patches: tuple[Patch, ...]
    titles: tuple[str, ...]
    note: str = ""


def commits(place: str, spec: str) -> Range:
    """The commits `A..B` of a checkout; the base is A, or their merge base.

    UsageError for names that git does not know, merges, no commit at all.
    """
    opened = tree.checkout(place)
    low, dots, high = spec.partition("..")
    if not dots or not low or high.startswith("."):
        raise UsageError(f"{spec} is no range of commits", hint="write it as A..B")
    git = Git(opened.mirror)
    first, last = _commit(opened, low), _commit(opened, high or "HEAD")
    fork = git.run("merge-base", first, last)
    if fork.status:
        raise UsageError(f"{spec}: the two have no commit in common in {place}")
    base = fork.text
    log = git.out("log", "-z", "--reverse", "--topo-order", _FORMAT, f"{base}..{last}", "--")
    found = [_Commit(*entry.split("\n", 4)) for entry in log.split("\0") if entry]
    for one in found:
        if " " in one.parents:
            raise UsageError(
                f"{spec}: {one.hash[:12]} ({one.subject}) is a merge, and no patch says the same",
                hint="rebase, or take the commits on one side of it",
            )
    if not found:
        raise UsageError(f"{spec}: there is no commit in it")
    return _as_range(git, base, found)


def uncommitted(place: str) -> Patch | None:
    """What differs between HEAD and the files of a checkout, as one patch; None for nothing.

    Staged or not, deleted, and untracked files unless they are ignored. Objects go into the
    mirror. UsageError for a merge with conflicts, an untracked file above 64 MiB.
    """
    opened = tree.checkout(place)
    with _private(opened) as git:
        if git is None or not (states := _status(git)):
            return None
        untracked = [path for state, path in states if state == "??"]
        _refuse(opened, states, untracked)
        _checked(opened, git, "add", "-u", ".")
        if untracked:
            feed = b"".join(path.encode(errors="surrogateescape") + b"\0" for path in untracked)
            _checked(opened, git, "update-index", "--add", "-z", "--stdin", feed=feed)
        work = git.out("write-tree")
    diff = Git(opened.mirror).run(*_DIFF, opened.head, work).stdout
    if not diff:
        return None
    about = Decoded(
        author="harness <harness@localhost>",
        date="Thu, 1 Jan 1970 00:00:00 +0000",  # fixed: equal changes, equal patch
        subject="Uncommitted changes",
        message=b"What the checkout holds beyond its HEAD.\n",
        patch=b"---\n\n" + diff,
    )
    return Patch(name="uncommitted.patch", data=with_header(about))


def has_changes(place: str) -> bool:
    """True when uncommitted() would find something; False where there are no files to look at."""
    with _private(tree.checkout(place)) as git:
        return git is not None and bool(_status(git))


@dataclass(frozen=True, slots=True)
class _Commit:
    hash: str
    parents: str
    author: str
    date: str
    text: str

    @property
    def subject(self) -> str:
        return " ".join(self.text.strip().partition("\n\n")[0].split())


_FORMAT = "--format=%H%n%P%n%an <%ae>%n%aD%n%B"


def _commit(opened: Checkout, name: str) -> str:
    """A name in the user's repository as a hash: only it knows branches and tags."""
    wanted = ("rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}")
    done = tree.user_git(opened.path, *wanted)
    if done.status:
        raise UsageError(f"{opened.path}: git finds no commit {name} there")
    return done.text


def _as_range(git: Git, base: str, found: list[_Commit]) -> Range:
    hashes = "".join(f"{one.hash}\n" for one in found).encode()
    done = git.run(*_DIFF, "--stdin", "--always", feed=hashes)
    # Before each commit's diff stands its hash; no line of a diff is forty hex digits alone.
    parts = re.split(rb"^([0-9a-f]{40})\n", done.stdout, flags=re.MULTILINE)[1:]
    diffs = dict(zip(parts[::2], parts[1::2], strict=True))
    kept = [one for one in found if diffs[one.hash.encode()].strip()]
    empty = [one.subject for one in found if one not in kept]
    if not kept:
        raise UsageError(f"{found[0].hash[:12]} and what follows it change nothing")
    return Range(
        base=base,
        patches=tuple(_patch(n, one, diffs[one.hash.encode()]) for n, one in enumerate(kept, 1)),
        titles=tuple(one.subject for one in kept),
        note=f"left out commits that change nothing: {', '.join(empty)}" if empty else "",
    )


def _patch(number: int, one: _Commit, diff: bytes) -> Patch:
    about = Decoded(
        author=one.author,
        date=one.date,
        subject=one.subject,
        message=one.text.strip().partition("\n\n")[2].encode(errors="surrogateescape"),
        patch=b"---\n\n" + diff.lstrip(b"\n"),
    )
    return Patch(name=file_name(number, one.subject), data=with_header(about))


@contextlib.contextmanager
def _private(opened: Checkout) -> Iterator[Git | None]:
    """git on the checkout's files with a private git directory: a copy of the index, the
    mirror's objects, no hooks. None where there are no files (a bare repository)."""
    index = opened.git_dir / "index"
    if not (opened.path / ".git").exists() or not index.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="harness-checkout-") as scratch:
        own = Path(scratch)
        for name in ("refs", "info"):
            (own / name).mkdir()
        (own / "HEAD").write_text(f"{opened.head}\n")
        (own / "config").write_text(_settings(opened))
        (own / "objects").symlink_to(opened.mirror / "objects")
        # copy2 keeps the time: by it git tells which entries it cannot trust ("racily clean").
        for path in (index, *opened.git_dir.glob("sharedindex.*")):
            shutil.copy2(path, own / path.name)
        for path in (
            opened.common_dir / "info/exclude",
            opened.common_dir / "info/attributes",
            opened.git_dir / "info/sparse-checkout",
        ):
            if path.exists():
                shutil.copy2(path, own / "info" / path.name)
        yield Git(own, index=own / "index", work=opened.path)


def _settings(opened: Checkout) -> str:
    """The few settings of the user's that say how files compare, as a config file."""
    listed = tree.user_git(opened.path, "config", "-z", "--list").text
    lines = ["[core]", "repositoryformatversion = 0", "untrackedCache = false"]
    for entry in listed.split("\0"):
        key, _, value = entry.partition("\n")
        if _SETTINGS.fullmatch(key):
            section, _, name = key.partition(".")
            quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines += [f"[{section}]", f'{name} = "{quoted}"' if value else name]
    return "\n".join(lines) + "\n"


def _status(git: Git) -> list[tuple[str, str]]:
    """What differs from HEAD: git's two letters and the path. Repositories inside are left out:
    they are somebody else's files."""
    wanted = ("-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
    listed = proc.check(git.run("status", *wanted), "git status failed")
    entries = listed.stdout.decode(errors="surrogateescape").split("\0")
    return [(e[:2], e[3:]) for e in entries if e and not (e[:2] == "??" and e.endswith("/"))]


def _refuse(opened: Checkout, states: list[tuple[str, str]], untracked: list[str]) -> None:
    for state, path in states:
        if "U" in state or state in ("AA", "DD"):
            raise UsageError(f"{opened.path}: {path} has a conflict that is not resolved")
    for path in untracked:
        if (size := (opened.path / path).lstat().st_size) > _LARGEST:
            raise UsageError(
                f"{opened.path}: {path} is not tracked and has {size >> 20} MiB",
                hint="move it away, commit it, or name it in .git/info/exclude",
            )


def _checked(opened: Checkout, git: Git, *args: str, feed: bytes = b"") -> None:
    done = git.run(*args, feed=feed)
    if done.status:
        lines = tuple(done.complaint.splitlines()[-3:])
        raise UsageError(f"{opened.path}: a file there cannot be read", lines=lines)
