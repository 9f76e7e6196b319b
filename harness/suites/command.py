# SPDX-License-Identifier: GPL-2.0-only
"""Programs of the host as tests: `--command ./repro`, judged by KTAP or by exit status."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.model import Fragment, Test
from harness.suites import Prepared, shown

_TIMEOUT_S = 300.0


class Commands:
    """Command lines, each one test named command/<program>, run in the directory `here`.

    UsageError for a line that is no command line or names a program that cannot be run.
    """

    name = "command"

    def __init__(self, lines: Sequence[str], here: Path) -> None:
        self._argvs = [_argv(line, here) for line in lines]
        self._here = here

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """Nothing beyond the base configuration."""
        return ()

    def prepare(self, log: Path) -> Prepared:
        """The plan; what the guest's own mounts would hide is shown to it."""
        taken: dict[str, int] = {}
        tests = []
        for argv in self._argvs:
            stem = Path(argv[0]).name
            taken[stem] = taken.get(stem, 0) + 1
            tests.append(
                Test(
                    name=f"command/{stem}" + (f"-{taken[stem]}" if taken[stem] > 1 else ""),
                    argv=argv,
                    cwd=str(self._here),
                    timeout_s=_TIMEOUT_S,
                    guest="vng",  # any program, with all that it may want of the host
                )
            )
        programs = (Path(argv[0]) for argv in self._argvs if argv[0].startswith("/"))
        places = (self._here, *(program.parent for program in programs))
        return Prepared(tests=tuple(tests), mounts=shown(places))


def _argv(line: str, here: Path) -> tuple[str, ...]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--command {line!r}: {error}") from None
    if not words:
        raise UsageError("--command '' is empty")
    program = here / Path(words[0]).expanduser()
    if "/" not in words[0] and not program.is_file():
        return tuple(words)  # for the guest's PATH
    program = Path(os.path.normpath(program))
    if not program.is_file():
        raise UsageError(f"--command {words[0]}: there is no file {program}")
    if not os.access(program, os.X_OK):
        raise UsageError(f"--command {words[0]} is not executable", hint=f"chmod +x {program}")
    return (str(program), *words[1:])
