# SPDX-License-Identifier: GPL-2.0-only
"""What differs between two .configs, as candidates: each symbol with those before it.

They come in the order of the bad one, which is that of the menus, where a symbol mostly follows
what it depends on. Each step's .config goes through olddefconfig as any other, so a symbol that
cannot be set yet takes effect with the one that it waits for.
"""

from collections.abc import Mapping
from pathlib import Path

from harness import kconfig
from harness.errors import EndsError
from harness.model import Candidate, Question

GOOD_FILE, BAD_FILE = "good.config", "bad.config"
"""The two ends, in the directory of a bisection."""
_ABSENT = "absent"


def between(good: Mapping[str, str], bad: Mapping[str, str]) -> tuple[Candidate, ...]:
    """The symbols that differ; absent and n are the same. EndsError where none does."""
    order = list(bad)
    for symbol in reversed([one for one in good if one not in bad]):
        after = _following(symbol, good, bad)
        order.insert(order.index(after) if after else len(order), symbol)
    changed = [one for one in order if good.get(one, "n") != bad.get(one, "n")]
    if not changed:
        raise EndsError("the two configurations are the same: there is nothing to search")
    return tuple(
        Candidate(
            name=f"CONFIG_{symbol}",
            title=f"{good.get(symbol, _ABSENT)} -> {bad.get(symbol, _ABSENT)}",
            value=str(number),
            parents=(number - 1,) if number else (),
        )
        for number, symbol in enumerate(changed)
    )


def _following(symbol: str, good: Mapping[str, str], bad: Mapping[str, str]) -> str | None:
    """The first symbol after it that both have."""
    names = list(good)
    return next((one for one in names[names.index(symbol) + 1 :] if one in bad), None)


def mixed(
    good: Mapping[str, str], bad: Mapping[str, str], question: Question, number: int
) -> dict[str, str]:
    """The configuration with the candidates up to `number` as the bad one has them, in its
    order: of a choice, kconfig takes the last."""
    turned = {one.name.removeprefix("CONFIG_") for one in question.candidates[: number + 1]}
    # What only the bad one says n to would be on by default where something before it turns on.
    values = {symbol: "n" for symbol in bad if bad[symbol] == "n" and symbol not in good}
    values |= {symbol: value for symbol, value in good.items() if symbol not in turned}
    return values | {symbol: bad[symbol] for symbol in bad if symbol in turned}


def keep(directory: Path, good: Mapping[str, str], bad: Mapping[str, str]) -> None:
    """The two ends, for write()."""
    (directory / GOOD_FILE).write_text(kconfig.text(good))
    (directory / BAD_FILE).write_text(kconfig.text(bad))


def write(directory: Path, question: Question, number: int) -> Path:
    """The .config of a candidate, in the directory of its bisection."""
    good, bad = (kconfig.parse((directory / name).read_text()) for name in (GOOD_FILE, BAD_FILE))
    path = directory / "configs" / f"{number + 1:04}.config"
    path.parent.mkdir(exist_ok=True)
    path.write_text(kconfig.text(mixed(good, bad, question, number)))
    return path
