# SPDX-License-Identifier: GPL-2.0-only
"""Which of many mails are the series: [PATCH vK n/m], threads, replies, older versions. Pure.

When in doubt it is refused: half a series, or two mixed, would be tested as something that
nobody has posted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.mbox import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """A series' mails in order, its cover letter, and a note on what was left out."""

    patches: tuple[Message, ...]
    cover: Message | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to look for, and where (`place`, for complaints). `version`: None for the newest;
    `ordered`: somebody chose the order of the mails, as with the files of a directory."""

    place: str
    version: int | None = None
    ordered: bool = False


def pick(messages: Sequence[Message], holds_diff: Callable[[Message], bool], wish: Wish) -> Picked:
    """The one series in `messages`. UsageError for none, for one with gaps, and for two."""
    messages = _distinct(messages)
    posts = [message for message in messages if not message.reply]
    claims = [m for m in posts if m.number is not None or (m.tagged and holds_diff(m))]
    claims = claims or [m for m in posts if holds_diff(m)]
    if not claims:
        what = "replies only" if messages and not posts else f"{len(messages)} messages"
        raise UsageError(f"{wish.place}: there is no patch in it ({what})")
    version = wish.version if wish.version is not None else max(m.version for m in claims)
    chosen = [m for m in claims if m.version == version]
    if not chosen:
        there = ", ".join(f"v{number}" for number in sorted({m.version for m in claims}))
        raise UsageError(f"{wish.place}: there is no v{version} in it", hint=f"there is {there}")
    if wish.version is None:
        _refuse_strangers(messages, claims, wish)
        _refuse_follow_up(chosen, claims, wish)
    numbered = [m for m in chosen if m.number is not None]
    loose = [m for m in chosen if m.number is None]
    if not numbered:
        return Picked(patches=tuple(_in_file_order(loose, messages, wish)))
    picked = _in_number_order(numbered, messages, wish)
    return Picked(patches=picked[1], cover=picked[0], note=_left_out(loose, picked, messages, wish))


def _distinct(messages: Sequence[Message]) -> list[Message]:
    """Without the copies that a thread's export has of a mail sent to several lists."""
    seen: set[object] = set()
    kept = []
    for message in messages:
        body = message.raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        same = {message.id or message.raw, (message.subject, body)}
        if not same & seen:
            kept.append(message)
        seen |= same
    return kept


def _in_number_order(
    numbered: Sequence[Message], messages: Sequence[Message], wish: Wish
) -> tuple[Message | None, tuple[Message, ...]]:
    """The cover letter and all patches 1 to m."""
    version = f"v{numbered[0].version}"
    place: dict[int, Message] = {}
    for message in numbered:
        number, total = message.number or 0, message.total or 0
        if number > total:
            raise UsageError(f"{wish.place}: {message.label} claims to be {number} of {total}")
        other = place.setdefault(number, message)
        if other is not message:
            raise UsageError(
                f"{wish.place}: two messages claim {number}/{total} of {version}: "
                f"{other.label} and {message.label}",
                hint=_ALONE,
            )
        if other.total != numbered[0].total:
            raise _two_series(numbered[0], other, wish)
    _refuse_two_threads(numbered, messages, wish)
    total = numbered[0].total or 0
    if gaps := [number for number in range(1, total + 1) if number not in place]:
        names = ", ".join(f"{number}/{total}" for number in gaps)
        verb = "is" if len(gaps) == 1 else "are"
        raise UsageError(
            f"{wish.place}: {names} of {version} {verb} missing (there is {numbered[0].label})",
            hint="get the whole thread (`b4 am`, or lore's mbox), or ask for another version",
        )
    if not total:
        raise UsageError(f"{wish.place}: there is a cover letter in it, and no patch")
    return place.get(0), tuple(place[number] for number in range(1, total + 1))


_ALONE = "give each series a file of its own, or a directory with a `series` file for the order"


def _two_series(one: Message, other: Message, wish: Wish) -> UsageError:
    return UsageError(
        f"{wish.place}: two series are in it: {one.label} and {other.label}", hint=_ALONE
    )


def _refuse_two_threads(
    numbered: Sequence[Message], messages: Sequence[Message], wish: Wish
) -> None:
    """Patches of one version in different threads are one series only when one person sent
    them unthreaded, or no mail says what it answers (as `b4 am` writes them)."""
    threads = _threads(messages)
    strangers = [m for m in numbered if threads[m] != threads[numbered[0]]]
    senders = {m.sender for m in numbered}
    if strangers and len(senders) > 1 and any(m.refs for m in numbered):
        raise _two_series(numbered[0], strangers[0], wish)


def _in_file_order(
    loose: list[Message], messages: Sequence[Message], wish: Wish
) -> Iterable[Message]:
    """Patches without numbers, as `git format-patch -N` writes them."""
    threads = _threads(messages)
    titles: dict[str, Message] = {}
    for message in loose:
        other = titles.setdefault(_plain(message.title), message)
        if other is not message and not wish.ordered:
            raise UsageError(
                f"{wish.place}: two messages claim to be v{message.version} of one patch: "
                f"{other.label} and {message.label}",
                hint=_ALONE,
            )
        posted = message.id and loose[0].id and not wish.ordered
        apart = threads[message] != threads[loose[0]] or message.sender != loose[0].sender
        if posted and apart:
            raise _two_series(loose[0], message, wish)
    return loose


def _left_out(
    loose: Sequence[Message],
    picked: tuple[Message | None, tuple[Message, ...]],
    messages: Sequence[Message],
    wish: Wish,
) -> str:
    """A note on patches without a number that answer the series; others are refused."""
    threads = _threads(messages)
    for message in loose:
        if not message.refs or threads[message] != threads[picked[1][0]]:
            raise _two_series(picked[1][0], message, wish)
    return f"left out {', '.join(m.label for m in loose)}" if loose else ""


def _refuse_strangers(messages: Sequence[Message], claims: Sequence[Message], wish: Wish) -> None:
    """An older version must share a thread or a title with a newer one."""
    threads = _threads(messages, titles=True)
    newest = max(claims, key=lambda message: message.version)
    for message in claims:
        if message.version != newest.version and threads[message] != threads[newest]:
            raise _two_series(message, newest, wish)


def _refuse_follow_up(chosen: list[Message], claims: Sequence[Message], wish: Wish) -> None:
    """A [PATCH v2] without a number after a v1 of several: all of v2, or a mend of one patch?"""
    several = [m for m in claims if (m.total or 0) > 1 and m.version < chosen[0].version]
    if several and all(m.number is None for m in chosen):
        raise UsageError(
            f"{wish.place}: {chosen[0].label} may be all of v{chosen[0].version}, or a part of "
            f"{several[0].label}",
            hint=f"ask for version {chosen[0].version} or {several[0].version}",
        )


def _threads(messages: Sequence[Message], *, titles: bool = False) -> dict[Message, str]:
    """Message -> a name of its thread; equal titles join threads on request."""
    parent: dict[str, str] = {}

    def top(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    names = {message: message.id or f"no id {n}" for n, message in enumerate(messages)}
    for message, name in names.items():
        for other in message.refs:
            parent[top(other)] = top(name)
        if titles and message.title and not message.reply:
            parent[top(f"title {_plain(message.title)}")] = top(name)
    return {message: top(name) for message, name in names.items()}


def _plain(title: str) -> str:
    return " ".join(title.lower().split())
