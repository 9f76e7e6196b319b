# SPDX-License-Identifier: GPL-2.0-only
"""What a unified diff says of itself: files, blobs, hunks. Pure; the applying is git's.

Read as git's apply.c reads it: `diff --git` with its extended headers, or `---` and `+++` alone;
whatever stands between two files is talk. Lines of a hunk are counted, never looked at.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.model import Patch

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_INDEX = re.compile(rb"index ([0-9a-f]{7,64})\.\.[0-9a-f]{7,64}(?: \d+)?\s*$")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_SHORT = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13}
_TRAILER = re.compile(rb"^base-commit: ([0-9a-f]{7,40})\s*$", re.MULTILINE)
_HEADER = re.compile(rb"^(?:--- |\+\+\+ |@@ -|diff --git ).*$", re.MULTILINE)
# What git apply, or patch(1), would take for the beginning of a diff.
_LIKE_A_DIFF = re.compile(rb"^(?=diff -|---[ \t]|---$|\+\+\+ |@@ -|Index: |\*\*\* )", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """One file of a diff. `old` and `new` are paths in the tree, None for /dev/null; `named`
    are the same as written, before -p takes effect; `blob` is the old side's hash, often
    abbreviated, all zeros for a new file, or empty; `hunks` are the first lines of the old
    sides."""

    old: str | None
    new: str | None
    named: tuple[str, ...] = ()
    blob: str = ""
    hunks: tuple[int, ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(path for path in (self.old, self.new) if path)


def files(data: bytes, strip: int = 1) -> Iterator[FileDiff]:
    """The files that a diff changes, in its order; the same file may come twice."""
    lines = data.split(b"\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.startswith(b"--- ") and at + 1 < len(lines)
        if line.startswith(b"diff --git "):
            at, found = _git_header(lines, at, strip)
        elif bare and lines[at + 1].startswith(b"+++ "):
            at, found = at + 2, _plain_header(line[4:], lines[at + 1][4:], strip)
            if at == len(lines) or not _HUNK.match(lines[at]):
                continue  # a message that draws lines
        else:
            at += 1
            continue
        at, hunks = _hunks(lines, at)
        yield replace(found, hunks=hunks)


def touched(patches: Iterable[Patch]) -> frozenset[str]:
    """The files that patches change, as paths in the tree."""
    return frozenset(
        path for patch in patches for one in files(patch.data, patch.strip) for path in one.paths
    )


def blobs(patches: Iterable[Patch]) -> dict[str, str]:
    """The blobs that patches were made for: path -> hash as written. Of a file that several
    patches touch only the first counts, and none for a file that they create."""
    seen: set[str] = set()
    found = {}
    for patch in patches:
        for one in files(patch.data, patch.strip):
            if one.old and one.old not in seen and one.blob.strip("0"):
                found[one.old] = one.blob
            seen |= one.paths
    return found


def base_commit(data: bytes) -> str:
    """The hash of a `base-commit:` trailer as `git format-patch --base` writes it, or empty."""
    found = _TRAILER.search(data)
    return found[1].decode() if found else ""


def inert(message: bytes) -> bytes:
    """A commit's message in which git apply finds no diff: such lines get a space in front."""
    return _LIKE_A_DIFF.sub(b" ", message)


def unix(data: bytes) -> bytes:
    """A diff that went through a system with CR LF, mended as patch(1) does it: when every one
    of its headers ends in CR, all of its lines lose theirs."""
    headers = _HEADER.findall(data)
    if headers and all(line.endswith(b"\r") for line in headers):
        return data.replace(b"\r\n", b"\n")
    return data


def _git_header(lines: list[bytes], at: int, strip: int) -> tuple[int, FileDiff]:
    """The extended header that begins at `at`: where it ends, and what it says."""
    old, new = _from_git_line(lines[at][len(b"diff --git ") :])
    names, blob = [old, new], ""
    paths = [_stripped(old, strip), _stripped(new, strip)]
    for number in range(at + 1, len(lines)):
        line = lines[number]
        word, _, rest = line.partition(b" ")
        if word in (b"rename", b"copy"):
            side = rest.startswith(b"to ")
            # Here git writes the path without a/ or b/, and strips one less.
            names[side] = _unquoted(rest.partition(b" ")[2])
            paths[side] = _stripped(names[side], max(strip - 1, 0))
        elif line.startswith((b"--- ", b"+++ ")):
            side = line.startswith(b"+")
            names[side] = _name(line[4:])
            paths[side] = _stripped(names[side], strip)
        elif found := _INDEX.match(line):
            blob = found[1].decode()
        elif line.startswith(b"new file mode "):
            paths[0] = None
        elif line.startswith(b"deleted file mode "):
            paths[1] = None
        elif not line.startswith((b"old mode ", b"new mode ", b"similarity ", b"dissimilarity ")):
            break
    else:
        number = len(lines)
    named = tuple(filter(None, names))
    return number, FileDiff(old=paths[0], new=paths[1], named=named, blob=blob)


def _hunks(lines: list[bytes], at: int) -> tuple[int, tuple[int, ...]]:
    """Past the hunks that begin at `at`; the first old line of each."""
    starts = []
    while at < len(lines) and (found := _HUNK.match(lines[at])):
        starts.append(int(found[1]))
        old, new = (int(found[group] or b"1") for group in (2, 3))
        at += 1
        while at < len(lines) and (old > 0 or new > 0):
            kind = lines[at][:1]
            old -= kind in (b" ", b"-", b"")
            new -= kind in (b" ", b"+", b"")
            at += 1
        while at < len(lines) and lines[at].startswith(b"\\ "):
            at += 1
    return at, tuple(starts)


def _plain_header(old: bytes, new: bytes, strip: int) -> FileDiff:
    names = [_name(old), _name(new)]
    return FileDiff(
        old=_stripped(names[0], strip),
        new=_stripped(names[1], strip),
        named=tuple(filter(None, names)),
    )


def _from_git_line(rest: bytes) -> tuple[str, str]:
    """Both names of `a/x b/x`, where they are equal but for their first part."""
    if rest.startswith(b'"') or rest.endswith(b'"'):
        quoted = [_plain(text) for text in _QUOTED.findall(rest)]
        return (quoted[0], quoted[-1]) if quoted else ("", "")
    half = len(rest) // 2
    if rest[half : half + 1] == b" ":
        return _text(rest[:half]), _text(rest[half + 1 :].rstrip(b"\r"))
    old, _, new = rest.partition(b" ")
    return _text(old), _text(new)


def _name(rest: bytes) -> str:
    """The name after `--- ` or `+++ `: up to a tab, as times may follow."""
    return "" if rest.split(b"\t")[0].strip() == b"/dev/null" else _unquoted(rest)


def _unquoted(rest: bytes) -> str:
    if found := _QUOTED.match(rest):
        return _plain(found[1])
    return _text(rest.split(b"\t")[0].rstrip())


def _plain(quoted: bytes) -> str:
    def one(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 255 if len(code) == 3 else _SHORT.get(code, code[0])])

    return _text(_ESCAPE.sub(one, quoted))


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _stripped(name: str, strip: int) -> str | None:
    """A name without its first `strip` parts; None for no name."""
    return "/".join(name.lstrip("/").split("/")[strip:]) or None if name else None
