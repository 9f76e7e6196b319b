# SPDX-License-Identifier: GPL-2.0-only
"""A bisection once more, as its journal tells it: each step, and what was known after it. Pure."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from harness.bisect import outcome
from harness.bisect.record import Told
from harness.bisect.run import AnySearch, searched
from harness.bisect.view import short, state, where
from harness.errors import EndsError, ExitCode
from harness.model import SCHEMA, Probed, Progress, Wish

_SAID = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A step, and what was known when it had ended. `next` is what the search wants then, None
    where it is at its end; `wrong` says why an end is not what it was said to be."""

    step: Probed
    name: str
    progress: Progress
    state: str
    settled: bool
    next: Wish | None
    wrong: str


def moves(told: Told) -> Iterator[Move]:
    """The steps in their order, without those that somebody took back."""
    search = searched(told.question)
    for one in told.steps:
        search.take(one)
        wish = Wish(number=one.number, runs=one.failed + one.passed, chosen=one.chosen)
        following, wrong = _next(search)
        yield Move(
            step=one,
            name=where(told.question, wish),
            progress=search.progress(),
            state=state(search),
            settled=search.settled,
            next=following,
            wrong=wrong,
        )


def _next(search: AnySearch) -> tuple[Wish | None, str]:
    if search.settled:
        return None, ""
    try:
        return search.next(), ""
    except EndsError as error:
        return None, f"{error.message} {error.hint}".strip()


def exit_of(told: Told) -> int:
    """The exit status of what it came to, were it told of now: that of an interruption where it
    goes on, or can."""
    if told.exit is not None:
        return told.exit
    last = list(moves(told))[-1:]
    return ExitCode.USAGE if last and last[0].wrong else ExitCode.INTERRUPTED


def log(told: Told) -> Iterator[str]:
    """A line for each step: what ran, and what it showed."""
    yield from (_line(move) for move in moves(told))
    yield from (f"{number:>3} undone" for number in told.undone if number not in _numbers(told))


def _line(move: Move) -> str:
    one = move.step
    return f"{one.step:>3} {move.name:<14} {one.verdict:<5} {said(one)[:_SAID]}"


def said(one: Probed) -> str:
    """What a step showed: `3 of 10 failed`, or why nothing."""
    runs = one.failed + one.passed
    return f"{one.failed} of {runs} failed" if runs else one.why


def _numbers(told: Told) -> set[int]:
    return {one.step for one in told.steps}


def lines(told: Told) -> Iterator[str]:
    """What each step showed, what was known then, and what the search wanted next."""
    for move in moves(told):
        yield f"{_line(move).rstrip()}"
        yield f"    {move.state}{_then(told, move)}"


def _then(told: Told, move: Move) -> str:
    if move.wrong:
        return f"; {move.wrong}"
    if move.settled:
        return "; settled"
    if move.next is None:
        return "; nothing more can be found out"
    times = f", {move.next.runs} runs" if move.next.runs > 1 else ""
    return f"; next: {where(told.question, move.next)}{times}"


def document(told: Told, exit_code: int) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "schema": SCHEMA,
        "directory": str(told.directory),
        "exit": exit_code,
        "steps": [_move(told, move) for move in moves(told)],
        "undone": list(told.undone),
    }


def _move(told: Told, move: Move) -> dict[str, Any]:
    return {
        **outcome.step(told.question, move.step),
        "settled": move.settled,
        "left": move.progress.left,
        "likeliest": [short(told.question, number) for number in move.progress.likeliest],
        "probability": round(move.progress.probability, 6),
        "next": asdict(move.next) if move.next else None,
        "wrong": move.wrong,
    }
