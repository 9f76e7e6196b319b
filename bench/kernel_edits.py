# SPDX-License-Identifier: GPL-2.0-only
"""Small edits of the kernel's C files, as people post them, that change nothing the kernel does.

Each maker looks for a place in a file's text that suits it, and says what the file is afterwards
and what the commit would say; None where there is no such place. A counter keeps its writes
(WRITE_ONCE), so that the object differs; a renamed variable and most pr_debug() leave it as it
was; a comment may move the numbers of lines or may not.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_FUNCTION = re.compile(
    r"(?<=\n\n)(?:static|int|long|bool|void|ssize_t|unsigned|struct)\b[^\n;{}()=]*?"
    r"(?P<name>\b[a-z_]\w+)\([^;{}]*?\)\n\{\n(?P<body>(?:(?!\}).*\n)*?)\}\n"
)
_RETURN = re.compile(r"^\treturn [^;{}]*;\n\Z", re.M)
_LOCAL = re.compile(r"^\t(?:int|long|ssize_t) (ret|err|error|retval|res)(?: = [^;,]+)?;\n", re.M)
_RENAMED = {"ret": "err", "err": "ret", "error": "err", "retval": "ret", "res": "ret"}
_FAILED = re.compile(r"^(?P<if>\t+if )\((?P<what>(?:ret|err|error|retval)(?: < 0)?)\)\n", re.M)
_NULL = re.compile(r"(?<=if )\((?P<what>\w+(?:->\w+)*) (?P<is>[!=])= NULL\)")
_MESSAGE = re.compile(r'\b(?P<call>pr_(?:info|warn|err)\w*)\("(?P<words>[^":]+\\n")(?P<end>[,)])')
_REMARK = re.compile(r"^\t+/\* (?P<words>[a-z]+ [^*\n.]*[a-z]) \*/$", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A file's new text, and what the commit says: the subject without its prefix."""

    text: str
    subject: str
    body: str


Maker = Callable[[str, random.Random], Edit | None]


def _pick(
    pattern: re.Pattern[str], text: str, dice: random.Random, within: str = ""
) -> re.Match[str] | None:
    """One of the places where a pattern is; with `within` only those whose group `body` ends
    in a return at its outermost level, before which a statement can stand."""
    found = list(pattern.finditer(text))
    if within:
        found = [one for one in found if _RETURN.search(one[within])]
    return dice.choice(found) if found else None


