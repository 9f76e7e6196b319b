# SPDX-License-Identifier: GPL-2.0-only
"""All first lines in one table, and the words without which a console has none of them."""

import re

from harness.splat import checkers, faults, watchdogs
from harness.splat.families import CUT_HERE, RULE, Signature

# The order counts where two match.
SIGNATURES = (*faults.SIGNATURES, *watchdogs.SIGNATURES, *checkers.SIGNATURES)

# Each first line, and each line that tells of a restart, holds one of these. The longer and the
# fewer they are, the faster is a console without splats.
WORDS = (
    b"BUG",
    b"WARNING:",
    b"[#",
    b"UBSAN:",
    b"LOCKUP",
    b"PANIC:",
    b"INFO: task ",
    b"INFO: rcu",
    b"INFO: trying",
    b"INFO: suspicious",
    b"[ INFO: ",
    b"panic - not",
    b"nable to handle",
    b"kmemleak: ",
    b"oom-killer",
    b"ut of memory",
    b"unregister_netdevice: ",
    b"allocation failure",
    b"nsufficient stack",
    b"stack overflow",
    b"nobody cared",
    b": bad p",
    b"Triple fault",
    b"Linux version ",
    b"eboot",
    b"sysrq: Reset",
    b"tarting new kernel",
    b"as init process",
    b"reeing unused kernel",
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
