# SPDX-License-Identifier: GPL-2.0-only
"""First lines of what the kernel's checkers report: sanitizers, lockdep, the allocators' own.

After mm/{kasan,kmsan,kfence}, kernel/kcsan, lib/ubsan.c, kernel/locking, mm/{slub,page_alloc,
kmemleak,memory}.c, kernel/{fork,sched/core}.c, lib/smp_processor_id.c, 4.x to 6.18.
"""

from harness.splat.families import (
    CHAINED,
    LEAKS,
    LOCKS,
    RULED,
    SINGLE,
    SLAB,
    STACKED,
    UBSAN,
    signature,
)
from harness.splat.frames import ALLOCATING, LIBRARY, LOCKING

_IN = r" in (?P<fn>[A-Za-z_][\w.$]*)"
_ACCESS = r"(?P<access>Read|Write) (?:of|at) "
_LOCKDEP = (
    r"possible (?:circular|recursive) locking|inconsistent lock state|possible irq lock inversion"
    r"|\S+-safe -> \S+-unsafe lock order|held lock freed|bad unlock balance|bad contention"
    r"|Nested lock was not taken|chain_key collision|possible reason: unannotated irqs-o\w+"
)
_LOW = r"MAX_(?:LOCK\w*|STACK_TRACE_ENTRIES) too low|looking up invalid subclass"
_UNDEFINED = (
    r"(?P<sort>signed integer overflow|shift exponent|index .* is out of range|load of value"
    r"|member access|division by zero|null pointer|negation of|unsigned integer overflow)"
)

SIGNATURES = (
    signature(
        "kasan",
        rf"BUG: KASAN: (?P<what>[\w -]+?){_IN}",
        "KASAN: {what} {access}",
        RULED,
        more=_ACCESS,
        skip=(LIBRARY,),
    ),
    signature(
        "kasan",
        r"BUG: KASAN: (?P<what>[\w-]+)",
        "KASAN: {what} {access}",
        RULED,
        more=_ACCESS,
        skip=(LIBRARY,),
    ),
    signature(
        "kmsan", rf"BUG: KMSAN: (?P<what>[\w -]+?){_IN}", "KMSAN: {what}", RULED, skip=(LIBRARY,)
    ),
    signature(
        "kfence", rf"BUG: KFENCE: (?P<what>.+?){_IN}", "KFENCE: {what}", RULED, skip=(LIBRARY,)
    ),
    signature(
        "kcsan",
        r"BUG: KCSAN: (?P<what>[\w: -]+?) in (?P<race>\S+(?: / \S+)?)",
        "KCSAN: {what}",
        RULED,
    ),
    signature(
        "ubsan",
        r"UBSAN: (?P<what>[\w -]+) in \S+:\d+",
        "UBSAN: {what}",
        UBSAN,
        more=_UNDEFINED,
        skip=(LIBRARY,),
    ),
    signature(
        "rcu-usage",
        r"(?:WARNING: |\[ INFO: |INFO: )suspicious RCU usage",
        "suspicious RCU usage",
        CHAINED,
    ),
    signature(
        "lockdep",
        rf"(?:WARNING: |INFO: |\[ INFO: |\[ BUG: )(?P<what>(?:{_LOCKDEP}))",
        "{what}",
        CHAINED,
        skip=(LOCKING, LIBRARY),
    ),
    signature(
        "lockdep",
        r"(?:WARNING: |\[ BUG: ).+ still has locks held!",
        "locks held",
        CHAINED,
        skip=(LOCKING,),
    ),
    signature(
        "lockdep",
        r"(?:WARNING: |\[ BUG: )(?P<what>lock held when returning to user space)",
        "{what}",
        LOCKS,
        more=r" #0: .*at: (?:\[<\w+>\] )?(?P<fn>[A-Za-z_][\w.]*)",
        skip=(LOCKING,),
    ),
    signature("lockdep", r"\[ BUG: (?P<what>[\w -]+).* \]", "{what}", CHAINED, skip=(LOCKING,)),
    signature(
        "lockdep",
        r"INFO: trying to register non-static key|BUG: key \S+ (?:has not been|not in )",
        "lock not registered",
        STACKED,
        skip=(LOCKING,),
    ),
    signature("lockdep", rf"BUG: (?P<what>{_LOW})", "{what}", STACKED, skip=(LOCKING,)),
    signature(
        "atomic-sleep",
        r"BUG: (?P<what>scheduling while atomic|scheduling in a non-blocking"
        r"|scheduling with irqs disabled|sleeping function called from invalid context)",
        "{what}",
        STACKED,
        skip=(LOCKING, ALLOCATING, LIBRARY),
    ),
    signature(
        "spinlock",
        r"BUG: (?P<what>(?:spin|rw|read-|write-)lock [\w -]+?)(?:,| on CPU#)",
        "{what}",
        STACKED,
        skip=(LOCKING,),
    ),
    signature(
        "bad-page",
        r"BUG: (?P<what>Bad page \w+) in process",
        "{what}",
        STACKED,
        skip=(ALLOCATING,),
    ),
    signature(
        "bad-page",
        r"BUG: (?P<what>Bad rss-counter|non-zero (?:pgtables_bytes|nr_p[tm]e?ds))",
        "{what}",
        SINGLE,
    ),
    signature("bad-page", r"[\w./-]+\.c:\d+: (?P<what>bad p[g4um]d) [0-9a-f(]", "{what}", SINGLE),
    signature("kmemleak", r"kmemleak: \d+ new suspected memory leaks", "memory leak", SINGLE),
    signature(
        "kmemleak",
        r"BUG: memory leak$|(?:kmemleak: )?unreferenced object 0x[0-9a-f]+ \(size \d+\):",
        "memory leak",
        LEAKS,
        skip=(LIBRARY, ALLOCATING),
    ),
    signature(
        "other",
        r"BUG: (?P<what>using (?:smp_processor_id|__this_cpu_\w+)\(?\)?\S*) in preemptible",
        "{what} in preemptible code",
        STACKED,
    ),
    signature("other", r"BUG: (?P<what>workqueue leaked \w+)", "{what}", STACKED),
    signature(
        "other",
        r"BUG (?P<cache>\S+) ?\((?:Not tainted|Tainted).*?\): (?P<what>[\w -]+)",
        "SLUB: {what} ({cache})",
        SLAB,
        skip=(LIBRARY, ALLOCATING),
    ),
    signature(
        "other",
        r"BUG: unable to handle kernel (?P<what>[\w ]+)",
        "BUG: {what}",
        STACKED,
        vague=True,
    ),
    signature("other", r"BUG: (?P<what>[A-Za-z][\w ]+)", "BUG: {what}", STACKED, vague=True),
)
