# SPDX-License-Identifier: GPL-2.0-only
"""Reports of recorded runs: one room for each format, all from the same record.

A room of FORMATS has `report(runs, options)`, a Reporter. To add one: the room, its line here, its
paragraph in docs/reports.md.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from harness.recorded import Recorded

FORMATS = {
    "text": "for a terminal",
    "html": "one page to filter and click through",
    "junit": "XML for GitLab, Jenkins and GitHub",
    "kcidb": "JSON for kernelci.org",
    "b4": "JSON for `b4 review`",
    "markdown": "for a GitHub step summary",
    "mail": "a reply for the mailing list",
    "sites": "Markdown, of --fail-nth: which calls were made to fail",
}
"""The rooms here that make reports, and what each is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`colour` and `width` (columns) are those of a terminal; `origin` is the name of the CI system
    that reports; `patch` a mail with one patch, of which alone is to be reported. `notice` is said
    above all else, and a page that changes is loaded again after `refresh_s` seconds (0: never)."""

    colour: bool = False
    width: int = 100
    origin: str = "harness"
    patch: bytes | None = None
    notice: str = ""
    refresh_s: int = 0


class Reporter(Protocol):
    """Makes a report."""

    def __call__(self, runs: Sequence[Recorded], options: Options) -> str:
        """The whole text, ending with a new line. UsageError where these runs cannot have one."""
        ...


def reporter(name: str) -> Reporter:
    """The reporter of a format."""
    return cast(Reporter, importlib.import_module(f"harness.report.{name}").report)


def make(name: str, runs: Sequence[Recorded], options: Options) -> bytes:
    """A report in a format, as UTF-8, which not everything is that tests print."""
    return reporter(name)(runs, options).encode(errors="replace")
