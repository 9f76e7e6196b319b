# SPDX-License-Identifier: GPL-2.0-only
"""What is to be said of a culprit: a commit, a patch, an option. From runs, which may be gone."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import journal, kconfig, mbox, proc, recorded
from harness.bisect import commits
from harness.bisect.record import Told
from harness.bisect.view import short
from harness.errors import HarnessError
from harness.model import GOOD, Probed, Question, Space

_OTHERS = 20  # symbols that changed with an option, before they are only counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """One culprit. `name` is short, `commit` its hash, `patch` its file, `option` its symbol, of
    which two are empty, as is what is not known. `title` is the subject, or the values of an
    option; `others` are the symbols that changed with it; `fixes` is a line for a commit message.
    `note` says what could not be found out, and why."""

    number: int
    name: str
    title: str
    commit: str = ""
    patch: str = ""
    option: str = ""
    author: str = ""
    date: str = ""
    diffstat: tuple[str, ...] = ()
    fixes: str = ""
    others: tuple[str, ...] = ()
    note: str = ""


def of(told: Told, number: int, *, brief: bool = False) -> Culprit:
    """A candidate as a culprit; `brief`: its name and title alone."""
    asked = told.question
    one = asked.candidate(number)
    made = Culprit(number=number, name=short(asked, number), title=one.title)
    match asked.space:
        case Space.COMMITS:
            made = replace(made, commit=one.name)
            return made if brief else _commit(told, made)
        case Space.OPTIONS:
            made = replace(made, option=one.name)
            return made if brief else _option(told, made)
        case _:
            made = replace(made, patch=one.name)
            return made if brief else _patch(told, made)


def _commit(told: Told, made: Culprit) -> Culprit:
    # By what the journal has, for when the tree is gone.
    made = replace(made, fixes=commits.fixes(made.commit[: commits.DIGITS], made.title))
    gone = "its author and date are not known any more: "
    mirror = _mirror(told)
    if mirror is None:
        return replace(made, note=f"{gone}the runs are gone, which name the tree")
    try:
        about = commits.about(mirror, made.commit)
    except HarnessError as error:
        return replace(made, note=f"{gone}the tree is gone ({(error.lines or (mirror,))[-1]})")
    return replace(
        made,
        title=about.subject,
        author=about.author,
        date=about.date,
        diffstat=about.diffstat,
        fixes=about.fixes,
    )


def _mirror(told: Told) -> Path | None:
    """Where the steps' trees came from, as the newest run that is still there has it."""
    for step in reversed(told.steps):
        with contextlib.suppress(OSError):
            for event in journal.read(Path(step.run_dir)) if step.run_dir else ():
                if event.get("event") == "base":
                    return Path(event["mirror"])
    return None


def _patch(told: Told, made: Culprit) -> Culprit:
    path = next(_kept(told, made.patch), None)
    if path is None:
        return replace(made, note="its author and date are not known any more: the runs are gone")
    data = path.read_bytes()
    made = replace(made, diffstat=_diffstat(data))
    with contextlib.suppress(HarnessError):  # a diff, or a mail that git cannot decode
        if mbox.is_mail(data):
            found = mbox.decode(mbox.parse(data, path.name))
            author = found.author if found.author.strip(" <>") else ""
            return replace(made, author=author, date=found.date)
    return made


def _kept(told: Told, name: str) -> Iterator[Path]:
    """A patch as the runs keep it."""
    for step in told.steps:
        kept = recorded.patches_of(Path(step.run_dir)) if step.run_dir else ()
        yield from (one for one in kept if one.name == name and one.is_file())


def _diffstat(data: bytes) -> tuple[str, ...]:
    # In no repository: git would show only what is below this directory.
    done = proc.run(["git", "apply", "--stat", "-"], feed=data, cwd=Path("/"))
    return tuple(line.removeprefix(" ") for line in done.text.splitlines())


def _option(told: Told, made: Culprit) -> Culprit:
    """With the symbols that differ between the kernels on either side of it."""
    after = _config(told, range(made.number, told.question.bad + 1))
    before = _config(told, range(made.number - 1, GOOD - 1, -1))
    if before is None or after is None:
        return replace(made, note="what else it changes is not known any more: the runs are gone")
    low, high = (kconfig.parse(path.read_text()) for _, path in (before, after))
    symbols = [one for one in dict.fromkeys([*high, *low]) if low.get(one) != high.get(one)]
    others = [
        f"CONFIG_{one}: {low.get(one, 'n')} -> {high.get(one, 'n')}"
        for one in symbols
        if f"CONFIG_{one}" != made.option and low.get(one, "n") != high.get(one, "n")
    ]
    near = (before[0].number, after[0].number) == (made.number - 1, made.number)
    ends = " and ".join(_name(told.question, one.number) for one, _ in (before, after))
    more = [f"and {len(others) - _OTHERS} more"] if len(others) > _OTHERS else []
    return replace(
        made,
        others=(*others[:_OTHERS], *more),
        note="" if near else f"what changes with it is that between {ends}: none nearer was built",
    )


def _config(told: Told, numbers: Iterable[int]) -> tuple[Probed, Path] | None:
    """The .config of the first of these candidates that was built, with its step."""
    for number in numbers:
        for step in told.steps:
            if step.number == number and step.run_dir:
                found = sorted((Path(step.run_dir) / "kernels").glob("*/config"))
                if found:
                    return step, found[-1]
    return None


def _name(asked: Question, number: int) -> str:
    return "the good end" if number == GOOD else short(asked, number)
