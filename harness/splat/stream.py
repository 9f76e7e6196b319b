# SPDX-License-Identifier: GPL-2.0-only
"""What one task or CPU prints, in its order: where reports begin and end in it.

A console whose lines do not say who printed them is one stream, and lines of others in the middle
of a report have to be borne.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.splat import frames
from harness.splat.families import (
    BODY,
    CUT_HERE,
    OOPS,
    PANIC,
    PANICKED,
    RULE,
    SINGLE,
    Family,
    Signature,
)
from harness.splat.lines import Line
from harness.splat.report import Report
from harness.splat.signatures import find, prelude

HEADER_MAX = 12
_REPORT_MAX = 2000
_STRANGE_MAX = 30  # lines of others in a row that end a report which has no last line
_STRANGE_CUT = 3  # more of them, and a first line without proof was only quoted
# Whoever prints this goes on living: a test, a daemon, the kernel in good order.
_ALIVE = re.compile(r"(?:not )?ok \d|# |harness [0-9a-f]+: |1\.\.\d|reboot: |[\w.-]+\[\d+\]: ")
_FOREIGN_MAX = 3  # lines of others in the middle of what comes after a report's end
_ASIDE_MAX = 8  # lines after which another CPU's first line can still hide a report's proof
_PASSED_MAX = 60  # lines of others, after which what was read of a head means nothing
_QUIET_MAX = 400  # the same for a report, which a busy CPU's console may hold up for long


@dataclass(slots=True, eq=False)
class Stream:
    """`report` is the one that is open, `aside` those whose lines another one's got into."""

    done: Callable[[Report, bool], None]
    report: Report | None = None
    aside: list[Report] = field(default_factory=list)
    header: list[Line] = field(default_factory=list)
    passed: int = 0

    @property
    def idle(self) -> bool:
        """Nothing that was read so far matters for what comes."""
        return self.report is None and not self.aside and not self.header

    @property
    def open(self) -> list[Report]:
        """Reports that are not over."""
        return [*self.aside, *([self.report] if self.report else [])]

    @property
    def begun(self) -> int:
        """The first line of what is not over."""
        lines = [report.line_from for report in self.open]
        return min(lines + [line.number for line in self.header])

    def read(self, line: Line, *, doubtful: bool = False) -> Report | None:
        """Take one line; the report that begins with it, if one does."""
        self.passed = 0
        for report in [one for one in self.aside if one is not self.report]:
            self._prove(report, line)
        if self.report is not None and self._go_on(self.report, line):
            self._note(line)
            return None
        found = find(line.text)
        message = bool(self.header) and CUT_HERE.match(self.header[-1].text) is not None
        if found is None or (message and found[0].vague):  # a WARN's own words may begin with BUG:
            self._note(line)
            return None
        return self._start(*found, line, doubtful=doubtful)

    def pass_by(self) -> None:
        """Somebody else printed a line."""
        self.passed += 1
        report = self.report
        if report is None:
            if self.passed > _PASSED_MAX:
                self.aside, self.header = [], []
        elif self.passed > (_QUIET_MAX if not report.ended else report.family.slack * 4):
            self.close()

    def close(self, *, complete: bool = True) -> None:
        """The report is over; one that nothing proved was none."""
        report, self.report = self.report, None
        if report is not None and report.proven:
            self.done(report, complete or report.ended or report.panicked)

    def cut(self, *, alive: bool = False) -> None:
        """The console ends here, or the kernel; `alive`: it went on after what is open."""
        for report in self.open:
            sure = not report.doubtful and not report.signature.vague and not alive
            if report.proven:
                self.done(report, report.ended or report.panicked)
            elif sure and report.strange <= _STRANGE_CUT and not report.denied:
                self.done(report, False)
        self.report, self.aside, self.header = None, [], []

    def _note(self, line: Line) -> None:
        """Remember what may turn out to be the head of a report."""
        if self.report is not None and self.report.family.end is RULE and self.report.ended:
            self.header = []
        elif prelude(line.text):
            again = CUT_HERE.match(line.text) or RULE.match(line.text)
            self.header = [line] if again and not _messages(self.header) else [*self.header, line]
        elif self.header:
            short = 2 if RULE.match(self.header[0].text) else HEADER_MAX
            self.header = [*self.header, line] if len(self.header) < short else []

    def _start(
        self, row: Signature, groups: dict[str, str], line: Line, *, doubtful: bool
    ) -> Report:
        head, self.header = self.header, []
        report = Report(
            signature=row,
            family=row.family,
            first=line,
            line_from=head[0].number if head else line.number,
            line_to=line.number,
            kind=row.kind,
            title=row.title,
            groups=groups,
            doubtful=doubtful,
        )
        for one in (*head, line):
            report.add(one)
        report.lines, report.proven = 1, row.family is SINGLE
        if report.proven:
            self.done(report, True)
        else:
            self.report = report
        return report

    def _go_on(self, report: Report, line: Line) -> bool:
        """True if the line was dealt with; else it may begin another report."""
        text = line.text
        if text.startswith(PANIC):
            return self._panic(report, line)
        if report.lines <= 2 and text == report.first.text and line.stamp == report.first.stamp:
            report.add(line)  # two consoles on one wire (keep_bootcon)
            return True
        if report.lines <= 4 and _inlined(report, text):
            report.add(line)  # one line for each function that was inlined
            return True
        if self._interrupts(report, line):
            self._set_aside(report)
            return False
        if report.ended:
            return self._trail(report, line)
        if self._ends_before(report, text):
            report.ended = True
            return self._trail(report, line)
        self._take(report, line)
        return True

    def _panic(self, report: Report, line: Line) -> bool:
        """The kernel dies: of this report, unless that was only quoted and this is the real one."""
        quoted = report.strange > 0 if report.panicked else report.signature.vague
        if quoted and not report.proven:
            self.close()
            return False
        if not report.panicked:
            report.family, report.ended, report.proven = PANICKED, False, True
        report.add(line)
        return True

    def _take(self, report: Report, line: Line) -> None:
        family, text = report.family, line.text
        ends = family.end is not None and family.end.match(text) is not None
        alive = _ALIVE.match(text) is not None
        own = BODY.match(text) or _proves(family, text) or (report.lines <= 2 and not alive)
        if ends or own:
            report.add(line)
        else:
            report.strange += not report.proven
            report.denied = report.denied or alive
            report.lines += 1
            report.loose.append(line)
            report.study(text)
            report.lines -= 1
        if ends:
            report.ended = True
        elif family.end is None and family.body is None and text.strip() == "</TASK>":
            report.ended = report.stack_seen
        if len(report.loose) > _STRANGE_MAX or report.lines > self._limit(report):
            self.close()

    def _limit(self, report: Report) -> int:
        return _REPORT_MAX if report.proven else report.family.window

    def _trail(self, report: Report, line: Line) -> bool:
        """After the end: what still belongs, and a stack that another's line had cut in two."""
        family, text = report.family, line.text
        # Without a last line what the report is made of may go on behind another's line.
        more = family.tail or family.body
        tail = more is not None and text != "" and more.match(text) is not None
        if tail and len(report.loose) <= _FOREIGN_MAX:
            report.loose = []
            report.add(line)
            return True
        if family.end is None and family.body is None and frames.named(text):
            report.ended = False
            report.add(line)
            return True
        report.loose.append(line)
        if prelude(text) or len(report.loose) > family.slack:
            report.loose = []
            self.close()
            return False
        return True

    def _interrupts(self, report: Report, line: Line) -> bool:
        """Another report begins here, not a part of this one."""
        text = line.text
        if CUT_HERE.match(text):
            return not report.panicked and (report.proven or report.lines > 1)
        found = find(text)
        if found is None:
            return False
        row = found[0]
        if report.panicked:
            return report.ended and not row.vague
        if row.kind == "oom" and report.kind == "oom" and row.family is SINGLE:
            return False
        if row.family is SINGLE or row.vague:
            return report.ended or not report.proven
        # The second line of an oops looks like the first of one; so does another CPU's oops, but
        # the one that is open has to come to its registers first.
        begun = report.died and bool(report.pointers or report.stack_seen)
        return not (row.family is OOPS and report.family is OOPS and not begun)

    def _set_aside(self, report: Report) -> None:
        if not report.proven and report.lines <= _ASIDE_MAX and not report.signature.vague:
            self.aside = [*self.aside[-3:], report]
            self.report = None
        else:
            self.close()

    def _prove(self, report: Report, line: Line) -> None:
        """A report that another one's lines got into: all that is asked of it is to be real."""
        report.add(line)
        if not BODY.match(line.text):
            report.strange += 1
        if report.proven:
            self.aside.remove(report)
            self.done(report, True)
        elif report.lines > report.family.window:
            self.aside.remove(report)

    def _ends_before(self, report: Report, text: str) -> bool:
        """The line is the first that is not the report's, where the report has no last line."""
        family = report.family
        if family.end is not None:
            return False
        if family.body is not None:
            return report.proven and not family.body.match(text)
        return report.stack_seen and not frames.STACK.match(text)


def _inlined(report: Report, text: str) -> bool:
    row = report.signature
    again = row.first.match(text) if row.kind in ("kasan", "kmsan", "kmemleak") else None
    if again is not None and (name := again.groupdict().get("fn")):
        report.headers.append(name)
    return again is not None


def _proves(family: Family, text: str) -> bool:
    return family.proof is not None and family.proof.match(text) is not None


def _messages(header: list[Line]) -> bool:
    return bool(header) and not CUT_HERE.match(header[0].text) and not RULE.match(header[0].text)
