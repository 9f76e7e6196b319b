# SPDX-License-Identifier: GPL-2.0-only
"""A series applied to a tree object: like `git am`, without a checkout and without commits."""

import contextlib
import re
import tempfile
from pathlib import Path

from harness import cache, proc, series
from harness.errors import ApplyError
from harness.git import Git
from harness.model import Base, Patch, Series


def apply(base: Base, stack: Series) -> str:
    """The tree object (40 hex) of `base` with the series applied; ApplyError names patch, file
    and hunk. Remembered by content, so a second call starts no process."""
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
            _apply_one(git, base, patch)
        tree = git.out("write-tree")
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


def _where(failed: proc.Completed, patch: Patch) -> str:
    """`fs/aio.c hunk 2` from git's complaint."""
    if found := re.search(r"patch failed: (.+):(\d+)", failed.complaint):
        number = series.hunk_at(patch, found[1], int(found[2]))
        return f"{found[1]} hunk {number}" if number else f"{found[1]} line {found[2]}"
    if found := re.search(r"error: (.+: (?:does not exist|already exists).*)", failed.complaint):
        return found[1]
    if found := re.search(r"error: (.*)", failed.complaint):
        return found[1]
    return "git apply refused it"
