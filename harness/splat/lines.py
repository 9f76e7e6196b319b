# SPDX-License-Identifier: GPL-2.0-only
"""One line of a console: what printk, syslog, dmesg or a terminal put before its text.

Formats: kernel/printk/printk.c (print_prefix()), util-linux's dmesg, RFC 3164, journalctl.
"""

import re
from dataclasses import dataclass

LINE_MAX = 4096

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[c78=>DEHM])|[\0\r]+$|^[\0\r]+")
_DATE = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"  # ISO 8601
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"  # RFC 3164
    r"|\d\d:\d\d:\d\d(?:\.\d+)?"
)
_STAMP = (
    r"\[\s*\d+\.\d{1,9}\]"
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\]"  # dmesg -T
    r"|\[[A-Z][a-z]{2} ?[ \d]\d \d\d:\d\d\]|\[\s*\+\d+\.\d+\]"  # dmesg -H
)
_CALLER = r"\[\s*(?P<caller>[TC]\d+)\]"
_PREFIX = re.compile(
    r"(?:kern\s*:\s*\w+\s*: )?"  # dmesg -x
    r"(?:<(?P<level>\d{1,3})>)?"
    r"(?P<record>\d+,\d+,\d+,[-c](?:,caller=(?P<sent>[TC]\d+))?;)?"  # /dev/kmsg, netconsole
    rf"(?:(?P<stamp>{_STAMP})(?:{_CALLER})?(?: |$)|\[\s*(?P<alone>[TC]\d+)\] )?"
)
_DATED = re.compile(rf"(?P<date>{_DATE})(?P<kernel> [\w.-]+ kernel:)? ")
# A kernel's message behind a line that user space did not end.
_GLUED = re.compile(r"\[\s*\d+\.\d{6}\](?:\[\s*[TC]\d+\])? ")


@dataclass(frozen=True, slots=True)
class Line:
    """`stamp` is the time as it stands there, `at` in seconds since boot where it says that;
    `caller` the task or CPU that printed it; `user`: user space wrote it to /dev/kmsg."""

    number: int
    text: str
    caller: str = ""
    stamp: str = ""
    at: float | None = None
    user: bool = False

    @property
    def stamped(self) -> bool:
        """Something before the text shows that printk wrote it."""
        return bool(self.stamp or self.caller)


def parse(raw: bytes, number: int) -> Line:
    """Take the prefix off one line of the console, without its newline."""
    text = raw[:LINE_MAX].decode("utf-8", "replace")
    if not text.isprintable():
        text = _ANSI.sub("", text)
        text = text.strip("\r\0")
    return _strip(text, number)


def unglue(line: Line) -> Line | None:
    """The kernel's message at the end of a line that user space began."""
    glued = _GLUED.search(line.text)
    return _strip(line.text[glued.start() :], line.number) if glued else None


def _strip(text: str, number: int) -> Line:
    date = ""
    if text[:1].isalnum() and (dated := _DATED.match(text)):
        # A bare date may be any program's; dmesg's has a comma.
        date = dated["date"] if dated["kernel"] or "," in dated["date"] else ""
        text = text[dated.end() :]
    match = _PREFIX.match(text)
    if match is None:
        return Line(number, text, stamp=date)
    stamp = match["stamp"] or ""
    seconds = stamp.strip("[] ")
    plain = seconds.replace(".", "", 1).isascii() and seconds.replace(".", "", 1).isdigit()
    return Line(
        number,
        text[match.end() :],
        caller=match["caller"] or match["alone"] or match["sent"] or "",
        stamp=stamp or date or match["record"] or "",
        at=float(seconds) if plain else None,
        user=int(match["level"] or 0) >= 8,
    )
