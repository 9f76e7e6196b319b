# SPDX-License-Identifier: GPL-2.0-only
"""What a person sees of a bisection while it runs: a line for each step, and on a terminal one
that lives."""

import datetime
import time
from collections.abc import Sequence
from typing import TextIO

from harness.bisect.record import Begun
from harness.bisect.run import AnySearch, Underway
from harness.model import GOOD, Probed, Question, Space, Wish
from harness.report.paint import paint
from harness.report.words import duration

_DRAW_S = 0.25
_TITLE = 44
_WORTH = 0.2  # the probability of a commit that is worth naming
COLOURS = {"bad": "31;1", "good": "32", "skip": "33", "same": "2"}
"""Of the verdict of a step."""


def short(question: Question, number: int) -> str:
    """A candidate's name, as long as a person can use."""
    name = question.candidate(number).name
    if number == GOOD or question.space not in (Space.PATCHES, Space.SUBSET):
        return name[:12] if len(name) == 40 else name
    return f"{number + 1}/{len(question.candidates)}"


def where(question: Question, wish: Wish) -> str:
    """Which kernel, in words."""
    if wish.chosen:
        return ranges(wish.chosen)
    if wish.number == GOOD:
        return "good end"
    return "bad end" if wish.number == question.bad else short(question, wish.number)


def ranges(chosen: Sequence[int]) -> str:
    """`1-3,7`, of numbers that count from 0."""
    groups: list[list[int]] = []
    for number in chosen:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ",".join(
        f"{one[0] + 1}-{one[-1] + 1}" if len(one) > 1 else str(one[0] + 1) for one in groups
    )


class Shown:
    """See run.Watch. Writes to `stream`, whose terminal is `width` columns wide, 0 for none."""

    def __init__(self, stream: TextIO, *, width: int = 0, colour: bool = False) -> None:
        self._stream = stream
        self._width = width
        self._colour = colour
        self._drawn = 0.0

    def begun(self, begun: Begun, search: AnySearch) -> None:
        """See run.Watch."""
        if self._width:
            return
        asked, wish = search.question, begun.wish
        title = "" if wish.chosen else asked.candidate(wish.number).title[:_TITLE]
        times = f"{wish.runs} runs of " if wish.runs > 1 else ""
        self.line(f"step {begun.step:<3} {times}{where(asked, wish)}  {title}")

    def ended(self, probed: Probed, search: AnySearch) -> None:
        """See run.Watch."""
        word = paint(f"{probed.verdict:<4}", COLOURS[probed.verdict], colour=self._colour)
        runs = probed.failed + probed.passed
        said = f"{probed.failed} of {runs} failed" if runs else probed.why[:_TITLE]
        took = f"build {probed.build_s:.0f} s, " if probed.built else ""
        took += f"run {probed.test_s:.0f} s" if runs or probed.lost else ""
        wish = Wish(number=probed.number, runs=runs, chosen=probed.chosen)
        name = where(search.question, wish)
        self.line(f"step {probed.step:<3} {name:<14} {word} {said:<18} {took}  [{state(search)}]")

    def look(self, underway: Sequence[Underway], search: AnySearch) -> None:
        """See run.Watch."""
        if not self._width or time.monotonic() - self._drawn < _DRAW_S:
            return
        self._drawn = time.monotonic()
        now = ", ".join(
            f"step {one.begun.step} {where(search.question, one.begun.wish)} {one.since_s:.0f} s"
            for one in underway
        )
        text = f"{now}  [{state(search)}]"
        self._stream.write(f"\r\x1b[2K{text[: self._width - 1]}")
        self._stream.flush()

    def line(self, text: str) -> None:
        """A line that stays."""
        clear = "\r\x1b[2K" if self._width else ""
        now = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
        self._stream.write(f"{clear}{now} {text}\n")
        self._stream.flush()


def plan(search: AnySearch) -> str:
    """What is ahead, before the first step."""
    told, asked = search.progress(), search.question
    what = {Space.COMMITS: "commits", Space.OPTIONS: "options"}.get(asked.space, "patches")
    steps = f", about {told.steps} steps between the ends" if told.steps else ""
    took = f", {duration(told.seconds)}" if told.seconds else ""
    there = f"; {len(asked.built)} kernels are there" if asked.built else ""
    return f"{told.left} {what} of {asked.place}{steps}{took}{there}"


def state(search: AnySearch) -> str:
    """How far it is, in a few words."""
    told = search.progress()
    if not told.likeliest:
        return "the ends first"
    names = ", ".join(short(search.question, number) for number in told.likeliest[:3])
    if search.settled:
        return f"{names} {told.probability:.1%}" if told.probability else names
    if not told.steps:
        return f"{told.left} left"
    likeliest = f"likeliest {names} {told.probability:.0%}, " if told.probability > _WORTH else ""
    return f"{told.left} left, {likeliest}about {told.steps} more, {duration(told.seconds)}"
