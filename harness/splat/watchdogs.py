# SPDX-License-Identifier: GPL-2.0-only
"""First lines of what the kernel says when it does not get on: stalls, lockups, no memory.

After kernel/{watchdog,hung_task,workqueue}.c, kernel/rcu, mm/{oom_kill,page_alloc}.c,
net/core/dev.c, kernel/irq/spurious.c, 4.x to 6.18.
"""

from harness.splat.families import (
    HUNG,
    OOM,
    QUEUES,
    SINGLE,
    STACKED,
    STALLED,
    STUCK,
    signature,
)
from harness.splat.frames import ALLOCATING, LOCKING, TIMER

SIGNATURES = (
    signature(
        "rcu-stall",
        r"(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls? (?:on|but)",
        "RCU stall",
        STALLED,
        skip=(TIMER, LOCKING),
    ),
    signature(
        "hung-task",
        r"INFO: task .+:\d+ (?:blocked(?: in I/O wait)?|can't die) for more than \d+ s",
        "task hung",
        HUNG,
        skip=(LOCKING,),
    ),
    signature(
        "soft-lockup",
        r"(?:NMI )?(?:watchdog: )?BUG: soft lockup (?:- |detected)",
        "soft lockup",
        STUCK,
        skip=(TIMER, LOCKING),
    ),
    signature(
        "hard-lockup",
        r"(?:(?:NMI )?watchdog: )*(?:Watchdog detected hard LOCKUP"
        r"|BUG: NMI Watchdog detected LOCKUP"
        r"|CPU \d+ (?:self-)?(?:detected )?[Hh]ard LOCKUP|Watchdog CPU:\d+ [Hh]ard LOCKUP)",
        "hard lockup",
        STUCK,
        skip=(TIMER, LOCKING),
    ),
    signature(
        "workqueue-lockup", r"BUG: workqueue lockup - pool", "workqueue lockup", QUEUES, stack=False
    ),
    signature(
        "oom",
        r".+ invoked oom-killer: gfp_mask=",
        "{memcg}out of memory",
        OOM,
        more=r"(?P<memcg>Memory cgroup )out of memory|(?:oom_|c)memcg=|memory: usage",
        stack=False,
    ),
    signature(
        "oom",
        r"(?P<memcg>Memory cgroup )?[Oo]ut of memory(?: \(.*\))?: Kill(?:ed)? process \d+ \(",
        "{memcg}out of memory",
        SINGLE,
        stack=False,
    ),
    signature(
        "oom",
        r".+: page allocation failure: order:\d+",
        "page allocation failure",
        STACKED,
        skip=(ALLOCATING,),
    ),
    signature(
        "other",
        r"unregister_netdevice: waiting for \S+ to become free\. Usage count = -?\d+",
        "unregister_netdevice: waiting for a device to become free",
        SINGLE,
        stack=False,
    ),
    signature("other", r"irq \d+: (?P<what>nobody cared)", "irq: {what}", STACKED, stack=False),
    signature("triple-fault", r"Triple fault$", "triple fault", SINGLE, stack=False),
)
