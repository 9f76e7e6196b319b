# SPDX-License-Identifier: GPL-2.0-only
"""The patches of a series as candidates, each with those before it."""

from harness import mbox
from harness.errors import EndsError
from harness.model import Candidate, Patch, Series


def of(stack: Series) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The tree without the series, and each patch with those before it."""
    if not stack.patches:
        raise EndsError(f"{stack.name} has no patch: there is nothing to search")
    found = tuple(
        Candidate(
            name=one.name,
            title=title(one),
            value=f"1-{number}",
            parents=(number - 2,) if number > 1 else (),
        )
        for number, one in enumerate(stack.patches, 1)
    )
    return Candidate(name="base", title="without the series", value="0"), found


def title(patch: Patch) -> str:
    """A patch's subject, its file's name for one without."""
    return mbox.parse(patch.data, patch.name).title or patch.name
