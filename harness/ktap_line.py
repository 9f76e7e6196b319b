# SPDX-License-Identifier: GPL-2.0-only
"""One line of KTAP or TAP, and what is said in it; pure. The blocks are ktap.py's."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.model import Outcome

DETAIL_MAX = 200
"""Characters of a detail."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PRINTK = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d{6}\](?:\[\s*[TC]\d+\])? ?")
_LINE = re.compile(
    r"""(?P<indent>(?:[ \t]|\#[ ])*?)(?:
      (?P<version>K?TAP\ version\ \d+)$
    | \#\ (?:Subtest:\ (?P<subtest>.*)|(?P<selftest>selftests:\ \S+:\ \S.*))$
    | 1\.\.(?P<plan>\d{1,9})(?!\S)(?P<why>.*)$
    | (?P<result>(?:not\ )?ok)(?:\ +(?P<number>\d{1,9}))?(?=\s|$)(?P<rest>.*)$
    | Bail\ out!(?P<bail>.*)$)""",
    re.VERBOSE,
)
_HASHES = re.compile(r"^\s*(#(\s+|$))*")
_TAIL = re.compile(r"(?:^|(?<=\s))#(?=\s|$|SKIP|TODO|XFAIL|XPASS|TIMEOUT|ERROR)", re.IGNORECASE)
_DIRECTIVE = re.compile(
    r"(SKIP(?:PED)?|TODO|XFAIL|XPASS|TIMEOUT|ERROR)(?=[\s:]|$):?\s*(.*)", re.IGNORECASE
)
# What kselftest_harness.h and KUnit print around every test, and says nothing about why it failed.
_NOISE = re.compile(
    r"( *(RUN|OK|FAIL|XFAIL|SKIP) +\S+( \.\.\.)?|\S+: Test (failed|passed)|\S+: initializing"
    r"|\S+\.speed: \w+|module: \S+|timeout set to \d+|Totals: .*|(PASSED|FAILED): \d+ / .*"
    r"|selftests: .*|Starting \d+ tests .*)$"
)
_SOURCE = re.compile(r"[\w./-]+\.(c|h|cc|py|sh|rs):\d+\b")


@dataclass(frozen=True, slots=True)
class Rest:
    """What follows `ok 1`: SKIP and its like in `directive`."""

    name: str
    directive: str
    reason: str


def match(line: str) -> tuple[re.Match[str] | None, str]:
    """What the grammar sees in a line, None for a diagnostic; and the line without colours and the
    kernel's time stamp."""
    line = _ANSI.sub("", line.rstrip()).strip("\r").rstrip()
    line = _PRINTK.sub("", line, count=1)
    return _LINE.match(line), line


def diagnostic(line: str) -> str:
    """The text of a diagnostic line."""
    return _HASHES.sub("", line).rstrip()


def explain(diagnostics: Iterable[str], reason: str) -> str:
    """Why a test failed, in one line: the last diagnostic that names a place, or the last, and the
    `reason` on its result line."""
    lines = [line for line in diagnostics if line and not _NOISE.match(line)]
    if not lines:
        return shorten(reason)
    at = max((i for i, line in enumerate(lines) if _SOURCE.search(line)), default=-1)
    found = lines[at]
    if found.rstrip(":").endswith(tuple("0123456789")) and " FAILED at " in found:
        found = ": ".join([found, *(line.strip() for line in lines[at + 1 :][:3])])
    return shorten(f"{found} ({reason})" if reason else found)


def parse_rest(rest: str) -> Rest:
    """What follows `ok 1`. kselftest.h writes the name of a skipped test after its directive."""
    name, hash_, tail = rest, None, ""
    match = _TAIL.search(rest)
    if match:
        name, hash_, tail = rest[: match.start()], "#", rest[match.end() :].strip()
    directive = _DIRECTIVE.match(tail) if hash_ else None
    name = name.strip()
    name = "" if name == "-" else name.removeprefix("- ").strip().replace("\\#", "#")
    if directive is None:
        return Rest(name, "", tail)
    word = directive[1].upper().removesuffix("PED")
    return Rest(name or directive[2], word, directive[2])


def outcome_of(ok: bool, directive: str) -> Outcome:
    """What a result line says of its test."""
    if directive == "SKIP":
        return Outcome.SKIP
    if ok:
        return {"XFAIL": Outcome.XFAIL, "XPASS": Outcome.XPASS}.get(directive, Outcome.PASS)
    if directive in ("TODO", "XFAIL"):
        return Outcome.XFAIL
    return Outcome.TIMEOUT if directive == "TIMEOUT" else Outcome.FAIL


def shorten(text: str) -> str:
    """A detail in one line, as long as it may be."""
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_MAX else f"{text[: DETAIL_MAX - 3]}..."
