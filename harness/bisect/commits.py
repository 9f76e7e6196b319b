# SPDX-License-Identifier: GPL-2.0-only
"""The commits between two of a tree, as candidates; and what git says of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EndsError
from harness.git import Git
from harness.lineage import Span
from harness.model import Candidate

_FIELDS = "%H%x00%P%x00%s"
DIGITS = 12
"""Of a hash that a person reads, as Documentation/process/submitting-patches.rst wants for Fixes:
or more where git says that they name two."""
_ABOUT = "%h%x00%an <%ae>%x00%aI%x00%s"
_STAT = "--stat=76,50,20"  # columns in all, for names, and lines: a merge may bring thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A commit: its author's date (ISO 8601), its diffstat, the trailer that names it."""

    commit: str
    subject: str
    author: str
    date: str
    diffstat: tuple[str, ...]
    fixes: str


def between(span: Span) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The good end, and what the bad end has that it has not, parents first. EndsError where that
    is nothing."""
    git = Git(span.base.mirror)
    wanted = ("log", "--topo-order", "--reverse", f"--format={_FIELDS}", span.bad, f"^{span.good}")
    rows = [line.split("\0", 2) for line in git.out(*wanted).split("\n") if line]
    if not rows:
        raise EndsError(
            f"{span.base.name}: there is no commit between {span.good[:12]} and {span.bad[:12]}"
        )
    numbers: dict[str, int] = {commit: number for number, (commit, _, _) in enumerate(rows)}
    found = [
        Candidate(name=commit, title=subject, value=commit, parents=_known(parents, numbers))
        for commit, parents, subject in rows
    ]
    subject = git.out("show", "-s", "--format=%s", span.good)
    return Candidate(name=span.good, title=subject, value=span.good), tuple(found)


def _known(parents: str, numbers: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(numbers[one] for one in parents.split() if one in numbers)


def about(mirror: Path, commit: str) -> About:
    """What a report says of a commit; of a merge what it brought in, against its first parent.
    HostError where the mirror does not have it, or cannot get at it any more."""
    git = Git(mirror)
    wanted = ("show", "-s", f"--abbrev={DIGITS}", f"--format={_ABOUT}", commit)
    digits, author, date, subject = git.out(*wanted).split("\0", 3)
    # -m --first-parent: of a merge else nothing; and unlike diff-tree COMMIT^ it knows what to do
    # with a commit that has no parent.
    stat = git.out("show", "-m", "--first-parent", "-M", "--format=", _STAT, commit, "--")
    return About(
        commit=commit,
        subject=subject,
        author=author,
        date=date,
        diffstat=tuple(line.removeprefix(" ") for line in stat.splitlines() if line),
        fixes=fixes(digits, subject),
    )


def fixes(commit: str, subject: str) -> str:
    """The trailer that names a commit by its first digits."""
    return f'Fixes: {commit} ("{subject}")'
