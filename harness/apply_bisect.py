# SPDX-License-Identifier: GPL-2.0-only
"""The upstream commit since which a series does not apply, without a build or a checkout.

A check is apply.check(): the patches on an index of no more than the files that they name. Commits
in which these are the same give the same answer and are checked once.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from harness import apply, breaker
from harness.errors import ApplyError, UsageError
from harness.git import Git
from harness.lineage import Span
from harness.model import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The commit that broke a series, and what git says there.

    `date` is the author's (ISO 8601), `parents` are hashes. `patch` does not apply at `where` (file
    and hunk), or is in the tree already where that is empty. `files` are those of the series that
    the commit changed. `never`: the parent of a merge to whose side the series never applied; to
    the others it does. `commits` lie between good and bad, `suspects` of them touch the series'
    files, `checks` were made.
    """

    commit: str
    parents: tuple[str, ...]
    subject: str
    author: str
    date: str
    patch: str
    where: str
    message: str
    files: tuple[str, ...]
    never: str
    commits: int
    suspects: int
    checks: int
    duration_s: float


def find(span: Span, stack: Series) -> Broken | None:
    """The commit of `span` that broke `stack`; None when it applies to the bad end.

    Where it broke, was mended and broke again, one of these. UsageError when the series does not
    apply to the good end, nor to anything that was tried after it.
    """
    began = time.monotonic()
    checks = _Checks(span, stack)
    if checks.holds(span.bad):
        return None
    history = _History(span.base.mirror)
    suspects = history.touching(span, stack)
    found = breaker.search(history, (span.good, span.bad), checks.holds, suspects)
    if found is None:
        raise UsageError(
            f"{stack.name} does not apply to the good end, {span.good[:12]}, either",
            hint="name an older one, to which it did",
            lines=(checks.why(span.good).message,),
        )
    refused = checks.why(found.commit)
    parents, author, date, subject = history.about(found.commit)
    before = next(parent for parent in parents if parent != found.never)
    return Broken(
        commit=found.commit,
        parents=parents,
        subject=subject,
        author=author,
        date=date,
        patch=refused.patch,
        where=refused.where,
        message=refused.message,
        files=checks.changed(before, found.commit),
        never=found.never,
        commits=len(history.between(span.good, span.bad)),
        suspects=len(suspects),
        checks=checks.count,
        duration_s=time.monotonic() - began,
    )


class _Checks:
    """Does it apply there? Each state of the series' files is tried once."""

    def __init__(self, span: Span, stack: Series) -> None:
        self._base, self._stack = span.base, stack
        self._seen: dict[str, bytes] = {}
        self._refusals: dict[bytes, ApplyError | None] = {}

    @property
    def count(self) -> int:
        return len(self._refusals)

    def holds(self, commit: str) -> bool:
        """Does it apply there?"""
        seen = self._visible(commit)
        if seen not in self._refusals:
            self._refusals[seen] = self._try(seen)
        return self._refusals[seen] is None

    def why(self, commit: str) -> ApplyError:
        """What apply.apply() would say where it does not apply."""
        refused = self._refusals[self._visible(commit)]
        assert refused is not None
        return refused

    def changed(self, one: str, other: str) -> tuple[str, ...]:
        """The files of the series that differ between two commits."""
        sides = [set(self._visible(commit).split(b"\0")) for commit in (one, other)]
        paths = {line.partition(b"\t")[2] for line in sides[0] ^ sides[1]}
        return tuple(sorted(path.decode(errors="replace") for path in paths))

    def _visible(self, commit: str) -> bytes:
        if commit not in self._seen:
            self._seen[commit] = apply.visible(self._base.mirror, commit, self._stack)
        return self._seen[commit]

    def _try(self, seen: bytes) -> ApplyError | None:
        try:
            apply.check(self._base, self._stack, seen)
        except ApplyError as error:
            return error
        return None


class _History:
    """breaker.History of a mirror."""

    def __init__(self, mirror: Path) -> None:
        self._git = Git(mirror)
        self._known: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}

    def between(self, old: str, new: str) -> dict[str, tuple[str, ...]]:
        if (old, new) not in self._known:
            wanted = ("rev-list", "--topo-order", "--reverse", "--parents", new, f"^{old}")
            lines = [line.split() for line in self._git.out(*wanted).splitlines()]
            self._known[old, new] = {commit: tuple(parents) for commit, *parents in lines}
        return self._known[old, new]

    def fork(self, one: str, other: str) -> str | None:
        found = self._git.run("merge-base", one, other)
        return None if found.status else found.text

    def touching(self, span: Span, stack: Series) -> frozenset[str]:
        """The commits whose files of the series differ from those in every parent.

        Only such a commit can fail where all its parents apply: with one parent's files it would
        have that parent's answer. Of merges these are the ones that --full-history lists too;
        without it git follows, at a merge that equals one parent, only that one, and never sees
        what was lost from the other side. What it cannot see is a directory above a new file that
        becomes a file itself; breaker.search() then finds the commit without this list.
        """
        if not (paths := apply.named(stack)):
            return frozenset()
        wanted = ("rev-list", "--full-history", span.bad, f"^{span.good}", "--", *paths)
        return frozenset(self._git.out("--literal-pathspecs", *wanted).split())

    def about(self, commit: str) -> tuple[tuple[str, ...], str, str, str]:
        """Parents, author, date and subject."""
        # %x00 as no field can hold one; the subject comes last, as git joins its lines.
        shown = self._git.out("show", "-s", "--format=%P%x00%an <%ae>%x00%aI%x00%s", commit)
        parents, author, date, subject = shown.split("\0", 3)
        return tuple(parents.split()), author, date, subject
