# SPDX-License-Identifier: GPL-2.0-only
"""Splats -> the same with the frames of their stack traces, where these are and whose lines."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness import symbols, trace
from harness.blame import Blame
from harness.errors import HarnessError
from harness.model import Frame, Series, Splat
from harness.symbols import Built, Decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Splats by themselves before; how many frames they have, and how many of these a place."""

    splats: dict[Splat, Splat]
    frames: int
    placed: int


def find(splats: Iterable[Splat], built: Built, stack: Series) -> Placed:
    """What `splats` of that kernel, which has the series applied, say of the sources. What can't
    be found out stays as the kernel said it, and the splat says why."""
    traces = {splat: trace.frames(splat.text) for splat in splats}
    found = symbols.decode((one for frames in traces.values() for one in frames), built)
    blame = Blame(built.base, stack)
    marked = {frame: _marked(blame, place) for frame, place in found.places.items()}
    placed = {
        splat: replace(
            splat,
            frames=tuple(marked.get(frame, frame) for frame in frames),
            undecoded=_why(frames, found),
        )
        for splat, frames in traces.items()
    }
    return Placed(
        splats=placed,
        frames=sum(len(frames) for frames in traces.values()),
        placed=sum(frame in marked for frames in traces.values() for frame in frames),
    )


def _marked(blame: Blame, frame: Frame) -> Frame:
    try:
        return blame.mark(frame)
    except (HarnessError, OSError):  # a mirror that is gone: the place alone is worth showing
        return frame


def _why(frames: Iterable[Frame], found: Decoded) -> str:
    """As `2 of 9 frames: no object has it`."""
    frames = list(frames)
    reasons = [found.why[frame] for frame in frames if frame in found.why]
    if not reasons:
        return ""
    return f"{len(reasons)} of {len(frames)} frames: {'; '.join(list(dict.fromkeys(reasons))[:2])}"