def _put(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _before_return(match: re.Match[str], statement: str) -> str:
    """A function with a statement before its last return."""
    at = match[0].rindex("\n\treturn ") + 1
    return f"{match[0][:at]}\t{statement}\n{match[0][at:]}"


def count(text: str, dice: random.Random) -> Edit | None:
    """A counter of a function's calls."""
    function = _pick(_FUNCTION, text, dice, "body")
    if function is None or f"{function['name']}_calls" in text:
        return None
    name = f"{function['name']}_calls"
    counted = _before_return(function, f"WRITE_ONCE({name}, {name} + 1);")
    return Edit(
        text=_put(text, function, f"static unsigned long {name};\n\n{counted}"),
        subject=f"count the calls of {function['name']}()",
        body=f"To know how often it gets to its end. {name} is read with a debugger, and needs\n"
        "no lock: a lost update now and then does not matter.",
    )


def inline(text: str, dice: random.Random) -> Edit | None:
    """A counter behind an inline function."""
    function = _pick(_FUNCTION, text, dice, "body")
    if function is None or f"{function['name']}_account" in text:
        return None
    name = function["name"]
    helper = (
        f"static unsigned long {name}_total;\n\n"
        f"static inline void {name}_account(unsigned long nr)\n"
        f"{{\n\tWRITE_ONCE({name}_total, {name}_total + nr);\n}}\n\n"
    )
    return Edit(
        text=_put(text, function, helper + _before_return(function, f"{name}_account(1);")),
        subject=f"add {name}_account()",
        body="A place for what the next patches account there. No functional change.",
    )


def debug(text: str, dice: random.Random) -> Edit | None:
    """A pr_debug() at a function's end."""
    function = _pick(_FUNCTION, text, dice, "body")
    if function is None or 'pr_debug("%s: done' in function[0]:
        return None
    said = _before_return(function, 'pr_debug("%s: done\\n", __func__);')
    return Edit(
        text=_put(text, function, said),
        subject=f"say when {function['name']}() is done",
        body="With DEBUG defined only. It would have saved an afternoon.",
    )


def rename(text: str, dice: random.Random) -> Edit | None:
    """A local variable of another name."""
    function = _pick(_FUNCTION, text, dice)
    local = _LOCAL.search(function["body"]) if function else None
    if function is None or local is None:
        return None
    old = local[1]
    new = _RENAMED[old]
    elsewhere = rf"\b{new}\b|(?:->|\.|goto ){old}\b|^{old}:"
    if re.search(elsewhere, function[0], re.M):
        return None
    return Edit(
        text=_put(text, function, re.sub(rf"\b{old}\b", new, function[0])),
        subject=f"rename {old} to {new} in {function['name']}()",
        body="As it is called in the functions around it. No functional change intended.",
    )


def unlikely(text: str, dice: random.Random) -> Edit | None:
    """A hint that a failure is rare."""
    place = _pick(_FAILED, text, dice)
    if place is None:
        return None
    return Edit(
        text=_put(text, place, f"{place['if']}(unlikely({place['what']}))\n"),
        subject="mark a failure as unlikely",
        body="It is on a path that is taken often. Saves a jump where it matters.",
    )


def null(text: str, dice: random.Random) -> Edit | None:
    """A comparison with NULL written as most of the kernel does."""
    place = _pick(_NULL, text, dice)
    if place is None:
        return None
    return Edit(
        text=_put(text, place, f"({'!' if place['is'] == '=' else ''}{place['what']})"),
        subject="do not compare with NULL",
        body='checkpatch: Comparison to NULL could be written "!x". No functional change.',
    )


def message(text: str, dice: random.Random) -> Edit | None:
    """The function's name in a message."""
    place = _pick(_MESSAGE, text, dice)
    if place is None:
        return None
    new = f'{place["call"]}("%s: {place["words"]}, __func__{place["end"]}'
    return Edit(
        text=_put(text, place, new),
        subject="say who complains",
        body="The message alone does not tell where it comes from.",
    )


def remark(text: str, dice: random.Random) -> Edit | None:
    """A comment inside of a function as a sentence; no line moves."""
    place = _pick(_REMARK, text, dice)
    if place is None:
        return None
    words = place["words"]
    return Edit(
        text=_put(text, place, place[0].replace(words, f"{words[0].upper()}{words[1:]}.")),
        subject="make a comment a sentence",
        body="Only a comment.",
    )


def describe(text: str, dice: random.Random) -> Edit | None:
    """A comment above a function; the lines below it move."""
    function = _pick(_FUNCTION, text, dice)
    if function is None:
        return None
    words = "Also on the way out of an error,\n * so it must not wait for what its callers hold."
    above = f"/*\n * {function['name']}() is not for hot paths.  {words}\n */\n"
    return Edit(
        text=_put(text, function, above + function[0]),
        subject=f"describe {function['name']}()",
        body="What one has to know to call it was in a mail of long ago only.",
    )


def header(text: str, dice: random.Random) -> Edit | None:
    """An inline function in a header, before its last #endif where it has one around all."""
    name = f"is_round_{dice.choice('abcdefgh')}{dice.randint(10, 99)}"
    helper = (
        f"static inline bool {name}(unsigned long size)\n"
        "{\n\treturn size && !(size & (size - 1));\n}\n"
    )
    at = text.rfind("\n#endif") + 1
    if text[at:].count("\n") > 1:
        at = 0
    head, tail = (text[:at], f"\n{text[at:]}") if at else (f"{text}\n", "")
    return Edit(
        text=head + helper + tail,
        subject=f"add {name}()",
        body="Three of its users write it out; they follow one by one.",
    )


CODE: tuple[Maker, ...] = (count, inline, debug, rename, unlikely, null, message)
COMMENTS: tuple[Maker, ...] = (remark, describe)
