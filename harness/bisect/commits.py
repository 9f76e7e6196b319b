# SPDX-License-Identifier: GPL-2.0-only
"""The commits between two of a tree, as candidates; and what git says of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EndsError
from harness.git import Git
from harness.lineage import Span
from harness.model import Candidate

_FIELDS = "%H%x00%P%x00%s"
_ABBREVIATED = 12  # digits, as Documentation/process/submitting-patches.rst wants for Fixes:


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
    rows = [line.split("\0", 2) for line in git.out(*wanted).splitlines()]
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
    """What a report says of a commit."""
    git = Git(mirror)
    shown = git.out("show", "-s", "--format=%an <%ae>%x00%aI%x00%s", commit)
    author, date, subject = shown.split("\0", 2)
    # The first parent's side: of a merge, what it brought in.
    stat = git.out("diff-tree", "-r", "--stat=80", "--no-commit-id", "-M", f"{commit}^", commit)
    return About(
        commit=commit,
        subject=subject,
        author=author,
        date=date,
        diffstat=tuple(re.sub(r"^ ", "", line) for line in stat.splitlines()),
        fixes=f'Fixes: {commit[:_ABBREVIATED]} ("{subject}")',
    )
