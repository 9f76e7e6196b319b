# SPDX-License-Identifier: GPL-2.0-only
"""The stack trace in a splat's text -> Frames. Pure.

Formats: arch/x86/kernel/dumpstack.c and process_64.c, arch/arm64/kernel/process.c, the `%pS` of
lib/vsprintf.c; from 6.1 to 6.18.
"""

import re
from collections.abc import Iterator, Sequence

from harness.model import Frame

_SYMBOL = (
    r"(?P<function>[A-Za-z_$.][\w$.]*)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
    r"(?: \[(?P<module>[\w-]+)(?: [0-9a-f]+)?\])?"
)
_FRAME = re.compile(rf"\s*(?:\[<[0-9a-f]+>\] )?(?P<unsure>\? )?{_SYMBOL}(?: \([A-Z]+\))?\s*$")
# Of a kernel: user space's pointers have no symbol.
_POINTER = re.compile(rf"\s*(?:[RE]IP: [0-9a-f]{{4}}|pc |epc ) ?: ?{_SYMBOL}")
_BEGIN = re.compile(r"\s*Call [Tt]race:")
_END = re.compile(r"\s*$|\s*</TASK>|---\[ end |Modules linked in|Kernel panic")
# Whose memory it was: mm/kasan/report.c, mm/kfence/report.c.
_OTHER = re.compile(r"(?P<what>[Aa]llocated|[Ff]reed) by task \d+")


def frames(text: Sequence[str]) -> tuple[Frame, ...]:
    """The frames of the trace, the innermost first: where the registers point, then the callers.
    Then those of where memory was `allocated` and `freed`. Without those that the kernel marks with
    `?`, as it only found them on the stack.

    A report that says no `Call Trace:` gives all its lines of that form (KCSAN).
    """
    return tuple(_traced(text)) or tuple(_made(line) for line in _plain(text))


def _traced(text: Sequence[str]) -> Iterator[Frame]:
    began = pointed = found = over = False
    stack = ""
    for line in text:
        if _BEGIN.match(line):
            began = True
        elif other := _OTHER.match(line):
            began, over, stack = True, False, other["what"].lower()
        elif began and found and _END.match(line):
            over = True
        elif over:
            continue
        elif pointer := _POINTER.match(line):
            if began or not pointed:
                pointed = True
                yield _made(pointer, exact=True)
        elif began and (frame := _FRAME.match(line)):
            found = True
            if not frame["unsure"]:
                yield _made(frame, stack=stack)


def _plain(text: Sequence[str]) -> Iterator[re.Match[str]]:
    for line in text:
        frame = _FRAME.match(line)
        if frame and not frame["unsure"]:
            yield frame


def _made(found: re.Match[str], *, exact: bool = False, stack: str = "") -> Frame:
    return Frame(
        function=found["function"],
        offset=int(found["offset"], 16),
        size=int(found["size"], 16),
        module=found["module"] or "",
        exact=exact,
        stack=stack,
    )
