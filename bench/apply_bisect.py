#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which of 1,000 commits broke a series, on a whole kernel's tree.

    python -m bench.apply_bisect [--tree 6.12] [--rounds N]

The histories are made up on the named tree, in repositories of their own that borrow its objects:
a main line and merged branches, one edit each. One of them renames a variable in the context of
aio-poll. Prints checks and seconds where 1 in 30, 1 in 3 and all of the commits edit fs/aio.c, and
where there are no branches. The promise: the right commit, at most 12 checks, at most 15 s.
"""

import argparse
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

from harness import apply_bisect, lineage, project, series, tree
from harness.git import Git
from harness.model import Base
from tests.unit.histories import Edits, Stream, chain, grow

COMMITS = 1001  # the first is the good end
AIO = "fs/aio.c"


class Edited:
    """Which file a commit edits, what is in it then, and which commit breaks the series."""

    def __init__(self, base: Base, every: int, seed: int) -> None:
        git = Git(base.mirror)
        self._aio = git.run("cat-file", "blob", f"{base.commit}:{AIO}").stdout
        names = git.out("ls-tree", "-r", "--name-only", base.commit).splitlines()
        self._dice = random.Random(seed)
        sources = [name for name in names if name.endswith(".c") and name != AIO]
        self._others = self._dice.sample(sources, 400)
        self._every, self._from = every, self._dice.randint(2, COMMITS - 100)
        self.culprit = 0

    def name(self, mark: int) -> str:
        """The file that a commit edits."""
        if mark % self._every:
            return self._dice.choice(self._others)
        if mark >= self._from and not self.culprit:
            self.culprit = mark
        return AIO

    def render(self, path: str, edits: Edits) -> bytes:
        """That file with some edits, one line each; where nobody looks, they are all there is."""
        head = "".join(f"/* edit {number} */\n" for number in sorted(edits)).encode()
        if path != AIO:
            return head
        broken = self.culprit in edits
        return head + (self._aio.replace(b"kioctx *ctx", b"kioctx *owner") if broken else self._aio)


def measure(base: Base, place: Path, *, every: int, seed: int, branches: bool) -> str:
    """One history, made at `place`, and what became of the search."""
    edited = Edited(base, every, seed)
    stream = Stream(render=edited.render, onto=base.commit)
    if branches:
        line = grow(stream, COMMITS, edited.name, seed=seed)
    else:
        line = chain(stream, COMMITS, edited.name)
    subprocess.run(["git", "init", "-q", "-b", "main", str(place)], check=True)
    (place / ".git/objects/info/alternates").write_text(f"{base.mirror / 'objects'}\n")
    hashes = stream.write(place)
    stack = series.load(project.root(), "aio-poll", tree.base_name(base.name))
    began = time.monotonic()
    found = apply_bisect.find(lineage.span(str(place), hashes[line[0]]), stack)
    took_s = time.monotonic() - began
    if found is None or found.commit != hashes[edited.culprit]:
        return f"WRONG: {found}"
    return (
        f"{found.checks:>2} checks, {took_s:.2f} s for {found.commits} commits, of which "
        f"{found.suspects} change {AIO}"
    )


def main() -> None:
    """Print a line for each history."""
    made = argparse.ArgumentParser(description="Which of 1,000 commits broke a series.")
    made.add_argument("--tree", default="6.12")
    made.add_argument("--rounds", type=int, default=3)
    arguments = made.parse_args()
    base = tree.resolve(arguments.tree)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch  # nothing is known, nothing stays
        for every, branches in ((30, True), (3, True), (1, True), (1, False)):
            for seed in range(arguments.rounds):
                place = Path(scratch) / f"{every}-{branches}-{seed}"
                said = measure(base, place, every=every, seed=seed, branches=branches)
                kind = "branches" if branches else "no branches"
                print(f"edits 1 in {every:<2} {kind:<11} {said}", flush=True)


if __name__ == "__main__":
    main()
