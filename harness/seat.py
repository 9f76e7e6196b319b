# SPDX-License-Identifier: GPL-2.0-only
"""Where one guest after another sits while a worker runs its tests."""

import contextlib
from collections.abc import Callable

from harness import plan
from harness.guest import Guest
from harness.model import Test

Booted = contextlib.AbstractContextManager[tuple[Guest, int]]
"""A guest for the length of a block, and the number of its boot."""


class Seat:
    """Room for one guest at a time; as a context manager it ends with none."""

    def __init__(
        self,
        boot: Callable[[Test], Booted],
        left: Callable[[Guest, int], None],
        search: Callable[[Guest, int], None] = lambda guest, number: None,
    ) -> None:
        self._boot = boot
        self._left = left
        self._search = search  # after each suite, and before the guest goes
        self._stack = contextlib.ExitStack()
        self._number = 0
        self._last: Test | None = None
        self.guest: Guest | None = None

    def take(self, test: Test) -> tuple[Guest, int]:
        """The guest that is here, or a new one for `test`, and the number of its boot."""
        if self.guest and self._last and plan.suite_of(test) != plan.suite_of(self._last):
            self._search(self.guest, self._number)
        if self.guest is None:
            self.guest, self._number = self._stack.enter_context(self._boot(test))
        self._last = test
        return self.guest, self._number

    def change(self, following: Test, stays: Callable[[Test, Test], bool]) -> None:
        """Another group begins: have the guest go unless it may stay."""
        if self._last is not None and not stays(self._last, following):
            self.leave()

    def leave(self, *, hurry: bool = False) -> None:
        """Take the guest down; in a `hurry` without another look at it."""
        try:
            if self.guest is not None and not hurry:
                self._search(self.guest, self._number)
        finally:
            guest, self.guest = self.guest, None
            with self._stack:
                if guest is not None:
                    self._left(guest, self._number)

    def abort(self) -> None:
        """Kill the guest, from whatever thread: whoever waits for it goes on."""
        if (guest := self.guest) is not None:
            guest.abort()

    def __enter__(self) -> "Seat":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.leave(hurry=kind is not None)
