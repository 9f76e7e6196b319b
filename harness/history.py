# SPDX-License-Identifier: GPL-2.0-only
"""Results over time: an index over the journals of runs, in SQLite.

The journals are the record; what the database lacks of them is read in when it is opened, so a
harness that is killed at any moment loses nothing. Many processes may use it at once (WAL, and one
transaction for each run).
"""

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cache
from harness.errors import HostError, UsageError
from harness.failnth import COUNTING
from harness.journal import amended

_BUSY_S = 60.0
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_MIGRATIONS = (
    """
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, place TEXT NOT NULL, bytes INTEGER NOT NULL, started TEXT NOT NULL,
        series TEXT NOT NULL, tree TEXT NOT NULL, exit INTEGER
    );
    CREATE TABLE results (
        run TEXT NOT NULL, test TEXT NOT NULL, kernel TEXT NOT NULL, round INTEGER NOT NULL,
        release TEXT NOT NULL, context TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,
        duration_s REAL NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (run, test, kernel, round)
    ) WITHOUT ROWID;
    CREATE INDEX by_test ON results (test, at);
    CREATE INDEX by_context ON results (context);
    CREATE TABLE pruned (before TEXT NOT NULL);
    """,
)
"""What makes each version of the schema of the one before; `user_version` counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One result: `kernel` is the step's label, `at` a time in UTC (ISO 8601)."""

    run: str
    test: str
    kernel: str
    series: str
    tree: str
    release: str
    outcome: str
    detail: str
    duration_s: float
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flake:
    """A test that both failed and passed on the same kernel in the same kind of guest."""

    test: str
    series: str
    tree: str
    kernel: str
    release: str
    failed: int
    runs: int
    last: str


class History:
    """The database, opened and up to date with this user's runs. As a context manager it closes."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache.runs().parent / "history.sqlite"
        try:
            self._db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._use_wal()
            self._db.execute("PRAGMA synchronous=NORMAL")  # journals are synced, and read again
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise HostError(
                f"{self._path} cannot be used: {error}",
                hint="move it away: it is made again of the run directories that there are",
            ) from None

    def _use_wal(self) -> None:
        """The first one to open a new database changes it; meanwhile others are turned away, whom
        SQLite does not make wait here."""
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)  # poll: until the other one is done

    def _migrate(self) -> None:
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(_MIGRATIONS):
                raise UsageError(
                    f"{self._path} is of a newer harness (schema {version})",
                    hint=f"this one knows {len(_MIGRATIONS)}: update it",
                )
            for script in _MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def sync(self) -> None:
        """Read in what runs of this user have written since."""
        known = dict(self._db.execute("SELECT run, bytes FROM runs"))
        (before,) = self._db.execute("SELECT max(before) FROM pruned").fetchone()
        for directory in cache.runs().iterdir():
            if directory.name.startswith("."):
                continue  # being removed
            # Removed meanwhile, or not of ours.
            with contextlib.suppress(OSError, UsageError, KeyError, TypeError, ValueError):
                size = (directory / "journal.jsonl").stat().st_size
                if known.get(directory.name) != size and started(directory) >= (before or ""):
                    self.add(directory)

    def add(self, directory: Path) -> int:
        """Read in a run directory, of whatever machine; returns how many results it has.
        UsageError when it is none."""
        journal = directory / "journal.jsonl"
        try:
            data = journal.read_bytes()
        except OSError as error:
            raise UsageError(f"{directory} is no run directory: {error.strerror}") from None
        run = _Run(directory, amended(_events(data)))
        place = str(directory.resolve())
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run.name, place, len(data), run.started, run.series, run.tree, run.exit),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                run.results(),
            )
        return run.count

    def of_test(self, test: str, limit: int) -> list[Entry]:
        """The newest results of tests whose name matches a glob."""
        rows = self._db.execute(
            "SELECT run, test, kernel, series, tree, release, outcome, detail, duration_s, at"
            " FROM results JOIN runs USING (run)"
            " WHERE test = ? OR test GLOB ? OR test GLOB '*/' || ?"
            " ORDER BY at DESC, test LIMIT ?",
            (test, test, test, limit),
        )
        return [Entry(**one) for one in _named(rows)]

    def flakes(self) -> list[Flake]:
        """Tests with different outcomes in one context, the worst first."""
        bad = "outcome IN ('fail', 'timeout', 'crash', 'xfail')"
        rows = self._db.execute(
            "SELECT test, max(series) AS series, max(tree) AS tree, max(kernel) AS kernel,"
            f" max(release) AS release, sum({bad}) AS failed, count(*) AS runs, max(at) AS last"
            " FROM results JOIN runs USING (run)"
            " WHERE context != '' AND outcome NOT IN ('skip', 'error')"
            " GROUP BY test, context HAVING failed > 0 AND failed < runs"
            " ORDER BY 1.0 * failed / runs DESC, test"
        )
        return [Flake(**one) for one in _named(rows)]

    def flaky_contexts(self) -> set[str]:
        """The contexts of flakes(), for tests that fail without the kernel's dying of it."""
        rows = self._db.execute(
            "SELECT context FROM results WHERE context != ''"
            " GROUP BY test, context HAVING sum(outcome IN ('fail', 'timeout')) > 0"
            " AND sum(outcome = 'pass') > 0 AND sum(outcome = 'crash') = 0"
        )
        return {row[0] for row in rows}

    def run_with(self, kernel: str, contexts: Sequence[str]) -> Path | None:
        """The newest finished run that is there and has a result for each of these contexts on that
        step, in its first round."""
        wanted = list(dict.fromkeys(contexts))
        marks = ", ".join("?" * len(wanted))
        rows = self._db.execute(
            "SELECT place FROM results JOIN runs USING (run)"
            f" WHERE kernel = ? AND exit IS NOT NULL AND context IN ({marks})"
            " AND outcome != 'error' AND round = 1"
            " GROUP BY run HAVING count(DISTINCT context) = ? ORDER BY started DESC LIMIT 20",
            (kernel, *wanted, len(wanted)),
        )
        places = (Path(row[0]) for row in rows)
        return next((place for place in places if (place / "journal.jsonl").exists()), None)

    def prune(self, before: str) -> int:
        """Forget runs that began before a time (UTC, ISO 8601), for good; returns how many. Their
        directories stay."""
        with self._transaction():
            self._db.execute("INSERT INTO pruned VALUES (?)", (before,))
            old = "SELECT run FROM runs WHERE started < ?"
            self._db.execute(f"DELETE FROM results WHERE run IN ({old})", (before,))
            return self._db.execute("DELETE FROM runs WHERE started < ?", (before,)).rowcount

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()


