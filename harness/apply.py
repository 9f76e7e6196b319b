# SPDX-License-Identifier: GPL-2.0-only
"""A series applied to a tree object: like `git am`, without a checkout and without commits."""

import contextlib
import itertools
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import cache, diff, proc, series
from harness.errors import ApplyError
from harness.git import Git
from harness.model import Base, Patch, Series

_APPLY = ("apply", "--cached", "--whitespace=nowarn")
# Modes of symbolic links and submodules; a rename need not tell the mode of what it moves.
_MAKES_LINKS = re.compile(rb"^(?:[a-z .0-9]+ 1[26]0000|rename |copy )", re.MULTILINE)


def apply(base: Base, stack: Series) -> str:
    """The tree object (40 hex) of `base` with the series applied; ApplyError names patch, file
    and hunk. Remembered by content, so a second call starts no process.

    Hunks may be off by lines, but never fuzzy. Refused is what would reach out of the tree: paths
    that do, paths into .git, symbolic links that point out and files behind links.
    """
    if not stack.patches:
        return base.tree
    # The mirror counts: the tree object lies in it, and nowhere else.
    key = cache.digest(base.mirror.name, base.tree, [(p.strip, p.data) for p in stack.patches])
    memo = cache.root() / "applied" / key
    with contextlib.suppress(OSError):
        return memo.read_text().strip()
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as scratch:
        git = Git(base.mirror, index=Path(scratch) / "index")
        shutil.copyfile(_index(base), Path(scratch) / "index")
        for patch in stack.patches:
            _refuse_paths(patch)
        if not _apply_all(git, stack.patches, Path(scratch)):
            for patch in stack.patches:
                _apply_one(git, base, patch)
        tree = git.out("write-tree")
        if any(_MAKES_LINKS.search(patch.data) for patch in stack.patches):
            _refuse_links(git, base, stack, tree)
    cache.write_whole(memo, f"{tree}\n".encode())
    return tree


def _index(base: Base) -> Path:
    """An index of the base's tree, made once: git takes a tenth of a second and more for it, as
    it reads every directory."""
    kept = cache.root() / "indexes" / f"{base.mirror.name}-{base.tree}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="harness-index-") as scratch:
            made = Path(scratch) / "index"
            Git(base.mirror, index=made).out("read-tree", base.tree)
            cache.write_whole(kept, made.read_bytes())
    return kept


def _apply_all(git: Git, patches: Sequence[Patch], scratch: Path) -> bool:
    """Apply them in one go where they all apply, as each go writes a kernel's whole index; else
    nothing is applied."""
    if len({patch.strip for patch in patches}) > 1:
        return False
    files = [scratch / f"{number:04}" for number in range(len(patches))]
    for file, patch in zip(files, patches, strict=True):
        file.write_bytes(patch.data)
    return not git.run(*_APPLY, f"-p{patches[0].strip}", *map(str, files)).status


def _apply_one(git: Git, base: Base, patch: Patch) -> None:
    apply = (*_APPLY, f"-p{patch.strip}")
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
    raw = git.run("diff-tree", "-r", "-z", base.tree, tree).stdout
    fields = raw.decode(errors="surrogateescape").split("\0")
    for state, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = state.split(" ")
        if mode not in ("120000", "160000"):
            continue
        what = "a submodule"
        if mode == "120000":
            target = git.run("cat-file", "blob", blob).stdout.decode(errors="replace")
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
