# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML, as GitLab, Jenkins and GitHub's actions read it (docs/reports.md).

A <testsuite> for each suite of each run. What is the fault of the host is an <error>, what may be
the kernel's a <failure>. Sources of the format: GitLab's documentation of unit test reports,
Jenkins' JUnit plugin, and the format's description by testmo (junitxml).
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.errors import ExitCode
from harness.model import Outcome, Result, Row, Splat
from harness.recorded import Recorded
from harness.report import Options, outline
from harness.report.text import trace_lines

# https://www.w3.org/TR/xml/#charsets
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_RUN = {Outcome.SKIP, Outcome.XFAIL}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    name: str
    time_s: float = 0.0
    kind: str = ""  # of the element that says what is wrong: failure, error, skipped
    type: str = ""
    message: str = ""
    text: str = ""


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter."""
    top = ET.Element("testsuites", name="harness")
    seen = Counter(map(_where, runs))
    for one in runs:
        # Readers take tests of one classname and name for one test.
        twin = (one.directory.name[-4:],) if seen[_where(one)] > 1 else ()
        for name, cases in _suites(one).items():
            top.append(_suite(one, name, cases, (*_where(one), *twin, name)))
    total = [suite.attrib for suite in top]
    for key in ("tests", "failures", "errors", "skipped"):
        top.set(key, str(sum(int(one[key]) for one in total)))
    top.set("time", f"{sum(float(one['time']) for one in total):.3f}")
    ET.indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def _suites(one: Recorded) -> dict[str, list[_Case]]:
    found: dict[str, list[_Case]] = {}
    for row in one.run.rows:
        suite, short = _split(row.result.test)
        found.setdefault(suite, []).append(_case(row, short))
    own = list(_own_cases(one))
    if own:
        found.setdefault("kernel", []).extend(own)
    return found


def _split(test: str) -> tuple[str, str]:
    """The suite of a test and its name there; of a test of pytest, its file. Ours have none."""
    suite, mark, short = test.partition("::" if "::" in test else "/")
    return (suite, short) if mark else ("kernel", test)


def _where(one: Recorded) -> tuple[str, ...]:
    """What a run is of, as far as that is in the names of its tests."""
    kconfig = outline.kconfig(one)
    return (one.run.base, one.run.series, *((kconfig,) if kconfig != "base" else ()))


def _suite(one: Recorded, name: str, cases: Sequence[_Case], place: Sequence[str]) -> ET.Element:
    where = _clean(f"{outline.name(one.run)}: {name}")
    kinds = [case.kind for case in cases]
    made = ET.Element(
        "testsuite",
        name=where,
        tests=str(len(cases)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        time=f"{sum(case.time_s for case in cases):.3f}",
    )
    if one.started:
        made.set("timestamp", one.started[:19])
    properties = ET.SubElement(made, "properties")
    for key, value in _properties(one).items():
        ET.SubElement(properties, "property", name=key, value=_clean(value))
    classname = ".".join(part.replace(".", "_").replace(" + ", "+") for part in place)
    for case in cases:
        made.append(_element(case, _clean(classname)))
    return made


def _element(case: _Case, classname: str) -> ET.Element:
    made = ET.Element(
        "testcase", name=_clean(case.name), classname=classname, time=f"{case.time_s:.3f}"
    )
    if case.kind:
        said = ET.SubElement(made, case.kind, message=_clean(case.message))
        if case.kind != "skipped":
            said.set("type", case.type)
            said.text = _clean(case.text)
    return made


def _properties(one: Recorded) -> dict[str, str]:
    return {
        "base": outline.base(one),
        "series": one.run.series,
        "kernel release": one.run.kernel_release,
        "kconfig": outline.kconfig(one),
        "guest": outline.guest(one),
        "run": one.directory.name,
    }


def _case(row: Row, short: str) -> _Case:
    result = row.result
    case = _Case(name=short, time_s=result.duration_s)
    told = f"[{row.verdict}] " if row.verdict is not None else ""
    where = f" (first bad: {row.first_bad})" if row.first_bad else ""
    kind = _kind(row)
    if not kind:
        return case
    outcome = outline.outcome(row)
    return _Case(
        name=short,
        time_s=result.duration_s,
        kind=kind,
        type=str(outcome),
        message=f"{told}{outline.detail(row) or outcome}{where}",
        text=_words(result),
    )


def _kind(row: Row) -> str:
    """The element for a test; empty for one that is good."""
    if row.result.outcome is Outcome.ERROR:
        return "error"
    if row.result.outcome in _NOT_RUN:
        return "skipped"
    unexpected = row.base is not None and row.base.outcome is Outcome.XPASS
    return "failure" if row.result.outcome.bad or row.first_bad or unexpected else ""


def _words(result: Result) -> str:
    parts = [_splat(splat) for splat in result.splats]
    parts += ["\n".join(result.autopsy), result.output.rstrip()]
    return "\n\n".join(filter(None, parts))


def _splat(splat: Splat) -> str:
    return "\n".join((f"{splat.kind}: {splat.title}", *trace_lines(splat), *splat.text))


def _own_cases(one: Recorded) -> Iterator[_Case]:
    """What went wrong outside of the tests."""
    run = one.run
    told = outline.of(one)
    if one.error:
        kind = "failure" if outline.of_series(one) else "error"
        yield _Case(name="run", kind=kind, type="stage", message=one.error, text=one.error)
    elif one.exit in (None, ExitCode.INTERRUPTED):
        yield _Case(name="run", kind="error", type="cut", message="the run was cut short")
    elif not run.rows or one.exit == ExitCode.NOTHING_RAN:
        yield _Case(name="run", kind="error", type="nothing", message="no test ran")
    yield from _stray(told.stray)
    for test in run.unfinished:
        yield _Case(name=test, kind="error", type="not run", message="it was planned and not run")


def _stray(splats: Iterable[Splat]) -> Iterator[_Case]:
    for number, splat in enumerate(splats, 1):
        yield _Case(
            name=f"kernel report {number} outside of the tests",
            kind="failure",
            type=splat.kind,
            message=f"{splat.kind}: {splat.title}",
            text=_splat(splat),
        )


def _clean(words: str) -> str:
    """Without what XML cannot hold, not even escaped."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", words)
