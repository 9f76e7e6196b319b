# SPDX-License-Identifier: GPL-2.0-only
"""What a command left behind in the kernel -> why that is a failure; pure (docs/leaks.md)."""

from harness.model import Residue

TAINTS = {
    4: "M (machine check)",
    5: "B (bad page)",
    7: "D (died)",
    9: "W (warning)",
    14: "L (soft lockup)",
}
"""Bits of /proc/sys/kernel/tainted that tell of a fault of the kernel, with their letters
(taint_flags in kernel/panic.c). The others say which modules were loaded, what the machine is, or
what somebody asked for."""


def complaint(left: Residue, *, explained: bool) -> str:
    """In one line what there should not be; empty where a command has left nothing behind.

    `explained`: the kernel has reported something meanwhile, which has set its taint.
    """
    found = []
    if left.files > 0:
        found.append(f"{_count(left.files, 'open file')} left behind")
    if left.aio_nr > 0:
        found.append(f"aio-nr is {left.aio_nr} higher than before")
    for number, what in (
        (left.mms, "mm_struct"),
        (left.contexts, "kioctx"),
        (left.iocbs, "aio_kiocb"),
    ):
        if number > 0:
            found.append(f"{_count(number, what)} not freed")
    new = left.taint & ~left.taint_before
    letters = [said for bit, said in TAINTS.items() if new >> bit & 1]
    if letters and not explained:
        found.append(f"the kernel is tainted now: {', '.join(letters)}")
    return "; ".join(found)


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"
