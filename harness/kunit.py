# SPDX-License-Identifier: GPL-2.0-only
"""A log with KTAP in it -> leaf results, counted as tools/testing/kunit/kunit.py counts them.

ktap.py judges what a test printed; this room repeats the verdicts of the kernel's own tool, also
where that is odd: a test that its plan announced and that never came is a crash and an error, a
block without results is an error and no test, and behind the last line the tool still sees that
line. Unlike it, the reader goes on to the next document of the stream, and takes prefixes of any
width, CRLF and colours. Grammar: kunit_parser.py of 6.12.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.ktap_line import explain
from harness.splat.lines import LINE_MAX

_STAMP = re.compile(r"(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_START = re.compile(r"\s*K?TAP version (?:\d+)$")
_END = re.compile(
    r"\s*(?:List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted)"
)
_REFUSED = re.compile(r"\s*kunit executor: ")
_HEADER = re.compile(r"\s*# Subtest: (?P<name>.*)$")
_PLAN = re.compile(r"\s*1\.\.(?P<count>\d{1,9})")
_RESULT = re.compile(
    r"\s*(?P<word>ok|not ok) (?P<number>\d+) (?:- )?(?P<name>[^#]*)(?P<why> # .*)?$"
)
_SKIP = re.compile(r"\s*(?:ok|not ok) \d+ (?:- )?(?P<name>.*) # SKIP(?P<why>.*)$")
_VERSIONS = {"KTAP": ("1",), "TAP": ("13", "14")}
_DEPTH_MAX = 50
_LOG_MAX = 50
_SAID_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """`outcome` is pass, fail, skip or crash; `test` the names of its blocks joined with dots."""

    test: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a log holds. `counts` are leafs by outcome, and as `error` the faults of the log itself;
    `errors` says 100 of these at most, and `results` has 100 at most of what one plan misses."""

    results: tuple[Leaf, ...]
    errors: tuple[str, ...]
    counts: dict[str, int]


def count(lines: Iterable[str]) -> Count:
    """All documents of a log, whose lines may end in any way."""
    found = _Found()
    source = _Source(lines)
    documents = 0
    while (document := source.next_document()) is not None:
        documents += 1
        _Reader(document, found).read_document()
    if not documents:
        found.add_error("no KTAP output")
    counts = {name: found.counts[name] for name in ("pass", "fail", "skip", "crash", "error")}
    return Count(results=tuple(found.results), errors=tuple(found.errors), counts=counts)


@dataclass(slots=True)
class _Found:
    results: list[Leaf] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, leaf: Leaf) -> None:
        self.counts[leaf.outcome] += 1
        self.results.append(leaf)

    def add_error(self, text: str, times: int = 1) -> None:
        self.counts["error"] += times
        self.errors += [text] * min(times, _SAID_MAX - len(self.errors))

    def add_missing(self, times: int) -> None:
        """Tests of a plan that nothing was heard of."""
        self.counts["crash"] += times
        self.results += [Leaf(test="", outcome="crash", detail="no result")] * min(times, _SAID_MAX)


class _Source:
    """The lines of a log without what stands before all of them, cut into documents."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._held: str | None = None

    def next_document(self) -> "_Lines | None":
        """From the next version line on, None where no more comes."""
        for raw in self._raw():
            text, stamped = _bare(raw)
            if _REFUSED.match(text) and not _START.search(text):
                return _Lines(iter([text]))
            start = _START.search(text)
            if start is not None:
                cut = re.search(r"K?TAP version", text)
                prefix = cut.start() if cut else 0
                return _Lines(self._document(text[prefix:], prefix, stamped=stamped))
        return None

    def _raw(self) -> Iterator[str]:
        if self._held is not None:
            held, self._held = self._held, None
            yield held
        # `yield from` would close a file together with this generator.
        for raw in self._lines:  # noqa: UP028
            yield raw

    def _document(self, first: str, prefix: int, *, stamped: bool) -> Iterator[str]:
        yield first
        for raw in self._lines:
            bare = _bare(raw)[0]
            text = bare if stamped else _clean(raw)
            if _END.match(text):
                return
            inner = text[prefix:]
            if any(one[:1] in ("K", "T") and _START.match(one) for one in (inner, bare)):
                self._held = raw
                return
            yield inner


def _clean(raw: str) -> str:
    return _ANSI.sub("", raw[:LINE_MAX]).rstrip()


def _bare(raw: str) -> tuple[str, bool]:
    """A line without printk's prefix, and whether it had one."""
    text = _clean(raw)
    match = _STAMP.match(text)
    return (text[match.end() :], True) if match else (text, False)


class _Lines:
    """One document, one line ahead. At its end `text` stays the last line, as in kunit.py."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.text = ""
        self.more = True
        self.steps = 0
        self.step()

    def step(self) -> None:
        """Go to the next line."""
        self.steps += 1
        try:
            self.text = next(self._lines)
        except StopIteration:
            self.more = False

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The line, if it is there and like that, and then the next one."""
        match = pattern.match(self.text) if self.more else None
        if match is not None:
            self.step()
        return match


