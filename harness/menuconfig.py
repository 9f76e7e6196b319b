# SPDX-License-Identifier: GPL-2.0-only
"""`make menuconfig` on the user's terminal, and what was changed there as a fragment."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import apply, cache, console, kconfig, slot
from harness.errors import HostError, KconfigError
from harness.kbuild import Kbuild
from harness.model import Base, Fragment, Kconfig, Series
from harness.toolchain import Toolchain

_log = logging.getLogger(__name__)

_OBJECTS = "menuconfig"
_ATTEMPTS = 16  # each takes a second or two
_CURSES = "install libncurses-dev (dnf: ncurses-devel, pacman: ncurses, zypper: ncurses-devel)"


def run(
    base: Base, stack: Series, wanted: Kconfig, *, toolchain: Toolchain, output: Path, log: Path
) -> int:
    """Let the user change the configuration that `wanted` gives on `base` with `stack`; returns
    how many symbols the fragment has that goes to `output` (0: nothing changed, nothing written).

    The fragment has what has to be said for `wanted` with it to give what the user left: not what
    follows from it. `log` gets all that the terminal showed. KconfigError for what a build would
    refuse as well, HostError where ncurses is missing.
    """
    tree = apply.apply(base, stack)
    with slot.take(base, tree) as taken, _scratch(taken, base, toolchain) as kbuild:
        _build_program(kbuild)
        kbuild.configure(wanted)
        kconfig.dropped(wanted, kbuild.config.read_text(), kbuild.source)
        before = kconfig.parse(kbuild.config.read_text())
        status = console.interact(
            kbuild.command("menuconfig"), log, env=kbuild.environment(), keep_fds=(taken.lock,)
        )
        if status:
            raise KconfigError(f"make menuconfig ended with {status}", log=log)
        change = Change(before=before, after=kconfig.parse(kbuild.config.read_text()))
        chosen = _smallest(change, wanted, kbuild)
    if chosen:
        head = f"# Help: Changed in menuconfig on {base.version}\n"
        cache.write_whole(output, (head + kconfig.text(chosen)).encode())
        _warn(output, chosen, wanted)
    return len(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Two .configs, as kconfig.parse() reads them. A symbol that is absent cannot be asked for
    while others are what they are."""

    before: dict[str, str]
    after: dict[str, str]

    def symbols(self) -> dict[str, str]:
        """What is new in `after`, with the new values."""
        return {s: v for s, v in self.after.items() if v != self.before.get(s, "n")}

    def missing(self, got: dict[str, str]) -> dict[str, str]:
        """What of `after` has another value in the .config `got`."""
        return {s: v for s, v in self.after.items() if got.get(s, "n") != v}


Attempt = Callable[[dict[str, str]], dict[str, str]]
"""The .config that a fragment makes."""


def smallest(change: Change, told: Collection[str], attempt: Attempt) -> dict[str, str]:
    """The symbols that have to be said to come from one .config to the other, with their values.

    `told` are the symbols of `after` that are not as Kconfig's defaults have them; `attempt` gives
    the .config that a fragment makes. Nearly the smallest: the number of attempts is bounded.
    """
    if not change.symbols():
        return {}
    search = _Search(change, attempt)
    chosen = search.grow({s: v for s, v in change.symbols().items() if s in told})
    # First those that turn something off: of a choice the member that is on says more.
    spare = sorted((s for s in chosen if s not in told), key=lambda s: chosen[s] != "n")
    return search.shrink(chosen, spare)


class _Search:
    """The attempts of smallest(), of which there are not too many."""

    def __init__(self, change: Change, attempt: Attempt) -> None:
        self._change = change
        self._attempt = attempt
        self._left = _ATTEMPTS

    def _missing(self, chosen: dict[str, str]) -> dict[str, str]:
        self._left -= 1
        return self._change.missing(self._attempt(chosen))

    def grow(self, chosen: dict[str, str]) -> dict[str, str]:
        """`chosen` and what it lacks to make `after`."""
        while self._left > 0 and (more := self._missing(chosen)):
            more = {s: v for s, v in more.items() if s not in chosen}
            # A default is not taken where `before` says otherwise. The rest may follow from it.
            told = {s: v for s, v in more.items() if s in self._change.before}
            told = {s: v for s, v in told.items() if v != self._change.before[s]}
            if not more:
                break
            chosen = chosen | (told or more)
        return chosen

    def shrink(self, chosen: dict[str, str], spare: list[str]) -> dict[str, str]:
        """`chosen` without what of `spare` it can do without, which is tried by halves."""
        fewer = {s: v for s, v in chosen.items() if s not in spare}
        if self._left <= 0 or not spare:
            return chosen
        if fewer and not self._missing(fewer):
            return fewer
        if len(spare) == 1:
            return chosen
        middle = len(spare) // 2
        return self.shrink(self.shrink(chosen, spare[:middle]), spare[middle:])


def _smallest(change: Change, wanted: Kconfig, kbuild: Kbuild) -> dict[str, str]:
    """smallest() with the tree's own make."""
    if not change.symbols():
        return {}
    kbuild.run("savedefconfig")
    told = kconfig.parse((kbuild.objects / "defconfig").read_text())
    start = wanted.config_file
    if start is None:
        kbuild.run("tinyconfig")  # once, in place of at every attempt
        start = Fragment(name="tinyconfig", text=kbuild.config.read_text())

    def attempt(values: dict[str, str]) -> dict[str, str]:
        more = Fragment(name="menuconfig", text=kconfig.text(values))
        kbuild.configure(replace(wanted, config_file=start, settings=(*wanted.settings, more)))
        return kconfig.parse(kbuild.config.read_text())

    _log.info("finding out what of the changes follows from others")
    return smallest(change, told, attempt)


@contextlib.contextmanager
def _scratch(taken: slot.Slot, base: Base, toolchain: Toolchain) -> Iterator[Kbuild]:
    """Objects of our own, so that no build finds another .config than it made."""
    objects = taken.objects(_OBJECTS)
    shutil.rmtree(objects, ignore_errors=True)
    try:
        yield Kbuild(
            base=base.name,
            slot=taken.dir,
            source=taken.source,
            objects=objects,
            tools=toolchain,
            lock=taken.lock,
        )
    finally:
        shutil.rmtree(objects, ignore_errors=True)


def _build_program(kbuild: Kbuild) -> None:
    """Compile mconf beforehand: what it lacks is not to be told between a user's keystrokes."""
    kbuild.objects.mkdir(parents=True)
    try:
        kbuild.run("build_menuconfig")
    except KconfigError as error:
        if any("ncurses" in line for line in error.lines):
            raise HostError("menuconfig needs the headers of ncurses", hint=_CURSES) from None
        raise


def _warn(output: Path, chosen: dict[str, str], wanted: Kconfig) -> None:
    """The user may have changed what another fragment insists on."""
    for fragment in (*wanted.fragments, *wanted.settings):
        for symbol, value in kconfig.parse_fragment(fragment).items():
            if chosen.get(symbol, value) != value:
                _log.warning(
                    "%s says %s of CONFIG_%s, %s says %s: they do not go together",
                    *(output, chosen[symbol], symbol, fragment.name, value),
                )
