# SPDX-License-Identifier: GPL-2.0-only
"""A report that is being read: what its lines say, and the Splat that comes of it."""

from dataclasses import dataclass, field

from harness.model import Splat
from harness.splat import frames
from harness.splat.families import CHAINED, PANIC, PANICKED, RULED, Family, Signature
from harness.splat.faults import MESSAGES
from harness.splat.lines import Line

TEXT_MAX = 120
_FRAMES = 3
_POINTERS = 4
_PAGE = 4096
# UBSAN's reports before 5.7 say what it was in the second line.
_SORTS = {
    "signed integer overflow": "signed-integer-overflow",
    "unsigned integer overflow": "unsigned-integer-overflow",
    "negation of": "negation-overflow",
    "shift exponent": "shift-out-of-bounds",
    "load of value": "invalid-load",
    "member access": "null-ptr-deref",
    "null pointer": "null-ptr-deref",
    "division by zero": "division-overflow",
}


@dataclass(slots=True)
class Report:
    """`doubtful`: its first line stood behind other text; `quoted`: it was read before, with the
    same time; `denied`: what followed shows that nothing had happened, unless a proof comes;
    `boot` counts the kernels that the console has seen start."""

    signature: Signature
    family: Family
    first: Line
    line_from: int
    line_to: int
    kind: str
    title: str
    groups: dict[str, str]
    doubtful: bool = False
    quoted: bool = False
    boot: int = 0
    proven: bool = False
    ended: bool = False
    died: bool = False
    stack_seen: bool = False
    tracing: bool = False
    lines: int = 0
    strange: int = 0
    denied: bool = False
    headers: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    loose: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """One more line of its own, with those before it that were not known to be."""
        for one in (*self.loose, line):
            self.line_to = max(self.line_to, one.number)
            if len(self.text) < TEXT_MAX:
                self.text.append(one.text)
            elif one.text.startswith(PANIC):
                self.text[-1] = one.text
        self.loose = []
        self.study(line.text)

    def study(self, text: str) -> None:
        """Take from one line what title, function and fingerprint need."""
        self.lines += 1
        proof = self.family.proof
        self.proven = self.proven or proof is None or (self.lines > 1 and bool(proof.match(text)))
        self.died = self.died or ("[#" in text and text.rstrip().partition("[#")[2][:1].isdigit())
        more = self.signature.more
        found = more.search(text) if more else None
        if found:
            self.groups = found.groupdict("") | {k: v for k, v in self.groups.items() if v}
        if self.kind in ("bug", "warning"):
            self.study_message(text)
        self.study_stack(text)

    def study_message(self, text: str) -> None:
        """A WARN or BUG that is more than that."""
        for kind, pattern, title in MESSAGES:
            match = pattern.search(text)
            if match:
                self.kind, self.title = kind, title
                self.groups = {**self.groups, **match.groupdict("")}

    def study_stack(self, text: str) -> None:
        """A line of registers or of the stack."""
        bare = self.family is not CHAINED  # arm's and riscv's stacks may have no head
        pointer = frames.POINTER.match(text)
        if pointer:
            fresh = not self.tracing or not self.frames
            if fresh and len(self.pointers) < _POINTERS:
                self.pointers.append(frames.plain(pointer["name"]))
            return
        if frames.TRACE.match(text):
            self.tracing = True
        elif self.tracing or self.family is RULED or (bare and text[:2] == "[<"):
            name = frames.named(text)
            if name:
                self.stack_seen = True
                if len(self.frames) < _FRAMES and not self.is_machinery(name):
                    self.frames.append(name)

    def is_machinery(self, name: str) -> bool:
        """A function that is in the stack only because there is a report."""
        if frames.REPORTING.match(name):
            return True
        skip = self.signature.skip
        if self.kind in ("refcount", "list-corruption", "odebug"):
            skip = (frames.LIBRARY,)
        return any(one.match(name) for one in skip)

    @property
    def panicked(self) -> bool:
        """It has come to the kernel's panic."""
        return self.family is PANICKED

    def build(self, *, complete: bool, first: bool = True) -> Splat:
        """The splat as far as it is known."""
        function = self.find_function() if self.signature.stack else ""
        kind, title = self.name()
        if self.race:
            title += " in " + " / ".join(self.race)
        elif function and not title.startswith(PANIC):
            title += f" in {function}"
        top = self.frames[:_FRAMES]
        if self.race or not self.signature.stack:
            top = []
        return Splat(
            kind=kind,
            title=title,
            function=function,
            fingerprint=(kind, title, *top),
            line_from=self.line_from,
            line_to=self.line_to,
            complete=complete,
            first=first,
            text=tuple(self.text),
        )

    @property
    def race(self) -> list[str]:
        """The two sides of a data race, in an order that does not depend on who was seen first."""
        sides = self.groups.get("race", "").split(" / ")
        return sorted(frames.plain(side.partition("+")[0]) for side in sides if side)

    def name(self) -> tuple[str, str]:
        """Kind and title, without the function."""
        kind, title = self.kind, self.title
        address = self.groups.get("address") or self.groups.get("failing")
        if kind == "page-fault" and address and int(address, 16) < _PAGE:
            kind, title = "null-deref", "kernel NULL pointer dereference"
        if kind == "null-deref" and "sysrq_handle_crash" in self.pointers:
            kind, title = "panic", f"{PANIC}: sysrq triggered crash"  # as it is since 5.0
        groups = _Groups(self.groups)
        if sort := groups.get("sort"):
            known = _SORTS.get(sort, "array-index-out-of-bounds")
            groups["what"] = known if groups["what"].startswith("Undefined") else groups["what"]
        title = frames.normalise(title.format_map(groups))
        return kind, title.replace("Oops: Oops - ", "Oops: ").replace("Oops: Oops", "Oops")

    def find_function(self) -> str:
        """The guilty one: named by the report, else where it happened, else who called that."""
        header = frames.plain(self.groups.get("fn", ""))
        named = [name for name in (header, *self.headers, *self.pointers, *self.race[:1]) if name]
        guilty = (name for name in (*named, *self.frames) if not self.is_machinery(name))
        return next(guilty, named[0] if named and not self.frames else "")


class _Groups(dict[str, str]):
    """A title's group that did not match is empty."""

    def __missing__(self, key: str) -> str:
        return ""
