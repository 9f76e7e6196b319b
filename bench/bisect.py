#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""`harness bisect` against `git bisect run` with virtme-ng, on the same 64 kernel commits.

    python -m bench.bisect [--only peer|harness|flaky] [--seed N] [--work DIR [--keep]]
        [-- OPTION...]

Makes the histories of bench/bisect_histories.py. The peer is a worktree of its own, in which
bench/bisect_step.py builds and boots; .config, compiler, ccache and test program are those of the
harness. Both are warm when their time begins: each has built and tested both ends, which counts
for nothing. The harness has a cache of its own, without a kernel of an earlier measurement. Then
the same with a test that fails in one run of five beside an unrelated crash, where git bisect has
nothing to say. OPTIONs go to `harness bisect`. Promised: the culprit, at most 0.85 of the peer's
time, at most 0.2 of its time in boots and tests.

The first time in a DIR two whole kernels are built. A DIR that was kept is used again.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import bisect_histories, bisect_step
from bench.bisect_histories import TEST, History
from harness import cache, toolchain, tree

REPO = Path(__file__).parents[1]
WALL, BOOTS = 0.85, 0.2  # promised, of the peer's
_WHOLE_S = 4 * 3600
_STEP = Path(bisect_step.__file__)
_FOUND = re.compile(r"^([0-9a-f]{40}) is the first bad commit$", re.M)
# What an earlier measurement knows, or has compiled.
_KNOWN = ("kernels", "ccache", "states", "applied")
_UDEVD = (Path("/lib/systemd/systemd-udevd"), Path("/usr/lib/systemd/systemd-udevd"))
# In a guest of vng these are empty.
_HIDDEN = tuple(Path(name) for name in ("/tmp", "/run", "/dev/shm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One bisection, without the checks of its ends; times in seconds."""

    culprit: str
    steps: int
    builds: int
    boots: int
    build_s: float
    test_s: float
    wall_s: float
    ends_s: float
    probability: float | None = None


def _call(
    argv: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and standard output of a command; the rest goes where ours goes."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_WHOLE_S,
        check=False,
    )
    return done.returncode, done.stdout


def _git(where: Path, *arguments: str) -> str:
    status, said = _call(["git", "-C", str(where), *arguments])
    if status:
        raise SystemExit(f"git {arguments[0]} ended with {status} in {where}")
    return said


def _kernel() -> Path:
    """The directory of the kernel of the unpatched tree, for its .config; built where it isn't."""
    argv = [sys.executable, "-m", "harness", "run", "--tree", "6.12", "--suite", "aio-core"]
    with tempfile.TemporaryDirectory(prefix="bench-") as runs:
        asked = [*argv, "--test", TEST, "--accel", "tcg", "--output", runs, "--json"]
        status, said = _call(asked, cwd=REPO)
        if status:
            raise SystemExit(f"{TEST} ends with {status} on the unpatched tree")
        journal = (Path(json.loads(said)["run_dir"]) / "journal.jsonl").read_text()
    events = [json.loads(line) for line in journal.splitlines()]
    return next(Path(event["dir"]) for event in events if event.get("event") == "kernel")


class Peer:
    """A worktree for `git bisect run` with `vng --build` and `vng --exec`."""

    def __init__(self, made: History, work: Path) -> None:
        self._history = made
        self.tree, self._log = work / "peer", work / "peer.log"
        self._program = work / "programs" / TEST.rpartition("/")[2]
        if any(work.is_relative_to(hidden) for hidden in _HIDDEN):
            raise SystemExit(f"a guest of vng does not see {work}: take another --work")
        cached = work / "peer-ccache"
        shutil.rmtree(cached, ignore_errors=True)
        self._env = {
            **toolchain.environment(self.tree),
            "CCACHE_DIR": str(cached),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        variables = toolchain.Toolchain().make_arguments()
        self._step = [sys.executable, str(_STEP), str(self._log), str(self._program), *variables]

    def prepare(self) -> None:
        """The worktree with its .config, and the program."""
        if not any(place.exists() for place in _UDEVD):
            raise SystemExit("without udev virtme-ng has no status of what it runs: install udev")
        area = REPO / "guest-tests" / TEST.partition("/")[0]
        program = str(self._program)
        made = ["make", "-s", "-C", str(area), f"OUTPUT={self._program.parent}", program]
        if _call(made)[0]:
            raise SystemExit(f"{self._program.name} does not compile")
        if not self.tree.exists():
            place = str(self.tree)
            _git(self._history.place, "worktree", "add", "-q", "--detach", place, "good")
        shutil.copyfile(_kernel() / "config", self.tree / ".config")

    def _end(self, commit: str, wanted: int) -> float:
        began = time.monotonic()
        _git(self.tree, "checkout", "-q", "--detach", commit)
        if (status := _call(self._step, cwd=self.tree, env=self._env)[0]) != wanted:
            said = f"{self._log}.output"
            raise SystemExit(f"an end, {commit[:12]}, is {status} and not {wanted}: see {said}")
        return time.monotonic() - began

    def run(self) -> Measured:
        """Check both ends, then bisect."""
        self._log.unlink(missing_ok=True)
        Path(f"{self._log}.output").unlink(missing_ok=True)
        good, bad = self._history.good, self._history.bad
        ends_s = self._end(good, bisect_step.GOOD) + self._end(bad, bisect_step.BAD)
        self._log.unlink()
        began = time.monotonic()
        _git(self.tree, "bisect", "start", bad, good)
        argv = ["git", "bisect", "run", *self._step]
        _, said = _call(argv, cwd=self.tree, env=self._env)
        wall_s = time.monotonic() - began
        _git(self.tree, "bisect", "reset")
        found = _FOUND.search(said)
        steps = [json.loads(line) for line in self._log.read_text().splitlines()]
        self._show(steps)
        return Measured(
            culprit=found[1] if found else "",
            steps=len(steps),
            builds=len(steps),
            boots=sum(step["booted"] for step in steps),
            build_s=sum(step["build_s"] for step in steps),
            test_s=sum(step["test_s"] for step in steps),
            wall_s=wall_s,
            ends_s=ends_s,
        )

    def _show(self, steps: list[dict[str, Any]]) -> None:
        words = {bisect_step.GOOD: "good", bisect_step.BAD: "bad", bisect_step.SKIP: "skip"}
        for step in steps:
            print(
                f"  peer: {_which(self._history, step['commit']):<26} {words[step['status']]:<4} "
                f"build {step['build_s']:6.1f} s, boot and test {step['test_s']:5.1f} s",
                file=sys.stderr,
            )


def _which(made: History, commit: str) -> str:
    """A commit by its place in the history and what it is."""
    if commit not in made.commits:
        return commit[:12] or "none"
    number = made.commits.index(commit)
    return f"{number + 1:>2} {commit[:12]} {made.plan[number].kind}"


def with_harness(made: History, work: Path, options: Sequence[str]) -> Measured:
    """`harness bisect`, with a cache and a state directory of its own below `work`.

    Slots of an earlier measurement stay, as the ends are built in them again; kernels do not.
    """
    for name in _KNOWN:
        shutil.rmtree(work / "cache/harness" / name, ignore_errors=True)
    shutil.rmtree(work / "state", ignore_errors=True)
    argv = [sys.executable, "-m", "harness", "bisect", "--tree", str(made.place)]
    argv += ["--good", made.good, "--bad", made.bad, "--json"]
    argv += ["--suite", TEST.partition("/")[0], "--test", TEST, *options]
    env = {"XDG_CACHE_HOME": str(work / "cache"), "XDG_STATE_HOME": str(work / "state")}
    status, said = _call(argv, cwd=REPO, env=env)
    try:
        told = json.loads(said)
    except ValueError:
        raise SystemExit(f"harness bisect ended with {status}") from None
    (work / f"{made.name}.json").write_text(said)
    return Measured(
        culprit=told["culprit"] or "",
        steps=len(told["steps"]),
        builds=told["builds"],
        boots=told["boots"],
        build_s=told["build_s"],
        test_s=told["test_s"],
        wall_s=told["duration_s"] - told["ends_s"],
        ends_s=told["ends_s"],
        probability=told["probability"],
    )


def _same_configuration(work: Path, peer: Path) -> str:
    """Whether the peer's .config, as its make left it, is that of the harness's kernels."""
    ours = {path.read_bytes() for path in (work / "cache/harness/kernels").glob("*/config")}
    return "the same" if ours == {(peer / ".config").read_bytes()} else "NOT THE SAME"


def row(name: str, made: History, measured: Measured) -> None:
    """Print a line of the table."""
    right = "right" if measured.culprit == made.culprit else "WRONG"
    sure = "" if measured.probability is None else f" p={measured.probability:.3f}"
    print(
        f"{name:<8} {measured.steps:>5} {measured.builds:>6} {measured.boots:>5} "
        f"{measured.build_s:>9.1f} {measured.test_s:>9.1f} {measured.wall_s:>8.1f} "
        f"{measured.ends_s:>8.1f}  {right}: {_which(made, measured.culprit)}{sure}",
        flush=True,
    )


def ratio(what: str, ours: float, peers: float, promise: float) -> None:
    """Print how a time compares."""
    found = ours / peers
    print(
        f"{what}: {found:.2f} of the peer's ({'kept' if found <= promise else 'BROKEN'}: "
        f"at most {promise})"
    )


def measure(asked: argparse.Namespace, work: Path) -> None:
    """What was asked for, as a table."""
    print("          steps builds boots  builds, s tests, s  wall, s  ends, s  culprit")
    base, place = tree.resolve("6.12"), work / "histories"
    if asked.only != "flaky":
        both(asked, bisect_histories.make(place, base=base, seed=asked.seed), work)
    if asked.only in (None, "flaky"):
        sometimes = bisect_histories.make(place, base=base, seed=asked.seed, flaky=True)
        row("flaky", sometimes, with_harness(sometimes, work, asked.options))


def both(asked: argparse.Namespace, made: History, work: Path) -> None:
    """The peer, then the harness, on the history with a regression that always shows."""
    theirs = ours = None
    if asked.only != "harness":
        peer = Peer(made, work)
        peer.prepare()
        row("peer", made, theirs := peer.run())
    if asked.only != "peer":
        row("harness", made, ours := with_harness(made, work, asked.options))
    if theirs and ours:
        ratio("wall time", ours.wall_s, theirs.wall_s, WALL)
        ratio("boots and tests", ours.test_s, theirs.test_s, BOOTS)
        print(f"configuration: {_same_configuration(work, peer.tree)}")


@contextmanager
def _place(asked: argparse.Namespace) -> Iterator[Path]:
    """Where it all goes; gone afterwards unless it is to be kept."""
    parent = cache.root().parent / "harness-bench"
    if asked.work:
        work = asked.work.resolve() / "bisect"  # what else is in there is not ours to remove
        work.mkdir(parents=True, exist_ok=True)
    else:
        parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="bisect-", dir=parent))
    try:
        yield work
    finally:
        if asked.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    made = argparse.ArgumentParser(description="harness bisect against git bisect run with vng.")
    made.add_argument("--only", choices=("peer", "harness", "flaky"))
    made.add_argument("--seed", type=int, default=1, help="which history")
    made.add_argument("--work", type=Path, help="default: a new one below the user's cache")
    made.add_argument("--keep", action="store_true", help="leave it for the next time")
    made.add_argument("options", nargs="*", help="for harness bisect, after --")
    asked = made.parse_args()
    with _place(asked) as work:
        measure(asked, work)


if __name__ == "__main__":
    main()
