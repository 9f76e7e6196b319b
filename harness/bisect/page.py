# SPDX-License-Identifier: GPL-2.0-only
"""report.html of a bisection: made again as steps end, one file that asks for nothing."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import cache
from harness.bisect import answer, picture, record, replay, text
from harness.bisect.answer import Answer
from harness.bisect.record import Begun
from harness.bisect.run import AnySearch, Underway
from harness.errors import HarnessError
from harness.model import Probed
from harness.report import html
from harness.report.text import trace_lines

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_EVERY_S = 10.0
_SHARE = 0.03  # of the time, at most, for making it


def page(one: Answer, *, notice: str = "", refresh_s: int = 0) -> str:
    """The whole page. `notice` stands above all; one that changes is loaded again every
    `refresh_s` seconds (0: never)."""
    asked = one.told.question
    return html.template(_TEMPLATE).render(
        csp=html.policy(),
        style=html.style(),
        title=f"{asked.test}: {_headline(one)}",
        notice=notice,
        refresh=refresh_s,
        one=one,
        asked=asked,
        picture=picture.svg(one),
        sentence=picture.sentence(one),
        splat=_splat(one),
        detail=_detail(one),
        steps=[_step(move) for move in one.moves],
        sums=text.sums(one),
        started=one.told.started[:16].replace("T", " "),
    )


def _headline(one: Answer) -> str:
    if one.culprit is not None:
        return f"{one.culprit.name} {one.culprit.title}"
    if one.culprits:
        kind = "patches are needed" if one.subset else "cannot be told apart"
        return f"{len(one.culprits)} {kind}"
    return "no culprit yet" if one.told.exit is None else "no culprit found"


def _splat(one: Answer) -> dict[str, Any] | None:
    shown = one.failing
    if shown is None or shown.splat is None:
        return None
    return {
        "title": f"{shown.splat.kind}: {shown.splat.title}",
        "boot": shown.splat.boot,
        "trace": list(trace_lines(shown.splat)),
        "text": "\n".join(shown.splat.text),
    }


def _detail(one: Answer) -> str:
    """What the failing test says of itself."""
    shown = one.failing
    if shown is None:
        return ""
    return ": ".join(filter(None, (str(shown.result.outcome), shown.result.detail)))


def _step(move: replay.Move) -> dict[str, Any]:
    one = move.step
    return {
        "step": one.step,
        "name": move.name,
        "verdict": one.verdict,
        "said": replay.said(one),
        "state": f"{move.state}{f'; {move.wrong}' if move.wrong else ''}",
        "build_s": one.build_s if one.built else None,
        "test_s": one.test_s,
        "run": Path(one.run_dir).name[-4:],
        "place": Path(one.run_dir).as_uri() if one.run_dir else "",
    }


class Page:
    """The file, which is whole at any time. A run.Watch."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "report.html"
        self._next = time.monotonic()

    def begun(self, begun: Begun, search: AnySearch) -> None:
        """See run.Watch."""

    def ended(self, probed: Probed, search: AnySearch) -> None:
        """See run.Watch."""
        began = time.monotonic()
        if began < self._next:
            return
        # The bisection goes on, whatever becomes of a page that is made again.
        with contextlib.suppress(OSError, HarnessError):
            self.write("This bisection goes on.", refresh_s=int(_EVERY_S))
        now = time.monotonic()
        self._next = now + max(_EVERY_S, (now - began) / _SHARE)

    def look(self, underway: Sequence[Underway], search: AnySearch) -> None:
        """See run.Watch."""

    def write(self, notice: str, *, refresh_s: int = 0) -> None:
        """Make it of what the journal has."""
        told = record.load(self.path.parent)
        made = page(answer.of(told), notice=notice, refresh_s=refresh_s)
        cache.write_whole(self.path, made.encode(errors="replace"))
