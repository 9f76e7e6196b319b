# SPDX-License-Identifier: GPL-2.0-only
"""Console text -> Splats: what the kernel reported about itself. Pure, streaming, bounded.

A report is recognised by its first line (`SIGNATURES`, anchored after printk's prefix), believed
once a line follows that only the real report prints, and read to its last line; how is said by its
`Family`. Formats are those of 6.1 to 6.12 (kernel/panic.c, arch/x86/kernel/dumpstack.c,
mm/kasan/report.c, kernel/locking/lockdep.c, ...). docs/splats.md lists the kinds and the limits.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.model import Splat
from harness.signatures import (
    ANY_FIRST,
    LOCKING,
    MESSAGES,
    OOPS,
    PANIC,
    PANICKED,
    REPORTING,
    RULE,
    RULED,
    SIGNATURES,
    SINGLE,
    Family,
    Signature,
)

_LINE_MAX = 4096
_TEXT_MAX = 120
_REPORT_MAX = 2000
_HEADER_MAX = 12
_FRAMES = 3

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_STAMP = r"\[\s*\d+\.\d{6}\](?:\[\s*[TC]\d+\])?(?: |$)"
_PREFIX = re.compile(rf"(?:<\d{{1,3}}>)?(?P<stamp>{_STAMP}|\[\s*[TC]\d+\] )?")
_GLUED = re.compile(_STAMP)
_STAMPED_CONSOLE = 10

_CUT_HERE = "------------[ cut here ]------------"
_DIE = re.compile(r"(?:Oops: |general protection|Internal error: ).*\[#\d+\]")
_RESTART = re.compile(
    r"reboot: (Power down|Restarting|System halted)|SeaBIOS |early console in |Linux version "
)
_CALL_TRACE = re.compile(r"Call [Tt]race:")
_FRAME = re.compile(
    r"\s+(?:\[<[0-9a-f]+>\] )?(?P<unsure>\? )?(?P<name>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x"
)
_STACK = re.compile(
    r"\s*(</?[A-Z#]|\? |\[<|[A-Za-z_][\w.]*\+0x"
    r"|(RIP|RSP|Code|R[A-Z0-9]{2}|ORIG_RAX|CR2|[CDEF]S): *)"
)
_POINTER = re.compile(r"(?:RIP: 0010|pc |EIP: 0060) ?: ?(?P<name>[A-Za-z_][\w.]*)\+0x")


@dataclass(slots=True)
class _Report:
    """A report that is being read. `doubtful`: its first line did not start like the kernel's."""

    signature: Signature
    family: Family
    line_from: int
    line_to: int
    kind: str
    title: str
    doubtful: bool
    groups: dict[str, str]
    proven: bool = False
    ended: bool = False
    died: bool = False
    tracing: bool = False
    lines: int = 0
    pointer: str = ""
    frames: list[str] = field(default_factory=list)
    stack_seen: bool = False
    text: list[str] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        self.line_to = line
        self.lines += 1
        if len(self.text) < _TEXT_MAX:
            self.text.append(text)
        elif text.startswith(PANIC):
            self.text[-1] = text

    def study(self, text: str) -> None:
        """Take from one line what title, function and fingerprint need."""
        proof = self.family.proof
        self.proven = self.proven or proof is None or bool(proof.match(text))
        self.died = self.died or bool(_DIE.match(text))
        more = self.signature.more
        found = more.search(text) if more else None
        if found:
            self.groups = found.groupdict("") | self.groups
        if self.kind in ("bug", "warning"):
            self.study_message(text)
        pointer = _POINTER.match(text)
        if pointer and not self.tracing and not self.pointer:
            self.pointer = pointer["name"]
        if _CALL_TRACE.match(text):
            self.tracing = True
        frame = _FRAME.match(text)
        if frame and (self.tracing or self.family is RULED):
            self.stack_seen = True
            if not frame["unsure"] and len(self.frames) < 2 * _FRAMES:
                self.keep_frame(frame["name"])

    def study_message(self, text: str) -> None:
        for kind, pattern, title in MESSAGES:
            match = pattern.match(text)
            if match:
                self.kind, self.title = kind, title
                self.groups |= match.groupdict("")

    def keep_frame(self, name: str) -> None:
        name = _plain(name)
        if not self.is_machinery(name):
            self.frames.append(name)

    def is_machinery(self, name: str) -> bool:
        if REPORTING.match(name):
            return True
        return self.signature.locking and LOCKING.match(name) is not None

    def build(self, *, complete: bool) -> Splat:
        """The splat as far as it is known."""
        function = self.find_function() if self.signature.stack else ""
        title = self.title.format_map(_Groups(self.groups))
        title = " ".join(_normalise(title).split())
        if "race" in self.groups:
            title += " in " + " / ".join(sorted(self.groups["race"].split(" / ")))
        elif function and self.signature.family is not PANICKED:
            title += f" in {function}"
        frames = self.frames[:_FRAMES]
        if "race" in self.groups or not self.signature.stack:
            frames = []
        return Splat(
            kind=self.kind,
            title=title,
            function=function,
            fingerprint=(self.kind, title, *frames),
            line_from=self.line_from,
            line_to=self.line_to,
            complete=complete,
            text=tuple(self.text),
        )

    def find_function(self) -> str:
        race = sorted(self.groups.get("race", "").split(" / "))
        named = [
            _plain(name) for name in (self.groups.get("fn", ""), self.pointer, race[0]) if name
        ]
        guilty = (name for name in (*named, *self.frames) if not self.is_machinery(name))
        return next(guilty, named[0] if named else "")


