# SPDX-License-Identifier: GPL-2.0-only
"""An object of a kernel once more, with lines: the command that kbuild recorded, and -g1.

gcc and clang make the same code with and without -g; whoever uses the object compares the sizes of
its functions with those of the kernel that ran.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from harness import proc
from harness.errors import HostError
from harness.slot import Slot

_SAVED = re.compile(r"(?:saved)?cmd_\S+ := (.*)")
# The dependencies would be written over those of the build.
_DROPPED = re.compile(r"-Wp,-M|-g($|[^n]*\d$)|-flto")


def command(recorded: str, output: Path) -> list[str]:
    """The compiler's command line out of a `.NAME.o.cmd` (scripts/Kbuild.include), for another
    output and with lines; what follows the compiler, as objtool, is left out. Empty for none."""
    found = _SAVED.match(recorded)
    if found is None:
        return []
    text = found[1].replace("$(pound)", "#").replace("$$", "$")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in lexer:
        if word[0] in ";&|<>":
            break
        if not _DROPPED.match(word):
            words.append(word)
    if "-o" not in words or "-c" not in words:
        return []
    words[words.index("-o") + 1] = str(output)
    return [*words, "-g1", "-w"]


def with_lines(
    taken: Slot,
    objects: Path,
    name: str,
    *,
    output: Path,
    env: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Compile the object `name` (fs/aio.o) of O= into `output`. HostError when there is no command
    for it, or it fails."""
    recorded = objects / Path(name).parent / f".{Path(name).name}.cmd"
    try:
        argv = command(recorded.read_text(errors="replace").partition("\n")[0], output)
    except OSError:
        argv = []
    if not argv:
        raise HostError(f"how {name} was compiled is not recorded")
    done = proc.run(argv, cwd=objects, env=env, timeout_s=timeout_s, keep_fds=(taken.lock,))
    proc.check(done, f"{name} does not compile again")
