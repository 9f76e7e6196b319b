# SPDX-License-Identifier: GPL-2.0-only
"""kmemleak in the guests of one kernel: what it finds is charged to the tests that leak."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import kmemleak
from harness.errors import StageError
from harness.guest import Guest
from harness.model import CommandResult, Kernel, Result, Splat, Test
from harness.watch import Watch

_SYMBOL = "CONFIG_DEBUG_KMEMLEAK=y"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A test that ended: how, and in which round."""

    test: Test
    ended: CommandResult
    number: int

    def led_to(self, result: Result) -> bool:
        """That is its result."""
        return (result.test, result.round) == (self.test.name, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Tests with what they leak among their splats, and the splats of no test."""

    leaky: tuple[Ran, ...] = ()
    stray: tuple[Splat, ...] = ()


class Leaks:
    """What ran in each guest since it was looked at last. For workers in any thread."""

    def __init__(self, kernel: Kernel, watch: Watch) -> None:
        self.there = kernel.config.is_file() and _SYMBOL in kernel.config.read_text().splitlines()
        self._watch = watch
        self._lock = threading.Lock()
        self._ran: dict[int, list[Ran]] = {}
        self._known: set[tuple[str, ...]] = set()

    def add(self, boot: int, ran: Ran) -> None:
        """A test has ended in a guest."""
        if self.there:
            with self._lock:
                self._ran.setdefault(boot, []).append(ran)

    def forget(self, boot: int) -> None:
        """A guest goes as it is."""
        with self._lock:
            self._ran.pop(boot, None)

    def find(self, guest: Guest, boot: int) -> Found:
        """Look for what the tests of a guest have leaked. It takes more than 5 s, so a guest that
        is lost or had none is not asked."""
        with self._lock:
            ran = self._ran.pop(boot, [])
        if not ran or guest.loss is not None:
            return Found()
        try:
            text = guest.find_leaks().decode(errors="replace")
        except StageError as error:
            self._watch.note(f"boot {boot} was not searched for leaks: {error.message}")
            return Found()
        programs = [Path(one.test.argv[0]).name for one in ran]
        residues = [one.ended.residue for one in ran]
        charged = kmemleak.charge(kmemleak.parse(text), residues, programs)
        return Found(
            leaky=tuple(_leaky(ran[number], splats) for number, splats in charged.of.items()),
            stray=(*self._new(charged.boot), *(_phase(one, "between") for one in charged.stray)),
        )

    def _new(self, splats: Sequence[Splat]) -> list[Splat]:
        """Those of a boot, once for all guests: each that was restored has the same."""
        with self._lock:
            new = [one for one in splats if one.fingerprint not in self._known]
            self._known |= {one.fingerprint for one in new}
        return [_phase(one, "boot") for one in new]


def _leaky(ran: Ran, splats: Sequence[Splat]) -> Ran:
    return replace(ran, ended=replace(ran.ended, splats=(*ran.ended.splats, *splats)))


def _phase(splat: Splat, phase: str) -> Splat:
    return replace(splat, phase=phase)
