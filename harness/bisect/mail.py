# SPDX-License-Identifier: GPL-2.0-only
"""The answer of a bisection as a mail of 72 columns for the list, ready for a mail client.

Nothing is sent, and no address is made up: who gets it stands where an address belongs, as the
name of a group without members (RFC 5322, 3.4), which a mail client refuses to send to. From, Date
and Message-ID are the client's. What is asked of such a report, `#regzbot introduced:` in a
paragraph of its own among it, is in Documentation/admin-guide/reporting-regressions.rst.
"""

import textwrap
from collections.abc import Iterator
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP

from harness import __version__
from harness.bisect import text
from harness.bisect.answer import Answer
from harness.bisect.commits import DIGITS
from harness.bisect.facts import Culprit
from harness.bisect.search import contained
from harness.errors import UsageError
from harness.model import GOOD, Space
from harness.report import outline, posted
from harness.report.mail import WIDTH, WRAP, command, plain
from harness.report.paint import fit
from harness.report.text import trace_lines

_SPLAT_LINES = 24
_TEXT_LINES = 12
_LIST = Address(username="regressions", domain="lists.linux.dev")  # as that document wants
_POLICY = SMTP.clone(linesep="\n", cte_type="8bit", max_line_length=WIDTH)


def report(one: Answer) -> str:
    """The whole mail. UsageError where there is no culprit to write of."""
    if not one.culprits:
        raise UsageError(
            f"{one.told.directory.name} has no culprit that a mail could be about",
            hint=f"harness bisect replay {one.told.name}",
        )
    made = EmailMessage(policy=_POLICY)
    made["Subject"] = plain(_subject(one), width=0)
    made["To"] = Group(_to(one))
    if one.told.question.space is Space.COMMITS:
        made["Cc"] = _LIST
    elif found := _message_id(one):
        made["In-Reply-To"] = made["References"] = f"<{found}>"
    body = "".join(f"{plain(line)}\n" for line in _body(one))
    made.set_content(body, cte="8bit")
    return made.as_bytes().decode()


def _subject(one: Answer) -> str:
    asked = one.told.question
    tags = "[REGRESSION][BISECTED]" if asked.space is Space.COMMITS else "[BISECTED]"
    name = f"{_what(one)}: {asked.test} fails"
    return f"{tags} {' '.join(name.split())}"


def _what(one: Answer) -> str:
    """The culprit in a few words."""
    if one.culprit is None:
        how = "needed together" if one.subset else "one of them"
        return f"{len(one.culprits)} {one.told.question.space} ({how})".replace("subset", "patches")
    if one.culprit.option:
        return f"{one.culprit.option} ({one.culprit.title})"
    return one.culprit.title


def _to(one: Answer) -> str:
    if one.told.question.space is Space.OPTIONS:
        return "FILL IN: whom scripts/get_maintainer.pl names"
    return "FILL IN: the author, and whom scripts/get_maintainer.pl names"


def _message_id(one: Answer) -> str:
    return posted.message_id(one.failing.run) if one.failing else ""


def _body(one: Answer) -> Iterator[str]:
    asked = one.told.question
    yield from ("Hi,", "")
    yield from textwrap.wrap(_opening(one), WIDTH, **WRAP)
    yield ""
    for culprit in one.culprits:
        yield from _culprit(culprit, full=one.culprit is not None)
    yield ""
    yield from _fact("failure", one.failure)
    if one.probability:
        yield from _fact("sure", f"{one.probability:.2%}")
    yield from _fact("searched", asked.place)
    if one.failing is not None:
        yield from _fact("base", outline.base(one.failing.run))
        yield from _fact("config", outline.kconfig(one.failing.run))
        yield from _fact("guest", outline.guest(one.failing.run))
    yield from ("", f"{'':<14} {'runs':>5} {'failed':>6} {'P':>8}")
    yield from (fit(text.row(row), WIDTH) for row in one.rows)
    yield from _shown(one)
    if one.failing is not None and (line := outline.again(one.failing.run)):
        yield from ("", "To see it again:", "")
        yield from command(line)
    if introduced := _introduced(one):
        yield from ("", f"#regzbot introduced: {introduced}")
    yield from ("", "-- ", f"harness {__version__}")


def _opening(one: Answer) -> str:
    asked = one.told.question
    kind = {Space.OPTIONS: "option", Space.COMMITS: "commit"}.get(asked.space, "patch")
    if one.subset:
        count = len(asked.candidates)
        return f"{asked.test} fails with these of the {count} patches of {asked.place}:"
    if one.culprit is not None:
        return f"{asked.test} fails since this {kind}:"
    return f"{asked.test} fails since one of these, which cannot be told apart:"


def _culprit(one: Culprit, *, full: bool) -> Iterator[str]:
    name = one.commit[:DIGITS] or one.option or one.name
    title = one.title if one.option else f'("{one.title}")'
    yield from _indented(f"{name} {title}", "  ")
    if not full:
        return
    if one.author or one.date:
        yield from _indented(", ".join(filter(None, (one.author, one.date))), "  ")
    yield from (fit(f"    {line}", WIDTH) for line in (*one.diffstat, *one.others))


def _indented(line: str, indent: str) -> list[str]:
    more = f"{indent}  "
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=more, **WRAP)


def _fact(name: str, value: str) -> Iterator[str]:
    head, *rest = textwrap.wrap(value, WIDTH - 10, **WRAP) or [""]
    yield f"{name:<8}  {head}".rstrip()
    yield from (f"{'':<10}{line}" for line in rest)


def _shown(one: Answer) -> Iterator[str]:
    """What the kernel reported, or the test's own words."""
    shown = one.failing
    if shown is None:
        return
    if shown.splat is not None:
        yield from ("", fit(f"{shown.splat.kind}: {shown.splat.title}", WIDTH), "")
        lines = [*trace_lines(shown.splat)][:_SPLAT_LINES]
        yield from (fit(f"  {line}", WIDTH) for line in lines)
        yield from (fit(f"  {line}", WIDTH) for line in shown.splat.text[:_TEXT_LINES])
    elif shown.result.detail:
        yield from ("", "The test says:", "", *_indented(shown.result.detail, "  "))


def _introduced(one: Answer) -> str:
    """What regzbot is told: the commit, or the range that it is in."""
    asked = one.told.question
    if asked.space is not Space.COMMITS:
        return ""
    if one.culprit is not None:
        return one.culprit.commit[:DIGITS]
    good, last = GOOD, asked.bad
    if numbers := [culprit.number for culprit in one.culprits]:
        # No candidate contains a later one, and not each all those before it.
        good = max(asked.candidates[min(numbers)].parents, default=GOOD)
        contains = contained(asked.candidates)[max(numbers)]
        last = max(numbers) if all(contains >> each & 1 for each in numbers) else asked.bad
    ends = (asked.candidate(good), asked.candidate(last))
    return "..".join(each.name[:DIGITS] for each in ends)