class SplatScanner:
    """Feed it the console in any pieces; what it answers does not depend on where they are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._line = 0
        self._stamped = 0
        self._report: _Report | None = None
        self._header: list[tuple[int, str]] = []
        self._before = ""
        self._done: list[Splat] = []

    @property
    def line(self) -> int:
        """Number of lines seen, the one that is not ended yet included."""
        return self._line + bool(self._rest)

    @property
    def pending(self) -> Splat | None:
        """The report that is being read, as far as it goes, once it is known to be real.

        The last line of most reports can only be told by the line after it. For a caller that
        wants to know about a console that has gone silent.
        """
        report = self._report
        if report is None or not report.proven:
            return None
        return report.build(complete=report.ended or report.family is PANICKED)

    def feed(self, chunk: bytes) -> tuple[Splat, ...]:
        """The splats that were completed since the last call."""
        for raw in self._split(chunk):
            self._read(raw)
        return self._take()

    def finish(self) -> tuple[Splat, ...]:
        """The rest. A report without its end is not `complete`; a panic may just stop."""
        if self._rest:
            raw, self._rest = self._rest, b""
            self._read(raw)
        report = self._report
        if report is not None:
            whole = report.ended or (report.proven and report.family is PANICKED)
            forged = not report.proven and report.lines > 4
            self._close(complete=whole or forged)
        return self._take()

    def _take(self) -> tuple[Splat, ...]:
        done, self._done = tuple(self._done), []
        return done

    def _split(self, chunk: bytes) -> Iterator[bytes]:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            raw = (self._rest + piece)[:_LINE_MAX]
            self._rest = b""
            yield raw
        self._rest = (self._rest + rest)[:_LINE_MAX]

    def _read(self, raw: bytes) -> None:
        self._line += 1
        text = _ANSI.sub("", raw.decode("utf-8", "replace")).strip("\r")
        prefix = _PREFIX.match(text)
        stamped = prefix is not None and prefix["stamp"] is not None
        self._stamped += stamped
        text = text[prefix.end() :] if prefix else text
        doubtful = not stamped and self._stamped >= _STAMPED_CONSOLE
        if self._report is not None and self._go_on(self._report, text, doubtful=doubtful):
            return
        if not stamped:
            glued = _GLUED.search(text)
            if glued:
                text, doubtful = text[glued.end() :], True
        self._look(text, doubtful=doubtful)

    def _look(self, text: str, *, doubtful: bool) -> None:
        """Outside of a report: does one start with this line?"""
        found = _find_signature(text)
        if found is not None:
            self._start(*found, text, doubtful=doubtful)
            return
        if text == _CUT_HERE or RULE.match(text):
            self._header = [(self._line, text)]
        elif self._header and len(self._header) < _HEADER_MAX:
            self._header.append((self._line, text))
        else:
            self._header = []
            self._before = text
        if self._header and RULE.match(self._header[0][1]) and len(self._header) > 1:
            self._header = []

    def _start(
        self, signature: Signature, groups: dict[str, str], text: str, *, doubtful: bool
    ) -> None:
        header = [*self._header, (self._line, text)]
        report = _Report(
            signature=signature,
            family=signature.family,
            line_from=header[0][0],
            line_to=self._line,
            kind=signature.kind,
            title=signature.title,
            doubtful=doubtful,
            groups=groups,
        )
        if report.kind == "bug" or report.kind == "warning":
            report.study_message(self._before)
        for line, one in header:
            report.add(line, one)
            report.study(one)
        report.lines = 1
        self._header, self._before = [], ""
        self._report = report
        if signature.family is SINGLE:
            self._close(complete=True)

    def _go_on(self, report: _Report, text: str, *, doubtful: bool) -> bool:
        """True if the line belongs to the open report; else the report is over."""
        if doubtful and not report.doubtful and not report.ended:
            report.add(self._line, text)
            self._check_length(report)
            return True
        if report.proven and text.startswith(PANIC):
            report.family, report.ended = PANICKED, False
        elif self._interrupts(report, text):
            self._close(complete=True)
            return False
        elif report.ended:
            tail = report.family.tail
            if tail is None or not tail.match(text):
                self._close(complete=True)
                return False
        elif self._ends_before(report, text):
            report.ended = True
            return self._go_on(report, text, doubtful=doubtful)
        report.add(self._line, text)
        report.study(text)
        self._check_end(report, text)
        return True

    def _interrupts(self, report: _Report, text: str) -> bool:
        if text == _CUT_HERE or (_RESTART.match(text) and not report.ended):
            return True
        found = _find_signature(text)
        if found is None or (report.family is PANICKED and report.proven):
            return False
        return not (found[0].family is OOPS and report.family is OOPS and not report.died)

    def _ends_before(self, report: _Report, text: str) -> bool:
        """The line is the first that is not the report's, where the report has no last line."""
        family = report.family
        if family.end is not None:
            return False
        if family.body is not None:
            return not family.body.match(text)
        return report.stack_seen and not _STACK.match(text)

    def _check_end(self, report: _Report, text: str) -> None:
        family = report.family
        if family.end is not None:
            report.ended = report.ended or family.end.match(text) is not None
        elif family.body is None and text.strip() == "</TASK>":
            report.ended = report.stack_seen
        if report.ended and family is PANICKED:
            self._close(complete=True)
        else:
            self._check_length(report)

    def _check_length(self, report: _Report) -> None:
        if report.lines > (_REPORT_MAX if report.proven else report.family.window):
            self._close(complete=True)

    def _close(self, *, complete: bool) -> None:
        report = self._report
        if report is None:
            return
        self._report = None
        cut = not complete or report.family is PANICKED
        if report.proven or (cut and not report.doubtful):
            self._done.append(report.build(complete=complete and report.proven))


def scan(data: bytes) -> tuple[Splat, ...]:
    """All splats of a whole console."""
    scanner = SplatScanner()
    return scanner.feed(data) + scanner.finish()


class _Groups(dict[str, str]):
    """A title's group that did not match is empty."""

    def __missing__(self, key: str) -> str:
        return ""


def _find_signature(text: str) -> tuple[Signature, dict[str, str]] | None:
    if not ANY_FIRST.match(text):
        return None
    for signature in SIGNATURES:
        match = signature.first.match(text)
        if match:
            return signature, match.groupdict("")
    return None


def _plain(name: str) -> str:
    """A function without the compiler's suffixes, which change from build to build."""
    return re.sub(r"\.(constprop|isra|part|cold|llvm|lto_priv)\b.*", "", name)


def _normalise(title: str) -> str:
    """A title without what differs between two runs: addresses, pids, CPUs, counts."""
    title = re.sub(r"(?<!exitcode=)\b0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b", "ADDR", title)
    title = re.sub(r"\bCPU ?#?\d+|\bcpu \d+", "CPU", title)
    title = re.sub(r"(?<![\w.=])\d+(?![\w.])", "N", title)
    return title.rstrip(" .")
