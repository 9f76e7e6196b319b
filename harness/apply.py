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
        tree = memo.read_text().strip()
        cache.touch(memo)
        return tree
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as scratch:
        git = Git(base.mirror, index=Path(scratch) / "index")
        _put_index(base, Path(scratch) / "index")
        _apply_to_index(git, base, stack)
        tree = git.out("write-tree")
    cache.write_whole(memo, f"{tree}\n".encode())
    return tree


def named(stack: Series) -> list[str]:
    """The files that a series names, less what is no path in any tree: that is refused."""
    paths = diff.touched(stack.patches)
    return sorted(path for path in paths if not {"", ".", ".."} & {*path.split("/")})


def visible(mirror: Path, commit: str, stack: Series) -> bytes:
    """What of a commit's tree decides whether the series applies to it, as `git ls-tree -z` says
    it: equal bytes, equal answer.

    That is the files that the series names, all below where one of them is a directory, and
    what is no directory where one would have to be. Attributes are no part of it: in a bare
    repository git does not look for them in the index.
    """
    paths = named(stack)
    if not paths:
        return b""
    found = _listed(mirror, commit, paths, "-r")
    there = {above for path in found for above in _above(path)}
    # Most often none: a new file comes beside old ones.
    if unsure := {above for path in paths for above in _above(path)} - there:
        near = _listed(mirror, commit, sorted(unsure))
        found |= {
            path: line
            for path, line in near.items()
            if path in unsure and not line.startswith(b"040000 ")
        }
    return b"".join(found[path] for path in sorted(found))


def _listed(mirror: Path, commit: str, paths: list[str], *how: str) -> dict[str, bytes]:
    """Path -> line of git ls-tree."""
    wanted = ("--literal-pathspecs", "ls-tree", "-z", *how, commit, "--", *paths)
    done = proc.check(Git(mirror).run(*wanted), f"git ls-tree {commit[:12]} failed")
    lines = [line + b"\0" for line in done.stdout.split(b"\0")[:-1]]
    return {_path_of(line): line for line in lines}


def _path_of(line: bytes) -> str:
    return line.partition(b"\t")[2].rstrip(b"\0").decode(errors="surrogateescape")


def _above(path: str) -> list[str]:
    """The directories that a path is in: a and a/b for a/b/c."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def check(base: Base, stack: Series, seen: bytes) -> None:
    """Raise the ApplyError that apply() would for a tree of which visible() gives `seen`.

    Milliseconds, where apply() has a kernel's whole index to read and write. Of `base` only its
    mirror counts, which is not written to, and what it is called.
    """
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as scratch:
        objects = Path(scratch) / "objects"
        objects.mkdir()
        git = Git(base.mirror, index=Path(scratch) / "index", objects=objects)
        git.out("update-index", "-z", "--index-info", feed=seen)
        _apply_to_index(git, base, stack)


def _apply_to_index(git: Git, base: Base, stack: Series) -> None:
    """The one truth of what applies: to an index that holds base, or what the series can see."""
    for patch in stack.patches:
        _refuse_paths(patch)
    links = any(_MAKES_LINKS.search(patch.data) for patch in stack.patches)
    before = git.out("write-tree") if links else ""
    if not _apply_all(git, stack.patches):
        for patch in stack.patches:
            _apply_one(git, base, patch)
    if links:
        _refuse_links(git, stack, before)


def _put_index(base: Base, target: Path) -> None:
    """An index of the base's tree, made once: git takes a tenth of a second and more for it, as
    it reads every directory."""
    kept = cache.root() / "indexes" / f"{base.mirror.name}-{base.tree}"
    try:
        shutil.copyfile(kept, target)
    except FileNotFoundError:
        Git(base.mirror, index=target).out("read-tree", base.tree)
        cache.write_whole(kept, target.read_bytes())
    else:
        cache.touch(kept)


def _apply_all(git: Git, patches: Sequence[Patch]) -> bool:
    """Apply them in one go where they all apply, as each go writes a kernel's whole index; else
    nothing is applied."""
    if len({patch.strip for patch in patches}) > 1:
        return False
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as scratch:
        files = [Path(scratch) / f"{number:04}" for number in range(len(patches))]
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
            patch=patch.name,
            where="",
            hint="drop it from the series file, or name an older tree with --tree",
        )
    before = git.out("write-tree")
    # For a new file that is there already git reads the current directory's, for all of --cached,
    # and makes it where there is none.
    with tempfile.TemporaryDirectory(prefix="harness-apply-") as empty:
        if not git.run(*apply, "--3way", feed=patch.data, cwd=Path(empty)).status:
            return
    git.run("read-tree", "--reset", before)
    where = _where(plain, patch)
    raise ApplyError(
        f"{patch.name} does not apply to {base.name} ({base.version}): {where}",
        patch=patch.name,
        where=where,
        lines=tuple(plain.complaint.splitlines()[:6]),
    )


def _refuse_paths(patch: Patch) -> None:
    """git refuses most of them too, but strips the slash in front of a path and says less."""

    def refuse(path: str, what: str) -> None:
        raise ApplyError(f"{patch.name} names {path}, {what}", patch=patch.name, where=path)

    for one in diff.files(patch.data, patch.strip):
        for name in one.named:
            if name.startswith("/"):
                refuse(name, "an absolute path")
        for path in one.paths:
            parts = path.split("/")
            if ".." in parts:
                refuse(path, "outside of the tree")
            if any(part.lower() == ".git" for part in parts):
                refuse(path, "a path into .git")


def _refuse_links(git: Git, stack: Series, before: str) -> None:
    """No link that the series makes may lead out of the tree: a slot is built in, and shown to
    guests. Nor may it bring another repository in."""
    raw = git.run("diff-tree", "-r", "-z", before, git.out("write-tree")).stdout
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
        raise ApplyError(f"{guilty[-1]} makes {path} {what}", patch=guilty[-1], where=path)


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
