# SPDX-License-Identifier: GPL-2.0-only
"""Exceptions that cross rooms, and the exit codes they map to (docs/design.md)."""

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit status of the `harness` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOTHING_RAN = 3
    APPLY = 10
    KCONFIG = 11
    BUILD = 12
    BOOT = 13
    GUEST_LOST = 14
    HOST = 20
    BUG = 70
    INTERRUPTED = 130


class HarnessError(Exception):
    """One sentence that names the thing and the place.

    `hint` says what to type or change, `log` where the whole story is; `lines` are shown
    indented under the sentence (the compiler's error, the last console lines).
    """

    exit_code = ExitCode.BUG

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        log: Path | None = None,
        lines: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log
        self.lines = lines


class UsageError(HarnessError):
    """A name, key, file or flag that the user has to mend."""

    exit_code = ExitCode.USAGE


class EndsError(UsageError):
    """An end of a bisection is not what it was said to be."""


class NothingRanError(HarnessError):
    """The plan was empty: no test matched."""

    exit_code = ExitCode.NOTHING_RAN


class StageError(HarnessError):
    """A stage of a cell failed; `stage` is its name in the record."""

    stage = "stage"


class ApplyError(StageError):
    """A patch does not apply, or is in the tree already.

    `patch` is its name and `where` the file and the hunk, or what else is in its way; `where` is
    empty for a patch that is in the tree already.
    """

    exit_code = ExitCode.APPLY
    stage = "apply"

    def __init__(
        self,
        message: str,
        *,
        patch: str = "",
        where: str = "",
        hint: str = "",
        log: Path | None = None,
        lines: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, log=log, lines=lines)
        self.patch = patch
        self.where = where


class KconfigError(StageError):
    """Fragments disagree, or a symbol did not survive olddefconfig."""

    exit_code = ExitCode.KCONFIG
    stage = "kconfig"


class BuildError(StageError):
    """The kernel or a test program does not compile."""

    exit_code = ExitCode.BUILD
    stage = "build"


class BootError(StageError):
    """The guest did not come up."""

    exit_code = ExitCode.BOOT
    stage = "boot"


class QemuDiedError(BootError):
    """QEMU itself ended while the guest came up: more likely its fault than the kernel's."""


class SaveError(StageError):
    """A guest could not be saved, or what was saved is of no use; others can be booted."""

    exit_code = ExitCode.BOOT
    stage = "boot"


class RestoreError(SaveError):
    """A saved guest did not come back. It is thrown away; another one may."""


class GuestLostError(StageError):
    """A guest died and no new one could be brought up in its place."""

    exit_code = ExitCode.GUEST_LOST
    stage = "guest"


class CommandError(HarnessError):
    """A command in a guest did not end as whoever ran it says that it has to."""

    exit_code = ExitCode.FAILED


class StaleError(HarnessError):
    """A file that is made from others is not what these make of it."""

    exit_code = ExitCode.FAILED


class CrashError(CommandError):
    """The guest of a command is gone, or its kernel is not to be trusted any more."""


class HostError(StageError):
    """The host's fault: a missing tool, a full disk, no permission."""

    exit_code = ExitCode.HOST
    stage = "host"
