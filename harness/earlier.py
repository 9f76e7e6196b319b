# SPDX-License-Identifier: GPL-2.0-only
"""What runs of the same command line that did not end know, so that it is not run again."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness import journal, recorded
from harness.errors import ExitCode
from harness.model import Outcome, Result, Splat


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A result, and the name of the run that has it."""

    result: Result
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """A result and what it depended on (context.py)."""

    found: Found
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stray:
    """The splats of a run that no test has on a step, and what its results there depended on."""

    contexts: Mapping[str, str]
    splats: tuple[Splat, ...]


class Earlier:
    """The results of some runs, the newest first. A result counts where all that it depends on is
    as it was; one that was the host's fault never does."""

    def __init__(self, runs: Sequence[Path] = ()) -> None:
        self._past: dict[tuple[str, str, int], _Past] = {}
        self._stray: dict[str, list[_Stray]] = {}
        for directory in runs:
            with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
                self._read(directory)

    def _read(self, directory: Path) -> None:
        told = recorded.load(directory)
        unsearched = _unsearched(directory)
        for one in told.results:
            context = told.contexts.get(one.kernel, {}).get(one.test, "")
            if not context or one.outcome is Outcome.ERROR:
                continue
            if (one.test, one.kernel, one.round) in unsearched:
                continue
            # The boots are that run's.
            splats = tuple(replace(splat, boot=0) for splat in one.splats)
            found = Found(result=replace(one, boot=0, splats=splats), run=directory.name)
            key = one.kernel, one.test, one.round
            self._past.setdefault(key, _Past(found=found, context=context))
        for label in {one.kernel for one in told.results}:
            stray = recorded.results_of(directory, label)[1]
            about = _Stray(contexts=told.contexts.get(label, {}), splats=stray)
            self._stray.setdefault(label, []).append(about)

    def __bool__(self) -> bool:
        return bool(self._past)

    def result(self, label: str, test: str, number: int, context: str) -> Found | None:
        """Of a test on a step, in a round; None where it has to be run."""
        past = self._past.get((label, test, number))
        return past.found if past is not None and past.context == context else None

    def stray(self, label: str, contexts: Mapping[str, str]) -> tuple[Splat, ...]:
        """The splats on a step that no test has, of the newest run of the same kernel."""
        for one in self._stray.get(label, ()):
            if set(one.contexts.items()) & set(contexts.items()):
                return tuple(replace(splat, boot=0) for splat in one.splats)
        return ()


def _unsearched(directory: Path) -> set[tuple[str, str, int]]:
    """Results (test, kernel, round) of which nobody knows whether the test leaks memory: it ended,
    but kmemleak was not asked any more (docs/leaks.md)."""
    watched: set[str] = set()
    found: dict[tuple[str, str, int], int] = {}
    for event in journal.read(directory):
        match event["event"]:
            case "kmemleak":
                watched.add(event["kernel"])
            case "result" if event["kernel"] in watched:
                found[journal.result_key(event)] = event["boot"]
            case "searched":
                done = (event["kernel"], event["boot"])
                found = {key: boot for key, boot in found.items() if (key[1], boot) != done}
    return set(found)


def runs(argv: Sequence[str], parent: Path | None = None) -> Iterator[Path]:
    """The run directories of a command line below `parent` (default: the user's) since the last
    one that came to its end, the newest first."""
    wanted = plain(argv)
    for directory in recorded.recent(parent):
        if plain(recorded.argv_of(directory)) != wanted:
            continue
        if recorded.exit_of(directory) not in (None, ExitCode.INTERRUPTED):
            return
        yield directory


def newest(argv: Sequence[str], since: str) -> Path | None:
    """The newest run of a command line, if it began after a time (ISO 8601)."""
    wanted = plain(argv)
    same = (one for one in recorded.recent() if plain(recorded.argv_of(one)) == wanted)
    found = next(same, None)
    began = next(journal.read(found), {}).get("time") if found else None
    after = began and datetime.fromisoformat(began) >= datetime.fromisoformat(since)
    return found if after else None


def plain(argv: Sequence[str]) -> list[str]:
    """A command line of `harness run` without what does not matter for what is run."""
    return [word for word in argv if word not in ("--resume", "--json")]


def of(argv: Sequence[str], parent: Path | None = None) -> Earlier:
    """What is known of the command line: nothing where no run of it was interrupted."""
    return Earlier(list(runs(argv, parent)))