class _Run:
    """A journal as rows of the database."""

    def __init__(self, directory: Path, events: list[dict[str, Any]]) -> None:
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            by_kind.setdefault(event["event"], []).append(event)
        cell = by_kind.get("cell", [{}])[0]
        about = cell.get("cell", {})
        self.name = directory.resolve().name
        self.started = str(cell.get("time", ""))
        self.series = str(about.get("stack", {}).get("name", "?"))
        self.tree = str(about.get("tree", "?"))
        self.exit = by_kind.get("finish", [{}])[-1].get("exit")
        self._results = by_kind.get("result", [])
        self._releases = {one["label"]: one["release"] for one in by_kind.get("kernel", ())}
        self._contexts = {one["kernel"]: one["tests"] for one in by_kind.get("contexts", ())}
        self.count = len(self._results)

    def results(self) -> Iterator[tuple[object, ...]]:
        """Rows of the table of results, without those that were taken from another run, and
        without shots (shots.py): what a test does with a fault says nothing of what it does."""
        for one in self._results:
            fault = one.get("fault")
            if one.get("known_from") or (fault and fault["nth"] != COUNTING):
                continue
            kernel = one["kernel"]
            yield (
                self.name,
                one["test"],
                kernel,
                one.get("round", 1),
                self._releases.get(kernel, ""),
                self._contexts.get(kernel, {}).get(one["test"], ""),
                one["outcome"],
                one["detail"],
                one["duration_s"],
                one["time"],
            )


def _named(rows: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Rows with the names of their columns."""
    names = [column[0] for column in rows.description]
    return (dict(zip(names, row, strict=True)) for row in rows)


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed harness
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                yield event


def started(directory: Path) -> str:
    """When the run of a directory began, as its name says (UTC, ISO 8601); now without a stamp."""
    found = _STAMP.match(directory.name)
    return "{}-{}-{}T{}:{}:{}+00:00".format(*found.groups()) if found else "9"


def note(directory: Path) -> None:
    """A run has ended: have the history know it. What goes wrong is for the next one to mend."""
    with contextlib.suppress(HostError, UsageError, sqlite3.Error), History() as history:
        history.add(directory)
