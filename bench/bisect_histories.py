#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Histories of 64 kernel commits, one of which breaks io_getevents(), to bisect.

    python -m bench.bisect_histories DIR [--flaky] [--tree 6.12] [--seed N] [--list]

Makes a bare repository DIR that borrows the objects of the tree's mirror, with branches main (the
bad end) and good (the tree itself), and prints the hashes of good, bad and culprit. The commits are
small edits of files that our kernels have in them: code, a few headers, comments; four commits do
not build, two of them in a row. The culprit makes io_getevents() refuse to ask for no events, which
guest-tests/aio-core's getevents-args notices and no other test of that suite does. With --flaky it
refuses in one call of five, which is one run of that test in five; and in ten commits before it
eventfd() is a NULL pointer dereference, in four of these the boot too.
"""

import argparse
import enum
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import kernel_bugs, kernel_edits
from bench.kernel_bugs import AIO, Swap
from bench.kernel_edits import Edit, Maker
from harness import tree
from harness.git import Git
from harness.model import Base

COMMITS = 64
TEST = "aio-core/getevents-args"
_START = 1_730_000_000
_STRETCH = 10  # commits that crash
_LEAD = 13  # so far before the culprit they begin
_PANIC = 6  # commits later the boot ends too

# In every kernel of ours (kconfigs/base.config), and not among those that are edited by hand below.
_NAMES = {
    "fs": "attr buffer char_dev dcache eventpoll exec fcntl file file_table inode ioctl libfs locks"
    " namei namespace open pipe read_write seq_file signalfd splice stat super sync utimes xattr",
    "kernel": "cred exit fork groups kthread nsproxy params pid ptrace reboot resource signal sys"
    " task_work umh",
    "mm": "filemap madvise mempool mlock mmap mprotect mremap readahead shmem truncate util"
    " vmalloc",
    "lib": "cmdline idr iov_iter klist kstrtox parser scatterlist",
    "drivers": "char/mem tty/pty tty/tty_io",
    "ipc": "sem",
    "net": "core/datagram core/scm unix/af_unix",
}
SOURCES = tuple(f"{top}/{name}.c" for top, names in _NAMES.items() for name in names.split())
# What includes them: 2, 10, 21 and 68 of some 1300 objects.
HEADERS = (
    "include/linux/aio.h",
    "include/linux/fdtable.h",
    "include/linux/pipe_fs_i.h",
    "fs/internal.h",
)
PEOPLE = (
    "Ada Brook <ada.brook@example.org>",
    "Emil Sand <emil@sand.example>",
    "Jun Ohara <jun.ohara@example.com>",
    "Maria del Rio <mdelrio@example.net>",
    "Nils Holm <nils.holm@example.org>",
    "Priya Nair <priya@nair.example>",
    "Tomas Vlk <tvlk@example.com>",
)


class Kind(enum.StrEnum):
    """What a commit is."""

    CODE = "code"
    HEADER = "header"
    COMMENT = "comment"
    BREAKS = "breaks"  # does not build from here
    MENDS = "mends"  # ... to before here
    CULPRIT = "culprit"
    CRASHES = "crashes"
    PANICS = "panics"
    CURES = "cures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A commit to be made: what it is, by whom, and for edits by hand which one."""

    kind: Kind
    builds: bool
    crashes: bool
    author: str
    date: int
    swap: Swap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A history that was made: hashes of 40 hex; `plan` says what each of `commits` is. A tag of
    its name keeps it in the repository at `place`."""

    name: str
    place: Path
    good: str
    commits: tuple[str, ...]
    plan: tuple[Planned, ...]

    @property
    def bad(self) -> str:
        """The last commit."""
        return self.commits[-1]

    @property
    def culprit(self) -> str:
        """The commit to be found."""
        return self.commits[[one.kind for one in self.plan].index(Kind.CULPRIT)]


def plan(*, seed: int = 1, flaky: bool = False) -> tuple[Planned, ...]:
    """What the 64 commits are. Of one seed both histories differ in the culprit, and in the
    three edits of fs/eventfd.c that the flaky one has in place of others."""
    dice = random.Random(seed)
    kinds = [Kind.CODE] * COMMITS
    swaps: dict[int, Swap] = {}
    culprit = dice.randint(24, 56)
    crash = culprit - _LEAD
    taken = set(range(crash - 1, culprit + 2))
    for (breaks, mends), unbuilt in zip(kernel_bugs.BREAKS, (2, 1, 1), strict=True):
        wanted = [set(range(at - 1, at + unbuilt + 2)) for at in range(1, COMMITS - unbuilt - 1)]
        around = dice.choice([sorted(one) for one in wanted if not one & taken])
        first, last = around[1], around[-2]
        kinds[first], kinds[last] = Kind.BREAKS, Kind.MENDS
        swaps |= {first: breaks, last: mends}
        taken |= set(around)
    by_hand = {*swaps, culprit, crash, crash + _PANIC, crash + _STRETCH}
    free = [number for number in range(COMMITS) if number not in by_hand]
    for number, kind in zip(
        dice.sample(free, 12), [Kind.COMMENT] * 8 + [Kind.HEADER] * 4, strict=True
    ):
        kinds[number] = kind
    kinds[culprit] = Kind.CULPRIT
    swaps[culprit] = kernel_bugs.SOMETIMES if flaky else kernel_bugs.ALWAYS
    if flaky:
        for number, kind, swap in (
            (crash, Kind.CRASHES, kernel_bugs.CRASHES),
            (crash + _PANIC, Kind.PANICS, kernel_bugs.PANICS),
            (crash + _STRETCH, Kind.CURES, kernel_bugs.CURES),
        ):
            kinds[number], swaps[number] = kind, swap
    return tuple(_planned(kinds, swaps, dice))


def _planned(kinds: list[Kind], swaps: dict[int, Swap], dice: random.Random) -> Iterator[Planned]:
    builds, crashes, date = True, False, _START
    for number, kind in enumerate(kinds):
        builds = kind is not Kind.BREAKS and (builds or kind is Kind.MENDS)
        crashes = kind is Kind.CRASHES or (crashes and kind is not Kind.CURES)
        date += dice.randint(600, 40_000)
        yield Planned(
            kind=kind,
            builds=builds,
            crashes=crashes,
            author=dice.choice(PEOPLE),
            date=date,
            swap=swaps.get(number),
        )


class _Files:
    """The tree's files as the history edits them."""

    def __init__(self, base: Base) -> None:
        self._git = Git(base.mirror)
        self._commit = base.commit
        self._texts: dict[str, str] = {}
        self._headers = list(HEADERS)

    def text(self, path: str) -> str:
        """A file as the last edit left it."""
        if path not in self._texts:
            blob = self._git.run("cat-file", "blob", f"{self._commit}:{path}").stdout
            self._texts[path] = blob.decode()
        return self._texts[path]

    def next(self, planned: Planned, dice: random.Random) -> tuple[str, Edit]:
        """Which file that commit edits, and how."""
        if planned.swap:
            path = planned.swap.path
            edit = planned.swap.edit(self.text(path))
        elif planned.kind is Kind.HEADER:
            path = self._headers.pop(0)
            edit = self._made(path, (kernel_edits.header,), dice)
        else:
            comments = planned.kind is Kind.COMMENT
            path, edit = self._any(kernel_edits.COMMENTS if comments else kernel_edits.CODE, dice)
        self._texts[path] = edit.text
        return path, edit

    def _any(self, makers: tuple[Maker, ...], dice: random.Random) -> tuple[str, Edit]:
        while True:
            path = AIO if dice.random() < 1 / 8 else dice.choice(SOURCES)
            maker = dice.choice(makers)
            if edit := maker(self.text(path), dice):
                return path, edit

    def _made(self, path: str, makers: tuple[Maker, ...], dice: random.Random) -> Edit:
        edit = dice.choice(makers)(self.text(path), dice)
        assert edit is not None
        return edit


