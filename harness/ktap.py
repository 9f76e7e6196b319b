# SPDX-License-Identifier: GPL-2.0-only
"""KTAP and TAP text -> Subtests and what the whole says. Pure, streaming, bounded.

Format: Documentation/dev-tools/ktap.rst (KTAP 1, nested), tools/testing/selftests/kselftest.h and
kselftest/runner.sh (TAP 13, the runner nests with "# "). Leafs are counted as
tools/testing/kunit/kunit_parser.py counts them; docs/ktap.md says how output is judged.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness import ktap_line
from harness.ktap_line import DETAIL_MAX, Rest, diagnostic, explain, outcome_of, parse_rest, shorten
from harness.model import Outcome, Subtest

_LINE_MAX = 64 * 1024
_DIAGNOSTICS_MAX = 50
_PROBLEMS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ktap:
    """All that a text in KTAP or TAP says.

    `results` are the leafs in the order of the text. `problems` are faults of the text, `broken`
    of them cost the whole its pass and `errors` is their number as kunit.py counts. `missing`
    tests were planned and gave no result. `parents` names the leafs that stand for a block which
    failed though nothing in it did. `skipped_all` is the reason of a plan `1..0 # SKIP reason`.
    """

    results: tuple[Subtest, ...] = ()
    seen_ktap: bool = False
    problems: tuple[str, ...] = ()
    bail_out: str | None = None
    broken: int = 0
    errors: int = 0
    missing: int = 0
    parents: frozenset[str] = frozenset()
    skipped_all: str | None = None

    @property
    def outcome(self) -> Outcome:
        """PASS, FAIL or SKIP for the whole. Text without any verdict is a FAIL, never a pass."""
        outcomes = {subtest.outcome for subtest in self.results}
        if self.bail_out is not None or self.broken or any(one.bad for one in outcomes):
            return Outcome.FAIL
        if not outcomes:
            return Outcome.FAIL if self.skipped_all is None else Outcome.SKIP
        return Outcome.SKIP if outcomes == {Outcome.SKIP} else Outcome.PASS

    @property
    def detail(self) -> str:
        """One line on why it is not a pass: the first failure, else what is wrong with the text."""
        bad = next((one for one in self.results if one.outcome.bad), None)
        if bad is not None:
            return shorten(f"{bad.name}: {bad.detail or bad.outcome}")
        if self.bail_out is not None:
            return shorten(f"Bail out! {self.bail_out}".rstrip())
        if self.broken:
            return shorten(self.problems[0])
        if self.outcome is Outcome.FAIL:
            return "no result line" if self.seen_ktap else "no KTAP output"
        if self.outcome is Outcome.SKIP:
            return self.skipped_all or next((one.detail for one in self.results if one.detail), "")
        return ""

    @property
    def counts(self) -> dict[str, int]:
        """Leafs by pass, fail, skip, crash (planned, no result) and error (faults of the text)."""
        leafs = [one for one in self.results if one.name not in self.parents]
        failed = sum(one.outcome.bad for one in leafs)
        skipped = sum(one.outcome is Outcome.SKIP for one in leafs)
        return {
            "pass": len(leafs) - failed - skipped,
            "fail": failed,
            "skip": skipped,
            "crash": self.missing,
            "error": self.errors,
        }


@dataclass(frozen=True, slots=True)
class _Leaf:
    """`own`: it stands for a block, beside the leafs of that block."""

    name: str
    outcome: Outcome
    detail: str
    own: bool = False


@dataclass(slots=True)
class _Block:
    """One level of nesting: from its version line, header or plan to its parent's result line.

    `held` waits for the name of the block, which may come only with the parent's result line.
    """

    indent: str
    name: str | None = None
    plan: int | None = None
    seen: int = 0
    leafs: int = 0
    failed: bool = False
    started: bool = False
    skip: str | None = None
    bailed: bool = False
    held: list[_Leaf] = field(default_factory=list)


class KtapParser:
    """Feed it text in any pieces; what it answers does not depend on where they are cut.

    With `runner=False` what kselftest's runner prefixes with "# " is a diagnostic, as it is for
    kunit.py, and each program one leaf.
    """

    def __init__(self, *, runner: bool = True) -> None:
        self._runner = runner
        self._line: list[str] = []
        self._length = 0
        self._blocks: list[_Block] = []
        self._diagnostics: deque[str] = deque(maxlen=_DIAGNOSTICS_MAX)
        self._results: list[Subtest] = []
        self._given = 0
        self._names: dict[str, int] = {}
        self._parents: set[str] = set()
        self._problems: list[str] = []
        self._broken = 0
        self._errors = 0
        self._missing = 0
        self._bail_out: str | None = None
        self._skipped_all: str | None = None

    def feed(self, chunk: str) -> tuple[Subtest, ...]:
        """The leafs whose verdict and full name are known since the last call."""
        for line in self._lines(chunk):
            self._parse_line(line)
        new = tuple(self._results[self._given :])
        self._given = len(self._results)
        return new

    def finish(self) -> Ktap:
        """The whole, with a last line that lacks its newline and blocks that never ended."""
        if self._line:
            self._parse_line("".join(self._line))
            self._line = []
        seen = bool(self._blocks)
        if not seen:
            self._add_problem("no KTAP output")
        self._close_down_to(0)
        return Ktap(
            results=tuple(self._results),
            seen_ktap=seen,
            problems=tuple(self._problems),
            bail_out=self._bail_out,
            broken=self._broken,
            errors=self._errors,
            missing=self._missing,
            parents=frozenset(self._parents),
            skipped_all=self._skipped_all,
        )

    def _lines(self, chunk: str) -> Iterator[str]:
        """Whole lines; of a very long one the first 64 KiB."""
        *ended, rest = chunk.split("\n")
        for piece in ended:
            self._keep(piece)
            yield "".join(self._line)
            self._line, self._length = [], 0
        self._keep(rest)

    def _keep(self, piece: str) -> None:
        piece = piece[: _LINE_MAX - self._length]
        if piece:
            self._line.append(piece)
            self._length += len(piece)

    def _parse_line(self, line: str) -> None:
        match, line = ktap_line.match(line)
        if match is None:
            self._add_diagnostic(line)
        else:
            self._parse_match(match, line)

    def _parse_match(self, match: re.Match[str], line: str) -> None:
        indent = match["indent"].expandtabs(8)
        header = match["subtest"] or match["selftest"]
        runner = "#" in indent or match["selftest"] is not None
        if (runner and not self._runner) or not self._understood(match, indent):
            self._add_diagnostic(line)
        elif match["version"]:
            self._start_block(indent)
        elif header is not None:
            self._parse_header(indent, header.strip(), runner=match["selftest"] is not None)
        elif match["plan"] is not None:
            self._parse_plan(indent, int(match["plan"]), match["why"])
        elif match["result"] is not None:
            self._parse_result(indent, match)
        else:
            self._parse_bail(indent, match["bail"].strip())

    def _understood(self, match: re.Match[str], indent: str) -> bool:
        """False for a line that only looks like KTAP: "# ok 1" in no runner's block, "ok then"."""
        if match["version"]:
            return bool(self._blocks) or "#" not in indent
        if not self._blocks:
            return "#" not in indent and (match["plan"] or match["number"]) is not None
        inner = self._blocks[self._level(indent)].indent
        return "#" not in indent.removeprefix(inner)

    def _add_diagnostic(self, line: str) -> None:
        text = diagnostic(line)
        if text and self._blocks:
            self._diagnostics.append(text[:DETAIL_MAX])

    def _level(self, indent: str) -> int:
        """Index of the innermost open block that a line indented so can belong to."""
        for index in range(len(self._blocks) - 1, 0, -1):
            if indent.startswith(self._blocks[index].indent):
                return index
        return 0

    def _start_block(self, indent: str) -> None:
        """A version line: a block inside, or, at the indentation of an open one, the next one."""
        if self._blocks:
            level = self._level(indent)
            self._close_down_to(level + 1)
            block = self._blocks[level]
            if len(indent) <= len(block.indent):
                if not block.started:
                    block.started = True
                    return
                self._close_down_to(level)
        self._blocks.append(_Block(indent, started=True))

    def _parse_header(self, indent: str, name: str, *, runner: bool) -> None:
        """`# Subtest: name` in its block or, older, before it; the runner's before its block."""
        indent += "# " if runner else ""
        level = self._level(indent)
        self._close_down_to(level + 1)
        block = self._blocks[level]
        if level and block.indent == indent:
            if block.name is None and not block.seen and not runner:
                block.name = name
                return
            self._close_down_to(level)
        self._blocks.append(_Block(indent, name=name, started=not runner))

    def _parse_plan(self, indent: str, plan: int, why: str) -> None:
        if not self._blocks:
            self._blocks.append(_Block(indent))
        level = self._level(indent)
        self._close_down_to(level + 1)
        block = self._blocks[level]
        if block.plan is not None:
            if len(indent) <= len(block.indent):
                if block.seen < block.plan or level:
                    text = f"a second plan, {plan} after {block.plan}"
                    self._add_problem(self._path(level, text), breaks=True)
                    return
                self._close_down_to(level)
            block = _Block(indent)
            self._blocks.append(block)
        block.plan = plan
        block.started = True
        rest = parse_rest(why)
        if plan == 0 and rest.directive == "SKIP":
            block.skip = rest.reason

    def _parse_result(self, indent: str, match: re.Match[str]) -> None:
        if not self._blocks:
            self._blocks.append(_Block(indent))
        level = self._level(indent)
        self._close_down_to(level + 2)
        block = self._blocks[level]
        rest = parse_rest(match["rest"])
        number = int(match["number"] or block.seen + 1)
        name = rest.name or str(number)
        if len(self._blocks) > level + 1 and self._blocks[-1].name not in (None, name):
            self._close_down_to(level + 1)
        if number != block.seen + 1:
            text = f"expected number {block.seen + 1}, saw {number}"
            self._add_problem(self._path(level, text))
        outcome = outcome_of(match["result"] == "ok", rest.directive)
        detail = self._explain(outcome, rest)
        self._diagnostics.clear()
        if len(self._blocks) > level + 1:
            self._end_block(name, outcome, detail)
        else:
            self._emit(level, _Leaf(name, outcome, detail))
        block.seen += 1
        block.failed |= outcome.bad

    def _parse_bail(self, indent: str, reason: str) -> None:
        """The blocks that it ends are not blamed for their plans too."""
        level = self._level(indent)
        for block in self._blocks[level:]:
            block.bailed = True
        if self._bail_out is None:
            self._bail_out = reason
        self._diagnostics.append(f"Bail out! {reason}".rstrip())

    def _end_block(self, name: str, outcome: Outcome, detail: str) -> None:
        """The parent's result line: a leaf only where no leaf of the block says the same."""
        child = self._blocks[-1]
        level = len(self._blocks) - 2
        if child.started or child.seen:
            detail = self._check_plan(name, child) or detail
        self._blocks.pop()
        for leaf in child.held:
            self._emit(level, replace(leaf, name=f"{name}.{leaf.name}"))
        if outcome.bad and not child.failed:
            own = child.seen > 0 or bool(child.plan)
            self._emit(level, _Leaf(name, outcome, detail, own=own))
        elif not child.seen and (not child.started or outcome is Outcome.SKIP):
            self._emit(level, _Leaf(name, outcome, detail or child.skip or ""))
        elif not child.seen and child.skip is not None:
            self._emit(level, _Leaf(name, Outcome.SKIP, child.skip))
        elif not child.seen and not child.plan:
            self._add_problem(self._path(level, f"{name}: 0 tests run"))
        elif child.seen and not child.leafs:
            self._emit(level, _Leaf(name, outcome, detail))
        self._blocks[-1].failed |= child.failed

    def _close_down_to(self, count: int) -> None:
        """End the blocks from `count` on, innermost first: their results' lines never came."""
        while len(self._blocks) > count:
            block = self._blocks[-1]
            outer = self._blocks[-2] if len(self._blocks) > 1 else None
            name = "" if outer is None else block.name or str(outer.seen + 1)
            self._check_plan(name, block)
            if outer is not None and not block.bailed:
                text = self._path(len(self._blocks) - 2, f"{name}: no result line")
                self._add_problem(text, breaks=True, errors=block.name is not None)
                self._missing += block.seen > 0 and not block.leafs
            self._blocks.pop()
            for leaf in block.held:
                held = replace(leaf, name=f"{name}.{leaf.name}")
                self._emit(len(self._blocks) - 1, held)
            if outer is None:
                self._missing += block.seen > 0 and not self._results and not self._missing
                if block.skip is not None and not block.seen:
                    self._skipped_all = block.skip
                elif not block.plan and not block.seen and not block.bailed:
                    self._add_problem("0 tests run", breaks=True)
                continue
            outer.seen += 1
            outer.failed |= block.failed

    def _check_plan(self, name: str, block: _Block) -> str:
        """What is wrong with the plan of a block that ends, one line, or nothing."""
        where = self._path(len(self._blocks) - 2, f"{name}: ") if name else ""
        if block.plan is None:
            if block.seen:
                self._add_problem(f"{where}no plan", errors=0)
            return ""
        if block.plan == block.seen:
            return ""
        text = f"planned {block.plan}, saw {block.seen}"
        missing = max(block.plan - block.seen, 0)
        self._missing += missing
        if block.bailed:
            self._errors += missing
        else:
            self._add_problem(where + text, breaks=True, errors=max(missing, 1))
        return text

    def _path(self, level: int, text: str) -> str:
        """`text` with the names of the blocks around it, a number where one is not known yet."""
        pairs = zip(self._blocks[:level], self._blocks[1 : level + 1], strict=False)
        return ".".join([*(one.name or str(outer.seen + 1) for outer, one in pairs), text])

    def _add_problem(self, text: str, *, breaks: bool = False, errors: int = 1) -> None:
        self._broken += breaks
        self._errors += errors
        if breaks and self._broken == 1:
            self._problems.insert(0, text)
        elif len(self._problems) < _PROBLEMS_MAX:
            self._problems.append(text)

    def _emit(self, level: int, leaf: _Leaf) -> None:
        """Give a leaf of block `level` its full name, or hold it until its parent's is known."""
        for block in reversed(self._blocks[1 : level + 1]):
            block.leafs += 1
            if block.name is None:
                block.held.append(leaf)
                return
            leaf = replace(leaf, name=f"{block.name}.{leaf.name}")
        name = self._make_unique(leaf.name)
        if leaf.own:
            self._parents.add(name)
        self._results.append(Subtest(name=name, outcome=leaf.outcome, detail=leaf.detail))

    def _make_unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else self._make_unique(f"{name}#{count}")

    def _explain(self, outcome: Outcome, rest: Rest) -> str:
        """The reason on the result line; for a failure the last diagnostic before it as well."""
        if not outcome.bad:
            return shorten(rest.reason)
        reason = f"{rest.directive}: {rest.reason}" if rest.directive else rest.reason
        return explain(self._diagnostics, reason)


def parse(text: str, *, runner: bool = True) -> Ktap:
    """The whole of a text at once."""
    parser = KtapParser(runner=runner)
    parser.feed(text)
    return parser.finish()
