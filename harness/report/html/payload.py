# SPDX-License-Identifier: GPL-2.0-only
"""The data of a page: an index of all cells, and a JSON document a line for each cell and console.

What does not fit into the budget is left out, bad results last: their documents first of all,
then their consoles, then good results, then the consoles of those.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model import Outcome, Verdict
from harness.recorded import Recorded
from harness.report import plot
from harness.report.html import consoles, details, facts, matrix
from harness.report.html.embed import Budget, document, visible
from harness.report.html.matrix import Cell, Column

_PLOTS_MAX = 200
_WHY_MAX = 160  # characters of a bad result's detail that are in the table
_ORDER = list(Outcome)
_VERDICTS = list(Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric of a test: an id in the page, whose it is, a sentence, and its picture."""

    ident: str
    test: str
    sentence: str
    picture: str


@dataclass(slots=True)
class Payload:
    """What the template embeds as it is: all of it is escaped already. `figures` by run."""

    index: str = ""
    details: str = ""
    consoles: str = ""
    figures: list[list[Figure]] = field(default_factory=list)
    figures_more: int = 0
    briefs: int = 0
    consoles_out: int = 0


@dataclass(slots=True)
class _Entry:
    """A cell on its way into the page."""

    test: str
    cell: Cell
    column: Column
    doc: dict[str, Any] = field(default_factory=dict)

    @property
    def boot(self) -> tuple[int, int]:
        return self.column.run, self.cell.result.boot


def of(runs: Sequence[Recorded], budget: int) -> Payload:
    """The data of these runs, with about so many bytes that could be left out."""
    columns = matrix.columns(runs)
    entries = [
        _Entry(test, cell, columns[cell.column])
        for test, cells in matrix.table(runs).items()
        for cell in cells
    ]
    made, left = Payload(), Budget(budget)
    _add_figures(runs, entries, made)
    seen = _Consoles(runs, left)
    for bad in (True, False):
        chosen = [entry for entry in entries if entry.cell.bad is bad]
        for entry in chosen:
            _describe(entry, left, made)
        seen.add(chosen)
    made.index = document(_index(runs, columns, entries))
    made.details = "\n".join(document(entry.doc) for entry in entries)
    made.consoles = "\n".join(seen.lines)
    made.consoles_out = sum(one is None for one in seen.known.values())
    return made


def _describe(entry: _Entry, left: Budget, made: Payload) -> None:
    whole = {**entry.doc, **details.whole(entry.cell)}
    if left.take(len(document(whole))):
        entry.doc = whole
    else:
        entry.doc = {**entry.doc, **details.brief(entry.cell), "brief": True}
        made.briefs += 1


class _Consoles:
    """The consoles of the page, a line for each: of a boot once, whoever ran there."""

    def __init__(self, runs: Sequence[Recorded], left: Budget) -> None:
        self._runs, self._left = runs, left
        self.lines: list[str] = []
        self.known: dict[tuple[int, int], tuple[int, consoles.Console] | None] = {}

    def add(self, entries: Sequence[_Entry]) -> None:
        """The consoles on which these ran, as far as they fit, and where in them that was."""
        boots: dict[tuple[int, int], list[_Entry]] = {}
        for entry in entries:
            if entry.cell.result.boot:
                boots.setdefault(entry.boot, []).append(entry)
        for place, mine in boots.items():
            name = f"boots/{place[1]:03d}/console.log"
            if place not in self.known:
                self.known[place] = self._read(self._runs[place[0]].directory / name, name, mine)
            known = self.known[place]
            for entry in mine:
                if known is None:
                    entry.doc["console_out"] = name
                else:
                    span = known[1].of(entry.test, nth=_nth(entry.cell))
                    entry.doc["console"] = [known[0], *(span or ())]

    def _read(
        self, path: Path, name: str, entries: Sequence[_Entry]
    ) -> tuple[int, consoles.Console] | None:
        """A console and its line, None where there is none or no room for it."""
        if self._left.left <= 0:
            return None
        splats = [
            (splat.line_from, splat.line_to)
            for entry in entries
            for splat in entry.cell.result.splats
        ]
        shown = consoles.read(path, [entry.test for entry in entries], splats)
        line = document({"name": name, **_told(shown)}) if shown else ""
        if shown is None or not self._left.take(len(line)):
            return None
        self.lines.append(line)
        return len(self.lines) - 1, shown


def _told(console: consoles.Console) -> dict[str, Any]:
    return {
        "lines": console.lines,
        "restored": console.restored,
        "pieces": [[first, visible(text)] for first, text in console.pieces],
    }


def _nth(cell: Cell) -> int:
    """Which of the runs of this test in its boot the cell shows."""
    shown = cell.result
    return sum(one.boot == shown.boot and one.round < shown.round for one in cell.runs)


def _add_figures(runs: Sequence[Recorded], entries: Sequence[_Entry], made: Payload) -> None:
    """Pictures of metrics; where there are too many, of those that changed first."""
    found = [
        (entry, metric)
        for entry in entries
        if entry.cell.row is not None
        for metric in entry.cell.row.metrics
    ]
    made.figures = [[] for _ in runs]
    found.sort(key=lambda one: not one[1].changed)
    for number, (entry, metric) in enumerate(found):
        said = visible(plot.sentence(metric))
        if number >= _PLOTS_MAX:
            entry.doc.setdefault("figures", []).append(["", said])
            made.figures_more += 1
            continue
        ident = f"figure-{number}"
        picture = visible(plot.strip(metric, ident=ident))
        made.figures[entry.column.run].append(
            Figure(ident=ident, test=entry.test, sentence=said, picture=picture)
        )
        entry.doc.setdefault("figures", []).append([ident, said])


def _index(
    runs: Sequence[Recorded], columns: Sequence[Column], entries: Sequence[_Entry]
) -> dict[str, Any]:
    rows: dict[str, list[list[Any]]] = {}
    why: dict[str, str] = {}
    for number, entry in enumerate(entries):
        rows.setdefault(entry.test, []).append(_cell(entry, number))
        result = entry.cell.result
        # What the base alone fails with is no news.
        if result.detail and entry.cell.bad and (entry.cell.row or entry.cell.first_bad):
            why.setdefault(entry.test, visible(result.detail[:_WHY_MAX]))
    return {
        "outcomes": _ORDER,
        "verdicts": _VERDICTS,
        "runs": [
            {
                "name": one.directory.name,
                "title": facts.of_title(one),
                "command": visible(facts.command(one)),
            }
            for one in runs
        ],
        "columns": [[one.run, one.label, visible(one.title)] for one in columns],
        "rows": [[visible(test), why.get(test, ""), *cells] for test, cells in rows.items()],
    }


def _cell(entry: _Entry, number: int) -> list[Any]:
    """[column, outcome, seconds, document], then, where there is one of them to say: verdict or
    -1, good runs, all runs, broke here, inherited."""
    cell = entry.cell
    made = [entry.cell.column, _ORDER.index(cell.result.outcome), cell.result.duration_s, number]
    return [*made, *_more(cell)]


def _more(cell: Cell) -> Iterator[int]:
    verdict = cell.row.verdict if cell.row else None
    total = len(cell.runs)
    if verdict is not None or total > 1 or cell.first_bad or cell.inherited:
        yield _VERDICTS.index(verdict) if verdict is not None else -1
        yield sum(not one.outcome.bad for one in cell.runs)
        yield total
        yield int(cell.first_bad)
        yield int(bool(cell.inherited))
