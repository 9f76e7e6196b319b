# SPDX-License-Identifier: GPL-2.0-only
"""Why a symbol has not the value that was asked for, read from the kernel's Kconfig files.

The language is that of Documentation/kbuild/kconfig-language.rst (Linux 6.12); reasons go one
level deep, and what only the compiler can answer counts as met.
"""

import difflib
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PROMPT = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?:if\b)?(.*)""")
_TOKEN = re.compile(r""""[^"]*"|'[^']*'|&&|\|\||[<>!]?=|[<>!()]|\w+""")
_COMPARE = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le}
_COMPARE |= {">": operator.gt, ">=": operator.ge}


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A config, menu, choice, if or comment of the Kconfig files, and the block it stands in."""

    kind: str
    block: "_Entry | None"
    depends: list[str] = field(default_factory=list)
    visible: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator["_Entry"]:
        """The entry and what it stands in, inmost first."""
        entry: _Entry | None = self
        while entry:
            yield entry
            entry = entry.block


class KconfigTree:
    """The Kconfig files that `make ARCH=x86` reads, followed from the top one.

    `entries`: symbol -> its definitions; `selectors`: symbol -> (selecting symbol, condition).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, list[_Entry]] = {}
        self.selectors: dict[str, list[tuple[str, str]]] = {}
        self._read("Kconfig", _Entry(kind="menu", block=None))

    def _read(self, name: str, block: _Entry) -> None:
        try:
            text = (self.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:  # say what the other files tell
            return
        entry, symbol = block, ""
        for word, rest in _statements(text):
            if word in ("config", "menuconfig"):
                symbol, entry = rest, _Entry(kind="", block=block)
                self.entries.setdefault(symbol, []).append(entry)
            elif word in ("menu", "choice", "if", "comment"):
                entry = _Entry(kind=word, block=block, depends=[rest] if word == "if" else [])
                block = block if word == "comment" else entry
            elif word in ("endmenu", "endchoice", "endif"):
                entry = block = block.block or block
            elif word == "source":
                self._read(re.sub(r"\$\(?SRCARCH\)?", "x86", rest.strip('"')), block)
            elif word == "select":
                target, _, condition = rest.partition(" if ")
                self.selectors.setdefault(target.strip(), []).append((symbol, condition))
            else:
                _attribute(entry, word, rest)


def _attribute(entry: _Entry, word: str, rest: str) -> None:
    if word == "depends":
        entry.depends.append(rest.removeprefix("on").strip())
    elif word == "visible":
        entry.visible.append(rest.removeprefix("if").strip())
    elif word == "range":
        entry.ranges.append(rest)
    elif word in ("bool", "tristate", "string", "int", "hex", "prompt", "def_bool", "def_tristate"):
        if word != "prompt":
            entry.kind = entry.kind or word.removeprefix("def_")
        if prompt := _PROMPT.match(rest):
            entry.prompts.append(prompt[1].strip())


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """(keyword, rest of the line) without comments and help texts, continued lines joined."""
    help_depth: int | None = None  # 0 until its first line shows how far a help text is indented
    for line in text.replace("\\\n", " ").expandtabs().split("\n"):
        body = line.lstrip()
        if not body or body[0] == "#":
            continue
        depth = len(line) - len(body)
        if help_depth is not None:
            help_depth = help_depth or depth
            if depth and depth >= help_depth:
                continue
            help_depth = None
        word, _, rest = body.partition(" ")
        if word.rstrip() in ("help", "---help---"):
            help_depth = 0
        else:
            yield word, rest.strip() if '"' in rest else rest.partition(" #")[0].strip()


def unknown(tree: KconfigTree, symbol: str, release: str) -> str:
    close = difflib.get_close_matches(symbol, tree.entries, n=1, cutoff=0.75)
    return f"no such symbol in {release}" + (f", did you mean CONFIG_{close[0]}?" if close else "")


def reason(tree: KconfigTree, config: dict[str, str], symbol: str, value: str) -> str:
    """Why olddefconfig did not give `symbol` the `value`; empty where Kconfig does not tell."""
    entries = tree.entries[symbol]
    selecting = [
        by
        for by, condition in tree.selectors.get(symbol, [])
        if _level(by, config) and (not condition or _level(condition, config))
    ]
    if selecting and value != "y":
        return f"selected by {', '.join(selecting[:3])}"
    if value == "m" and entries[0].kind == "bool":
        return "it is a bool, which cannot be m"
    if value != "n":
        floor = 2 if value == "y" and entries[0].kind == "tristate" else 1
        also = ["MODULES"] if value == "m" else []
        unmet = min((_unmet(also + _depends(e), config, floor) for e in entries), key=len)
        if unmet:
            return "needs " + " and ".join(unmet)
    asking = [e for e in entries if e.prompts]
    if not asking:
        by_whom = ", ".join(by for by, _ in tree.selectors.get(symbol, [])[:3])
        return "it has no prompt, so only a default or a select sets it" + (
            f": {by_whom} can" if by_whom else ""
        )
    hidden = min((_unmet(_visible(e, p), config, 1) for e in asking for p in e.prompts), key=len)
    if hidden:
        return "its prompt needs " + " and ".join(hidden)
    if other := chosen_instead(tree, config, symbol):
        return f"{other}=y is chosen in its place"
    limits = [limit for e in entries for limit in e.ranges]
    return f"its range is {limits[0]}" if limits else ""


def chosen_instead(tree: KconfigTree, config: dict[str, str], symbol: str) -> str:
    """The other symbol of `symbol`'s choice that is y; empty where there is none."""
    own = tree.entries.get(symbol, [])
    choice = {id(b) for e in own if e.prompts for b in e.blocks() if b.kind == "choice"}
    for other, others in tree.entries.items():
        inside = any(id(b) in choice for e in others for b in e.blocks())
        if inside and other != symbol and config.get(other) == "y":
            return other
    return ""


def _depends(entry: _Entry) -> list[str]:
    return [condition for block in entry.blocks() for condition in block.depends]


def _visible(entry: _Entry, prompt: str) -> list[str]:
    outer = [b for b in entry.blocks() if b is not entry]
    choice = [p for b in outer if b.kind == "choice" for p in b.prompts]
    return [prompt, *choice, *(condition for b in outer for condition in b.visible)]


def _unmet(conditions: list[str], config: dict[str, str], floor: int) -> list[str]:
    """The `&&` terms whose level is under `floor`, each with what is wrong, no term twice."""
    terms = dict.fromkeys(term for condition in conditions for term in _terms(condition))
    # A macro in a term ($(cc-option,...)) is for kconfig to run: count it as met.
    return [
        _shown(term, config) for term in terms if "$(" not in term and _level(term, config) < floor
    ]


def _terms(condition: str) -> list[str]:
    """The top-level `&&` terms of a condition; one term where `||` binds them together."""
    condition = " ".join(condition.split())
    parts, depth, start = [], 0, 0
    for place, char in enumerate(condition):
        depth += (char == "(") - (char == ")")
        if not depth and condition.startswith("||", place):
            return [condition]
        if not depth and condition.startswith("&&", place):
            parts.append(condition[start:place].strip())
            start = place + 2
    parts.append(condition[start:].strip())
    if len(parts) == 1 and re.fullmatch(r"\([^()]*\)", parts[0]):
        return _terms(parts[0][1:-1])
    return [part for part in parts if part]


def _shown(term: str, config: dict[str, str]) -> str:
    def state(symbol: str) -> str:
        return f"is {config[symbol]}" if config.get(symbol, "n") != "n" else "is not set"

    if term == "m":
        return "m in place of y"
    if single := re.fullmatch(r"(!?)\s*(\w+)", term):
        return f"{single[2]}={'n' if single[1] else 'y'} which {state(single[2])}"
    symbols = dict.fromkeys(s for s in re.findall(r"[A-Z]\w*", re.sub(r'"[^"]*"', "", term)))
    return f"{term} ({', '.join(f'{s} {state(s)}' for s in symbols)})"


def _level(expression: str, config: dict[str, str]) -> int:
    """The value of a condition: 2 (y), 1 (m) or 0 (n). A symbol that is not set is n."""
    tokens = _TOKEN.findall(expression)[::-1]

    def either() -> int:
        level = both()
        while tokens and tokens[-1] == "||":
            tokens.pop()
            level = max(level, both())
        return level

    def both() -> int:
        level = one()
        while tokens and tokens[-1] == "&&":
            tokens.pop()
            level = min(level, one())
        return level

    def one() -> int:
        token = tokens.pop() if tokens else "n"
        if token == "!":
            return 2 - one()
        if token == "(":
            level = either()
            if tokens:
                tokens.pop()
            return level
        if tokens and tokens[-1] in _COMPARE:
            return 2 * _compare(tokens.pop(), _text(token, config), _text(tokens.pop(), config))
        return {"y": 2, "m": 1}.get(_text(token, config), 0)

    return either()


def _text(token: str, config: dict[str, str]) -> str:
    """What a token stands for: a symbol's value, or itself where it is a constant."""
    if token in ("y", "m", "n") or token[0] in "\"'-" or token[0].isdigit():
        return token.strip("\"'")
    return config.get(token, "n").strip('"')


def _compare(sign: str, left: str, right: str) -> bool:
    try:
        return bool(_COMPARE[sign](int(left, 0), int(right, 0)))
    except ValueError:
        return bool(_COMPARE[sign](left, right))
