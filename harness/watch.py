# SPDX-License-Identifier: GPL-2.0-only
"""What a running cell tells whoever looks on (terminal.py is one)."""

from typing import Protocol

from harness.model import Result, Stage, Test


class Watch(Protocol):
    """Who looks on while a cell runs."""

    def stage(self, name: str, note: str = "") -> None:
        """A stage begins, or says something new of itself."""
        ...

    def staged(self, stage: Stage, note: str) -> None:
        """A stage ended well; `note` is what came out of it."""
        ...

    def build(self, done: int, expected: int | None, what: str) -> None:
        """make has made one more object."""
        ...

    def note(self, text: str) -> None:
        """A line that a person should keep seeing."""
        ...

    def planned(self, count: int) -> None:
        """So many tests are going to run on the next kernel, 0 for no end."""
        ...

    def started(self, test: Test, kernel: str) -> None:
        """A test begins."""
        ...

    def ended(self, result: Result) -> None:
        """A test has its result."""
        ...
