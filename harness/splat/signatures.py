# SPDX-License-Identifier: GPL-2.0-only
"""All first lines in one table, and the words without which a console has none of them."""

import re

from harness.splat import checkers, faults, watchdogs
from harness.splat.families import CUT_HERE, RULE, Signature

# The order counts where two match.
SIGNATURES = (*faults.SIGNATURES, *watchdogs.SIGNATURES, *checkers.SIGNATURES)

# Each line that a scanner outside of a report has to see holds one of these.
WORDS = (
    b"BUG",
    b"WARNING: ",
    b"[#",
    b"panic - not",
    b"nable to handle",
    b"UBSAN: ",
    b"INFO: ",
    b"LOCKUP",
    b"kmemleak: ",
    b"unreferenced obj",
    b"oom-killer",
    b"ut of memory",
    b"cut here",
    b"====================",
    b"unregister_netdevice: ",
    b"allocation failure",
    b" stack ",
    b"corruption",
    b"list_add double",
    b"buffer overflow in",
    b"usercopy: ",
    b"refcount_t: ",
    b"page dumped",
    b"page:",
    b"nobody cared",
    b": bad p",
    b"PANIC: ",
    b"Triple fault",
    b"CFI failure",
    b"Unhandled fault",
    b"tried to execute",
    b"Linux version ",
    b"reboot: ",
    b"ebooting in ",
    b"sysrq: Reset",
    b"tarting new kernel",
    b"as init process",
    b"SeaBIOS ",
)
_ANY = re.compile("|".join(re.escape(word.decode()) for word in WORDS))


def find(text: str) -> tuple[Signature, dict[str, str]] | None:
    """The row whose report begins with this line, and what its pattern's groups hold."""
    if not _ANY.search(text):
        return None
    for row in SIGNATURES:
        match = row.first.match(text)
        if match:
            return row, match.groupdict("")
    return None


def prelude(text: str) -> bool:
    """The line stands before the first one of a report."""
    return bool(CUT_HERE.match(text) or RULE.match(text) or faults.PRELUDE.match(text))
