# SPDX-License-Identifier: GPL-2.0-only
"""The history of a tree between two commits, as far as it can be had.

A checkout of the user's has its own, which is only read. Of a URL tree.py has the newest commit
alone: its history goes into a second mirror beside that one, commits and directories without
files (git fetches those that are looked at), so that the first stays whole and shallow.
"""

import logging
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import cache, tree
from harness.errors import HostError, UsageError
from harness.git import Git, init_mirror
from harness.model import Base

log = logging.getLogger(__name__)

_FETCH_S = 1800.0
# How much older than the good end what was merged since may be, before it is cut off.
_MARGINS = (timedelta(days=60), timedelta(days=730))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Two commits (40 hex), `good` an ancestor of `bad`. `base` is the tree at the bad end, in a
    mirror that has what lies between."""

    base: Base
    good: str
    bad: str


def span(name: str, good: str, bad: str | None = None) -> Span:
    """The history of a tree from `good` to `bad` (default: its newest commit).

    Both as git names commits; of a URL a tag, a branch or 40 digits. UsageError for a tree without
    history, a commit that it does not have, a good end that is no ancestor. HostError when a
    server gives nothing.
    """
    base = tree.resolve(name)
    if base.imported:
        raise UsageError(
            f"{name} has no history: it was imported from a tarball or a directory",
            hint="name a git checkout or the URL of one with --tree",
        )
    place = tree.added().get(name, name)
    found = _remote(base, place, (good, bad)) if "://" in place else _local(name, good, bad)
    _refuse_strangers(found)
    return found


def commit(name: str, rev: str) -> str:
    """The commit (hex) that `rev` names in the checkout `name`; of any other tree `rev` as it is.
    UsageError where git finds none."""
    return _own(tree.checkout(name), rev) if tree.is_checkout(name) else rev


def _local(name: str, good: str, bad: str | None) -> Span:
    opened = tree.checkout(name)
    low = _own(opened, good)
    high = opened.head if bad is None else _own(opened, bad)
    return Span(base=tree.resolve(name, high), good=low, bad=high)


def _own(opened: tree.Checkout, commit: str) -> str:
    wanted = ("rev-parse", "--verify", "-q", "--end-of-options", f"{commit}^{{commit}}")
    done = tree.user_git(opened.path, *wanted)
    if done.status:
        shallow = (opened.mirror / "shallow").exists()
        raise UsageError(
            f"{opened.path}: git finds no commit {commit} there",
            hint=f"its history is cut off: `git -C {opened.path} fetch --unshallow` brings the rest"
            if shallow
            else "",
        )
    return done.text


def _refuse_strangers(span: Span) -> None:
    git = Git(span.base.mirror)
    if not git.run("merge-base", "--is-ancestor", span.good, span.bad).status:
        return
    fork = git.run("merge-base", span.good, span.bad)
    if not fork.status and fork.text != span.bad:
        hint = f"their last common commit is {fork.text[:12]}: name that as the good one"
    elif fork.status and (span.base.mirror / "shallow").exists():
        hint = "its history is cut off before they meet; or have they changed places?"
    else:
        hint = "have they changed places?"
    raise UsageError(
        f"{span.base.name}: {span.good[:12]} is no ancestor of {span.bad[:12]}", hint=hint
    )


def _remote(base: Base, url: str, wanted: tuple[str, str | None]) -> Span:
    mirror = base.mirror.with_suffix(".history.git")

    def waiting() -> None:
        log.info("waiting for another run that fetches into %s", mirror.name)

    with cache.locked(mirror.with_suffix(".lock"), timeout_s=_FETCH_S, waiting=waiting):
        init_mirror(mirror)
        good = _commit(mirror, url, wanted[0])
        bad = _commit(mirror, url, wanted[1] or base.commit)
        git = Git(mirror)
        since = datetime.fromtimestamp(int(git.out("show", "-s", "--format=%ct", good)), UTC)
        for margin in _MARGINS:
            if _whole(mirror, good, bad):
                break
            _fetch(mirror, url, bad, f"--shallow-since={(since - margin).isoformat()}")
        held = git.out("rev-parse", f"{bad}^{{tree}}")
    return Span(base=replace(base, mirror=mirror, commit=bad, tree=held), good=good, bad=bad)


def _commit(mirror: Path, url: str, name: str) -> str:
    """A commit of the server's as a hash, with itself and no history where it is not here."""
    if re.fullmatch(r"[0-9a-f]{7,40}", name):
        # Not rev-parse: that would fetch a missing commit by itself, and whoever then looks for
        # its parents all of history one by one.
        known = Git(mirror).run("rev-list", "--missing=allow-any", "--no-walk", name, "--")
        if not known.status:
            return known.text
    return _fetch(mirror, url, name, "--depth=1")


def _fetch(mirror: Path, url: str, name: str, depth: str) -> str:
    log.info("fetching the history of %s", url)
    git, kept = Git(mirror), f"refs/harness/{cache.digest(name)}"
    wanted = ("fetch", "-q", "--no-tags", "--filter=blob:none", depth, url, f"+{name}:{kept}")
    if (done := git.run(*wanted)).status:
        last = tuple(done.complaint.splitlines()[-3:])
        hint = "a commit of a URL is named by a tag, a branch or all 40 digits"
        raise HostError(f"cannot fetch {name} of {url}", hint=hint, lines=last)
    return git.out("rev-parse", f"{kept}^{{commit}}")


def _whole(mirror: Path, good: str, bad: str) -> bool:
    """Is all there that came after `good`, side branches with their forks included?"""
    git, cut = Git(mirror), mirror / "shallow"
    if git.run("merge-base", "--is-ancestor", good, bad).status:
        return False
    ends = set(cut.read_text().split()) if cut.exists() else set()
    return ends.isdisjoint(git.out("rev-list", bad, f"^{good}").split())
