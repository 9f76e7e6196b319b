# SPDX-License-Identifier: GPL-2.0-only
"""A series applied to a tree object: like `git am`, without a checkout and without commits."""

import contextlib
import itertools
import re
import tempfile
from pathlib import Path

from harness import cache, diff, proc, series
from harness.errors import ApplyError
from harness.git import Git
from harness.model import Base, Patch, Series


def apply(base: Base, stack: Series) -> str:
    """The tree object (40 hex) of `base` with the series applied; ApplyError names patch, file
    and hunk. Remembered by content, so a second call starts no process.

    Hunks may be off by lines, but never fuzzy. Refused is what would reach out of the tree: paths
    that do, paths into .git, symbolic links that point out and files behind links.
    """
    if not stack.patches:
        return base.tree
    key = cache.digest(base.tree, [(p.strip, p.data) for p in stack.patches])
    memo = cache.root() / "applied" / key
    with contextlib.suppress(OSError):
        return memo.read_text().strip()
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as scratch:
        git = Git(base.mirror, index=Path(scratch) / "index")
        git.out("read-tree", base.tree)
        for patch in stack.patches:
            _refuse_paths(patch)
            _apply_one(git, base, patch)
        tree = git.out("write-tree")
        _refuse_links(git, base, stack, tree)
    cache.write_whole(memo, f"{tree}\n".encode())
    return tree


def _apply_one(git: Git, base: Base, patch: Patch) -> None:
    apply = ("apply", "--cached", "--whitespace=nowarn", f"-p{patch.strip}")
    plain = git.run(*apply, feed=patch.data)
    if not plain.status:
        return
    if not git.run(*apply, "--check", "--reverse", feed=patch.data).status:
        raise ApplyError(
            f"{patch.name} is already applied in {base.name} ({base.version})",
            hint="drop it from the series file, or name an older tree with --tree",
        )
    before = git.out("write-tree")
    if not git.run(*apply, "--3way", feed=patch.data).status:
        return
    git.run("read-tree", "--reset", before)
    raise ApplyError(
        f"{patch.name} does not apply to {base.name} ({base.version}): {_where(plain, patch)}",
        lines=tuple(plain.complaint.splitlines()[:6]),
    )


def _refuse_paths(patch: Patch) -> None:
    """git refuses most of them too, but strips the slash in front of a path and says less."""
    for one in diff.files(patch.data, patch.strip):
        for name in one.named:
            if name.startswith("/"):
                raise ApplyError(f"{patch.name} names {name}, an absolute path")
        for path in one.paths:
            parts = path.split("/")
            if ".." in parts:
                raise ApplyError(f"{patch.name} names {path}, outside of the tree")
            if any(part.lower() == ".git" for part in parts):
                raise ApplyError(f"{patch.name} names {path}, a path into .git")


def _refuse_links(git: Git, base: Base, stack: Series, tree: str) -> None:
    """No link that the series makes may lead out of the tree: a slot is built in, and shown to
    guests. Nor may it bring another repository in."""
    for entry in git.out("diff-tree", "-r", "-z", base.tree, tree).split("\0:"):
        state, _, path = entry.partition("\0")
        path = path.rstrip("\0")
        words = state.removeprefix(":").split()
        if len(words) < 4 or words[1] not in ("120000", "160000"):
            continue
        what = "a submodule"
        if words[1] == "120000":
            target = git.run("cat-file", "blob", words[3]).stdout.decode(errors="replace")
            if not _leads_out(path, target):
                continue
            what = f"a symbolic link that leaves the tree (to {target})"
        guilty = [p.name for p in stack.patches if path in series.touched(p)] or [stack.name]
        raise ApplyError(f"{guilty[-1]} makes {path} {what}")


def _leads_out(path: str, target: str) -> bool:
    """True for a link that could. `..` after a name counts as one, as the name may be a link."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = list(itertools.takewhile(lambda part: part == "..", parts))
    return target.startswith("/") or len(ups) > path.count("/") or ".." in parts[len(ups) :]


def _where(failed: proc.Completed, patch: Patch) -> str:
    """`fs/aio.c hunk 2` from git's complaint."""
    if found := re.search(r"patch failed: (.+):(\d+)", failed.complaint):
        number = series.hunk_at(patch, found[1], int(found[2]))
        return f"{found[1]} hunk {number}" if number else f"{found[1]} line {found[2]}"
    if found := re.search(
        r"error: affected file '(.+)' is beyond a symbolic link", failed.complaint
    ):
        return f"{found[1]} would be written through a symbolic link"
    if found := re.search(r"error: (.+: (?:does not exist|already exists).*)", failed.complaint):
        return found[1]
    if found := re.search(r"error: (.*)", failed.complaint):
        return found[1]
    return "git apply refused it"
