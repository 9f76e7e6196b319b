# SPDX-License-Identifier: GPL-2.0-only
"""Histories of many commits, made in one go by git fast-import; also for bench/."""

import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit import fakes

Edits = frozenset[int]
Render = Callable[[str, Edits], bytes]
_START = 1_700_000_000


@dataclass(slots=True, kw_only=True)
class Stream:
    """Commits to be written: each adds its number to the edits of one file, a merge has those of
    all its parents. What a file with some edits holds is `render`'s."""

    render: Render
    onto: str = ""
    parents: dict[int, tuple[int, ...]] = field(default_factory=dict)
    state: dict[int, dict[str, Edits]] = field(default_factory=lambda: {0: {}})
    _lines: list[bytes] = field(default_factory=list)

    def commit(self, parents: tuple[int, ...], path: str = "") -> int:
        """One commit, by its mark; parent 0 is what the history goes onto. `path` gets an edit."""
        mark = len(self.parents) + 1
        state = dict(self.state[parents[0]])
        for other in parents[1:]:
            for name, edits in self.state[other].items():
                state[name] = state.get(name, frozenset()) | edits
        if path:
            state[path] = state.get(path, frozenset()) | {mark}
        first = self.state[parents[0]]
        changed = {name for name in state if state[name] != first.get(name)}
        files = {name: self.render(name, state[name]) for name in sorted(changed)}
        self._add(mark, parents, files)
        self.parents[mark], self.state[mark] = parents, state
        return mark

    def _add(self, mark: int, parents: tuple[int, ...], files: dict[str, bytes]) -> None:
        subject = f"{'merge' if len(parents) > 1 else 'commit'} {mark}".encode()
        who = f"t <t@localhost> {_START + 60 * mark} +0000".encode()
        self._lines += [b"commit refs/heads/main", f"mark :{mark}".encode()]
        self._lines += [b"author " + who, b"committer " + who]
        self._lines += [b"data %d" % len(subject), subject]
        names = [f":{parent}" if parent else self.onto for parent in parents]
        words = ["from", *["merge"] * (len(names) - 1)]
        self._lines += [f"{w} {n}".encode() for w, n in zip(words, names, strict=True) if n]
        for name, data in files.items():
            self._lines += [f"M 100644 inline {name}".encode(), b"data %d" % len(data), data]

    def write(self, repository: Path) -> dict[int, str]:
        """Write them into a repository, the last one as its main branch: mark -> hash."""
        marks = repository / "marks"
        subprocess.run(
            ["git", "-C", str(repository), "fast-import", "--quiet", f"--export-marks={marks}"],
            input=b"\n".join(self._lines) + b"\n",
            env={**os.environ, **fakes.ENV},
            check=True,
        )
        pairs = [line.split() for line in marks.read_text().splitlines()]
        return {int(mark[1:]): commit for mark, commit in pairs}


def grow(stream: Stream, count: int, name: Callable[[int], str], *, seed: int = 1) -> list[int]:
    """`count` commits: a main line, which is returned, and branches of one to eight that leave it
    up to thirty commits before they are merged. `name` says which file a commit edits."""
    dice = random.Random(seed)
    line = [stream.commit((0,), name(1))]
    while (made := len(stream.parents)) < count:
        if dice.random() < 0.8 or count - made < 10:
            line.append(stream.commit((line[-1],), name(made + 1)))
            continue
        tip = dice.choice(line[-30:])
        for _ in range(dice.randint(1, 8)):
            tip = stream.commit((tip,), name(len(stream.parents) + 1))
        line.append(stream.commit((line[-1], tip)))
    return line


def chain(stream: Stream, count: int, name: Callable[[int], str]) -> list[int]:
    """`count` commits without a branch."""
    line = [stream.commit((0,), name(1))]
    while len(line) < count:
        line.append(stream.commit((line[-1],), name(len(line) + 1)))
    return line
