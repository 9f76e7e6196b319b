# SPDX-License-Identifier: GPL-2.0-only
"""Mailboxes and mails: split and decoded by git itself, so that a patch is what `git am` sees.

Headers are read with Python's email, for what git does not tell: who answers whom, and which
n of m a subject claims (Documentation/process/submitting-patches.rst in the kernel).
"""

import contextlib
import email
import functools
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path

from harness import diff, proc
from harness.errors import UsageError
from harness.model import Patch

_TAG = re.compile(r"\s*\[([^\[\]]*)\]\s*")
_REPLY = re.compile(r"\s*(?:re|aw|sv|antw|vs)(?:\[\d+\])?\s*:", re.IGNORECASE)
_PLACE = re.compile(r"(?<![\w./])(\d{1,4})/(\d{1,4})(?![\w./])")
_VERSION = re.compile(r"(?:\b|patch|rfc)v(\d{1,3})(?:\b|\.)", re.IGNORECASE)
_HEADER_LINE = re.compile(rb"([!-9;-~]+):|[ \t]|>?From ")
_ID = re.compile(r"<([^<>\s]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One mail. `source` is where it came from, `title` its subject without the tags in front.

    `number` and `total` are the n and m of [PATCH n/m], None where there is none; `version` is 1
    without a tag; `tagged`: a tag says PATCH or RFC; `refs` are the Message-Ids it answers.
    """

    raw: bytes
    source: str
    subject: str
    title: str
    version: int = 1
    number: int | None = None
    total: int | None = None
    tagged: bool = False
    reply: bool = False
    id: str = ""
    refs: tuple[str, ...] = ()
    sender: str = ""

    @property
    def label(self) -> str:
        """How a complaint names it."""
        return f'"{self.subject}"' + (f" <{self.id}>" if self.id else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A mail as git am takes it apart; `patch` begins with the `---` line, if there is one."""

    author: str
    date: str
    subject: str
    message: bytes
    patch: bytes


def is_mail(data: bytes) -> bool:
    """True for a mailbox or a mail, False for a diff (with or without words in front)."""
    data = data.lstrip()
    if data.startswith(b"From "):
        return True
    names = set()
    for line in data[:65536].splitlines():
        if not line.strip():
            break
        if not (found := _HEADER_LINE.match(line)):
            return False
        names.add((found[1] or b"").lower())
    return b"from" in names and bool(names & {b"subject", b"date"})


def read(boxes: Sequence[tuple[str, bytes]]) -> tuple[Message, ...]:
    """The messages of mailboxes (or single mails), given as where they come from and bytes."""
    with _scratch() as scratch:
        files = [scratch / f"box-{number:05}" for number in range(len(boxes))]
        for file, (_, data) in zip(files, boxes, strict=True):
            file.write_bytes(data)
        (scratch / "out").mkdir()
        # -b: a file that does not begin with a From line is one mail.
        done = _git(scratch, "mailsplit", "-b", "-d5", f"-o{scratch / 'out'}", "--", *files)
        if done.status:
            raise UsageError(f"{boxes[0][0]} is no mailbox: {done.complaint.splitlines()[-1:]}")
        mails = [file.read_bytes() for file in sorted((scratch / "out").iterdir())]
    sources = [source for source, _ in boxes]
    if len(mails) != len(sources):  # which of them held several is not said
        sources = [sources[0] if len(set(sources)) == 1 else "the mailboxes"] * len(mails)
    return tuple(parse(mail, source) for mail, source in zip(mails, sources, strict=True))


def parse(raw: bytes, source: str) -> Message:
    """A mail's headers, and what its subject claims."""
    headers = BytesHeaderParser().parsebytes(raw.removeprefix(b"\n"))
    values: dict[str, str] = {}
    for name, value in headers.raw_items():
        values.setdefault(name.lower(), _decoded(str(value)))
    subject = " ".join(values.get("subject", "").split())
    tags, title, reply = _tags(subject)
    text = " ".join(tags)
    place = _PLACE.search(text)
    version = _VERSION.search(text)
    return Message(
        raw=raw,
        source=source,
        subject=subject or "(no subject)",
        title=title,
        version=int(version[1]) if version else 1,
        number=int(place[1]) if place else None,
        total=int(place[2]) if place else None,
        tagged=bool(place) or "PATCH" in text.upper() or "RFC" in text.upper(),
        reply=reply,
        id=next(iter(_ID.findall(values.get("message-id", ""))), ""),
        refs=tuple(_ID.findall(f"{values.get('references', '')} {values.get('in-reply-to', '')}")),
        sender=parseaddr(values.get("from", ""))[1].lower(),
    )


@functools.lru_cache(maxsize=8)  # holds_diff(), then to_patch()
def decode(message: Message) -> Decoded:
    """Author, message and patch, with all that a mail wraps them in undone by git mailinfo.

    UsageError where git cannot (a charset that there is not).
    """
    with _scratch() as scratch:
        text, patch = scratch / "message", scratch / "patch"
        # -u, as git am: with --encoding=UTF-8 git 2.39 leaves the message in its charset.
        done = _git(scratch, "mailinfo", "-u", text, patch, feed=message.raw)
        if done.status:
            raise UsageError(
                f"{message.source}: git cannot decode {message.label}",
                lines=tuple(done.complaint.splitlines()[-3:]),
            )
        info = dict(line.partition(": ")[::2] for line in done.text.splitlines())
        return Decoded(
            author=f"{info.get('Author', '')} <{info.get('Email', '')}>",
            date=info.get("Date", ""),
            subject=info.get("Subject", ""),
            message=text.read_bytes(),
            patch=patch.read_bytes(),
        )


def text(message: Message) -> bytes:
    """What a mail says, for looking up a word in it: its parts of text, without quoting."""
    parts = email.message_from_bytes(message.raw).walk()
    payloads = (p.get_payload(decode=True) for p in parts if p.get_content_maintype() == "text")
    return b"\n".join(payload for payload in payloads if isinstance(payload, bytes))


def holds_diff(message: Message) -> bool:
    """True when `git am` would find a diff in it: quoted ones are none."""
    return any(diff.files(decode(message).patch))


def to_patch(message: Message, name: str) -> Patch:
    """A patch with a readable header. UsageError when the mail holds no diff."""
    found = decode(message)
    if not any(diff.files(found.patch)):
        raise UsageError(f"{message.source}: there is no diff in {message.label}")
    return Patch(name=name, data=with_header(found, message.id))


def with_header(found: Decoded, message_id: str = "") -> bytes:
    """A mail again, of which `git apply` takes no more than the diff, nor `git am` less."""
    text = found.message.rstrip(b"\n")
    head = f"From: {found.author}\nDate: {found.date}\nSubject: [PATCH] {found.subject}\n"
    if message_id:
        head += f"Message-ID: <{message_id}>\n"
    if not (head.isascii() and text.isascii()):
        head += "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        head += "Content-Transfer-Encoding: 8bit\n"
    rule = b"" if found.patch.startswith(b"---\n") else b"---\n"
    body = diff.inert(text) + b"\n" if text else b""
    return head.encode(errors="surrogateescape") + b"\n" + body + rule + found.patch


def file_name(number: int, subject: str) -> str:
    """`0001-room-do-the-thing.patch`, as `git format-patch` names its files."""
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", subject)
    slug = re.sub(r"\.{2,}", ".", slug).strip("-.")[:52].rstrip("-.")
    return f"{number:04}-{slug or 'patch'}.patch"


def _tags(subject: str) -> tuple[list[str], str, bool]:
    """The [tags] in front of a subject, the rest, and whether a Re: is before or among them."""
    tags = []
    reply = False
    while True:
        if found := _REPLY.match(subject):
            reply = True
        elif found := _TAG.match(subject):
            tags.append(found[1])
        else:
            return tags, subject.strip(), reply
        subject = subject[found.end() :]


def _decoded(value: str) -> str:
    """A header's text: RFC 2047 words, or bytes as they are, taken for UTF-8."""
    plain = value.encode("ascii", "surrogateescape").decode(errors="replace")
    try:
        return str(make_header(decode_header(plain)))
    except (HeaderParseError, LookupError, ValueError):
        return plain


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="harness-mail-") as scratch:
        yield Path(scratch)


def _git(scratch: Path, *args: str | Path, feed: bytes = b"") -> proc.Completed:
    """git outside of every repository, with the settings that it comes with."""
    env = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(scratch.parent),
        "LC_ALL": "C",
    }
    return proc.run(["git", *map(str, args)], cwd=scratch, env=env, feed=feed)
