# SPDX-License-Identifier: GPL-2.0-only
"""What this machine has to offer."""

import os
import resource
from pathlib import Path


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def free_mib() -> float:
    """Memory that programs may have without swapping (Documentation/filesystems/proc.rst)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next((line for line in lines if line.startswith("MemAvailable:")), "x 0")
    return int(found.split()[1]) / 1024


def used_s() -> float:
    """Seconds of processors that this process and the children that it has waited for took."""
    mine, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return mine.ru_utime + mine.ru_stime + others.ru_utime + others.ru_stime
