# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that starts where another one ran: wanted, a crash's end, or out of nothing?

Only the banner (init/version.c) at time 0, the messages of an early boot behind it and a first
message with another time than the boot before had are a new boot; the rest quotes one.
"""

import re

from harness.model import Splat
from harness.splat.lines import Line

_BANNER = re.compile(r"Linux version \d\S* \(")
_ANNOUNCED = re.compile(
    r"reboot: |Rebooting in \d+|sysrq: Resetting|kexec_core: Starting new kernel"
    r"|.*: Starting new kernel"
)
_CERTAIN = re.compile(
    r"SeaBIOS \(|reboot: (Restarting|Power down|System halted)|Rebooting in \d+ s"
)
_USER = re.compile(r"Run \S+ as init process|Freeing unused kernel ")
_EARLY_MIN = 3
_EARLY_MAX = 2000


def is_banner(text: str) -> bool:
    """A kernel's first line."""
    return _BANNER.match(text) is not None


def told_of(text: str) -> bool:
    """The line matters to Restarts."""
    return any(one.match(text) for one in (_BANNER, _ANNOUNCED, _CERTAIN, _USER))


class Restarts:
    """`boots` counts the banners, `crashed` is the last of them that came to a bad end; `certain`:
    firmware or the kernel itself said so too."""

    def __init__(self) -> None:
        self.boots = 0
        self.certain = False
        self.crashed = -1
        self._user = False
        self._announced = False
        self._first: tuple[str, str] | None = None
        self._banner: Line | None = None
        self._early = 0
        self._suspect = False
        self._before: tuple[str, str] | None = None
        self._found: Splat | None = None

    @property
    def waiting(self) -> bool:
        """A banner was seen, and not yet whether it is one."""
        return self._banner is not None

    def see(self, line: Line, *, foreign: bool) -> bool:
        """True where whatever ran before has come to its end."""
        if foreign and not _CERTAIN.match(line.text):
            return False
        if _BANNER.match(line.text):
            return self._start(line)
        self._wait(line)
        self._announced = self._announced or _ANNOUNCED.match(line.text) is not None
        self._user = self._user or _USER.match(line.text) is not None
        self.certain = _CERTAIN.match(line.text) is not None
        return self.certain and not line.text.startswith("Rebooting")

    def unexpected(self) -> Splat | None:
        """The reboot that turned out to be one, once."""
        found, self._found = self._found, None
        return found

    def _start(self, line: Line) -> bool:
        if line.at:
            return False  # quoted
        self.certain = False
        if line.at is not None:
            self._banner, self._early = line, 0
            self._suspect = self._user and not self._announced
            self._before = self._first
        self.boots += 1
        return True

    def _wait(self, line: Line) -> None:
        banner = self._banner
        if banner is None or line.at is None:
            return
        self._early += 1
        if line.at == 0.0 and self._early < _EARLY_MAX:
            return
        self._banner = None
        first = (line.stamp, line.text)
        if self._early <= _EARLY_MIN or first == self._before:
            return  # the log of this very boot is read back
        if self._suspect and self._before is not None and self.crashed < self.boots - 1:
            self._found = Splat(
                kind="reboot",
                title="unexpected reboot",
                fingerprint=("reboot", "unexpected reboot"),
                line_from=banner.number,
                line_to=banner.number,
                text=(banner.text,),
            )
        self._first, self._user, self._announced = first, False, False
