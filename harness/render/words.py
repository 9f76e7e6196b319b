# SPDX-License-Identifier: GPL-2.0-only
"""Names that people chose, for a shell inside YAML and for systemd; pure.

A value is quoted for the shell, and what is left is safe in a YAML block: one line, only
characters that can be printed. What is outside of the shell (matrix, cache keys, artifacts) has
only what slug() lets through.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable

from harness.errors import UsageError

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def shell(text: str) -> str:
    """One word of a shell's command line. UsageError for what no line of YAML can hold."""
    _check(text)
    # GitHub would take ${{ for an expression, also in quotes; here it is always in single ones.
    return shlex.quote(text).replace("${{", "$''{{")


def command(words: Iterable[str]) -> str:
    """A command line of these words, for a shell."""
    return " ".join(shell(word) for word in words)


def slug(text: str) -> str:
    """`text` where it is plain enough for a cache key, a file name and a shell's pattern, else the
    nearest that is, with 8 hex digits that tell it apart."""
    if _SLUG.fullmatch(text):
        return text
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:40].strip("-._")
    return f"{plain or 'x'}-{tag(text)}"


def tag(text: str) -> str:
    """8 hex digits of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def systemd(text: str, *, program: bool = False) -> str:
    """One word of ExecStart= (systemd.service(5), "Command lines"), specifiers apart: a `program`,
    the first one, has no variables."""
    _check(text)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    quoted = quoted if program else quoted.replace("$", "$$")
    return quoted if re.fullmatch(r"[A-Za-z0-9_./=:@+,-]+", quoted) else f'"{quoted}"'


def _check(text: str) -> None:
    if not text.isprintable():
        raise UsageError(
            f"{text!r} has a character that cannot be printed: no workflow can hold it"
        )