@dataclass(slots=True)
class _Test:
    """One test or block. A block's own `status` counts only where nothing in it did."""

    name: str = ""
    status: str = "crash"
    plan: int | None = None
    seen: int = 0
    leafs: int = 0
    why: str = ""
    log: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self, lines: _Lines, found: _Found) -> None:
        self._lines = lines
        self._found = found
        self._names: list[tuple[int, int]] = []

    def read_document(self) -> None:
        """All of it, or as much as its plan says."""
        test = _Test(name="main")
        self._diagnostics(test)
        self._take_version(test)
        self._diagnostics(test)
        self._take_plan(test)
        self._read_children(test, depth=0)
        self._judge_empty(test)
        if not test.leafs and test.status != "none":
            self._add(test)

    def _read_test(self, number: int, log: list[str], depth: int) -> int:
        """A test inside: a result line, or a block and then its line; how many leafs it gave."""
        test = _Test(log=log)
        before = len(self._found.results)
        self._diagnostics(test)
        block = self._take_version(test) if depth < _DEPTH_MAX else False
        header = self._lines.take(_HEADER)
        if header is not None:
            test.name = header["name"]
        block = block or header is not None
        if block:
            self._diagnostics(test)
            self._take_plan(test)
            self._read_children(test, depth=depth)
        self._diagnostics(test)
        if test.name and not self._ends(test):
            self._found.add_error(f"{test.name}: no result line")
        else:
            self._take_result(test, number)
        if block:
            self._name(before, test.name)
            self._judge_empty(test)
        if not test.leafs and test.status != "none":
            self._add(test)
        return len(self._found.results) - before

    def _read_children(self, test: _Test, *, depth: int) -> None:
        number = 1
        while test.plan is None or number <= test.plan:
            log = self._diagnostics(_Test())
            if not self._lines.more or (depth and self._ends(test)):
                if not test.plan:
                    test.log += log
                    break
                missing = test.plan - number + 1
                self._found.add_error(f"{test.name}: a planned test has no result", missing)
                self._miss(test, missing)
                return
            before = self._lines.steps
            test.leafs += self._read_test(number, log, depth + 1)
            test.seen += 1
            number += 1
            if self._lines.steps == before:
                # A plan where a result should be, say: kunit.py makes nothing of it until its own
                # plan is used up, for ever where there is none.
                if test.plan is not None:
                    self._miss(test, test.plan - number + 1)
                    return
                self._lines.step()

    def _miss(self, test: _Test, missing: int) -> None:
        self._found.add_missing(missing)
        test.leafs += missing
        test.seen += missing

    def _judge_empty(self, test: _Test) -> None:
        if not test.seen and test.status in ("crash", "pass"):
            test.status = "none"
            self._found.add_error(f"{test.name}: 0 tests run")

    def _name(self, before: int, name: str) -> None:
        """The leafs of a block have its name, which may come last."""
        for index in range(before, len(self._found.results)):
            leaf = self._found.results[index]
            path = ".".join(part for part in (name, leaf.test) if part)
            self._found.results[index] = Leaf(test=path, outcome=leaf.outcome, detail=leaf.detail)

    def _add(self, test: _Test) -> None:
        detail = test.why
        if test.status in ("fail", "crash"):
            detail = explain(test.log, test.why) or ("no result" if test.status == "crash" else "")
        self._found.add(Leaf(test=test.name, outcome=test.status, detail=detail))
        test.leafs += 1

    def _diagnostics(self, test: _Test) -> list[str]:
        """Pass by what is none of the lines that mean something."""
        while self._lines.more and not _means(self._lines.text):
            test.log.append(re.sub(r"^\s*(#(\s+|$))*", "", self._lines.text))
            del test.log[:-_LOG_MAX]
            self._lines.step()
        return test.log

    def _take_version(self, test: _Test) -> bool:
        match = self._lines.take(_START)
        if match is None:
            return False
        word, _, version = match[0].strip().partition(" version ")
        if version not in _VERSIONS[word]:
            self._found.add_error(f"{test.name}: {word} version {version}")
        return True

    def _take_plan(self, test: _Test) -> None:
        match = self._lines.take(_PLAN)
        if match is not None:
            test.plan = int(match["count"])

    def _ends(self, test: _Test) -> bool:
        match = _RESULT.match(self._lines.text)
        return match is not None and match["name"] == test.name

    def _take_result(self, test: _Test, number: int) -> None:
        skip = _SKIP.match(self._lines.text)
        match = self._lines.take(_RESULT)
        if match is None:
            return
        test.name = (skip or match)["name"]
        test.why = ((skip or match)["why"] or "").strip(" #")
        if int(match["number"]) != number:
            self._found.add_error(f"{test.name}: number {match['number']} instead of {number}")
        test.status = "pass" if match["word"] == "ok" else "fail"
        if skip is not None:
            test.status = "skip"


def _means(text: str) -> bool:
    return any(one.match(text) for one in (_RESULT, _HEADER, _START, _PLAN))
