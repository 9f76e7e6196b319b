# SPDX-License-Identifier: GPL-2.0-only
"""The patches of a run as they were posted: their subjects and Message-IDs, which one a mail is."""

import email
import email.policy
import hashlib
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import recorded
from harness.recorded import Recorded

_PREFIX = re.compile(r"^(\s*(re|aw|fwd):|\s*\[[^]]*\])*\s*", re.IGNORECASE)
_IN_ARCHIVE = re.compile(r"https?://\S+/([^/\s]+(?:@|%40)[^/\s]+)(?:/(?:T/|t/)?(?:#\S*)?)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One patch, or a cover letter. `title` is the subject without its tags, `message_id` without
    the angle brackets, `diff` a digest of the changed lines; both empty for none."""

    title: str
    message_id: str = ""
    diff: str = ""

    def is_mail(self, other: "Posted") -> bool:
        """The same mail."""
        return bool(self.message_id) and self.message_id == other.message_id

    def is_same(self, other: "Posted") -> bool:
        """The same mail, or another with the same diff."""
        return self.is_mail(other) or (bool(self.diff) and self.diff == other.diff)


def parse(data: bytes) -> Posted:
    """Of a mail, or of a patch file with the header of one."""
    if data.startswith(b"From "):  # as git format-patch and mailboxes have it
        data = data.partition(b"\n")[2]
    message = email.message_from_bytes(data, policy=email.policy.default)
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    body = b"\n".join(bytes(part.get_payload(decode=True) or b"") for part in parts)
    subject = str(message.get("Subject", ""))
    return Posted(
        title=_PREFIX.sub("", " ".join(subject.split())),
        message_id=str(message.get("Message-ID", "")).strip().strip("<>"),
        diff=_digest(body),
    )


def of(one: Recorded) -> list[Posted]:
    """The patches of a run, in order."""
    return of_directory(one.directory)


def of_directory(directory: Path) -> list[Posted]:
    """The patches of a run directory, in order, without reading its journal."""
    return [parse(path.read_bytes()) for path in recorded.patches_of(directory)]


def message_id(one: Recorded) -> str:
    """The Message-ID of the mail that a reply to the series answers: the cover letter, or else the
    first patch; empty where none is known."""
    found = cover_id(one.cell)
    return found or next((mail.message_id for mail in of(one) if mail.message_id), "")


def cover_id(cell: Mapping[str, Any]) -> str:
    """The Message-ID in the thread's address, where the series of a cell came from an archive."""
    found = _IN_ARCHIVE.match(str(cell.get("stack", {}).get("thread", "")).strip())
    return urllib.parse.unquote(found[1]) if found else ""


def title(cell: Mapping[str, Any]) -> str:
    """What the series of a cell is called."""
    stack = cell.get("stack", {})
    return str(stack.get("title") or stack.get("name") or "")


def _digest(body: bytes) -> str:
    """Of the lines that a diff adds and removes and the files it names: equal for a patch and the
    mail that holds it, whatever a mailer did to the ends of lines."""
    lines, inside = [], False
    for line in body.splitlines():
        inside = inside or line.startswith((b"diff --git ", b"--- a/", b"--- /dev/null"))
        if line.rstrip(b"\r\n") == b"-- ":
            break  # a signature
        if inside and line[:1] in (b"+", b"-"):
            lines.append(line.rstrip())
    return hashlib.sha256(b"\n".join(lines)).hexdigest() if lines else ""