def _prefix(path: str) -> str:
    where = Path(path)
    top = {"mm": "mm/", "lib": "lib/", "ipc": "ipc: "}.get(where.parts[0], "")
    return f"{top}{where.stem}"


def _commit(mark: int, planned: Planned, path: str, edit: Edit, parent: str) -> list[bytes]:
    """One commit as git fast-import reads it."""
    said = f"{_prefix(path)}: {edit.subject}\n\n{edit.body}\n".encode()
    data = edit.text.encode()
    committed = planned.date + 3600 * 5
    return [
        b"commit refs/heads/main",
        f"mark :{mark}".encode(),
        f"author {planned.author} {planned.date} +0100".encode(),
        f"committer Ines Maintainer <ines@example.org> {committed} +0000".encode(),
        b"data %d" % len(said),
        said,
        f"from {parent}".encode(),
        f"M 100644 inline {path}".encode(),
        b"data %d" % len(data),
        data,
    ]


def make(place: Path, *, base: Base, seed: int = 1, flaky: bool = False) -> History:
    """Make the history in a repository at `place`, which is made if there is none, as its main
    branch. Equal arguments give equal hashes, wherever it is."""
    planned = plan(seed=seed, flaky=flaky)
    files, parent = _Files(base), base.commit
    lines: list[bytes] = []
    for mark, one in enumerate(planned, 1):
        # Dice of its own, so that what is done by hand changes nothing else.
        path, edit = files.next(one, random.Random(f"{seed} {mark}"))
        lines += _commit(mark, one, path, edit, parent)
        parent = f":{mark}"
    _git(place.parent, "init", "-q", "--bare", "-b", "main", str(place))
    (place / "objects/info/alternates").write_text(f"{base.mirror / 'objects'}\n")
    marks, feed = place / "marks", b"\n".join(lines) + b"\n"
    _git(place, "fast-import", "--quiet", "--force", f"--export-marks={marks}", feed=feed)
    pairs = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    _git(place, "branch", "-f", "good", base.commit)
    name = f"{'sometimes' if flaky else 'always'}-{seed}"
    _git(place, "tag", "-f", name, "main")  # another one's main goes on from elsewhere
    commits = tuple(pairs[f":{mark}"] for mark in range(1, COMMITS + 1))
    return History(name=name, place=place, good=base.commit, commits=commits, plan=planned)


def _git(where: Path, *arguments: str, feed: bytes = b"") -> None:
    subprocess.run(["git", "-C", str(where), *arguments], input=feed, check=True)


def main() -> None:
    """Make one and print its hashes."""
    made = argparse.ArgumentParser(description="64 kernel commits to bisect, one of them guilty.")
    made.add_argument("dir", type=Path)
    made.add_argument("--flaky", action="store_true", help="it shows in one run of five")
    made.add_argument("--tree", default="6.12")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--list", action="store_true", help="each commit, and what it is")
    asked = made.parse_args()
    history = make(
        asked.dir.absolute(), base=tree.resolve(asked.tree), seed=asked.seed, flaky=asked.flaky
    )
    for name in ("good", "bad", "culprit"):
        print(f"{name:<8}{getattr(history, name)}")
    print(f"{'test':<8}{TEST}")
    if asked.list:
        for number, (commit, one) in enumerate(zip(history.commits, history.plan, strict=True), 1):
            state = "" if one.builds else ", does not build"
            state += ", crashes" if one.crashes else ""
            print(f"{number:>3} {commit[:12]} {one.kind}{state}")


if __name__ == "__main__":
    main()
