# SPDX-License-Identifier: GPL-2.0-only
"""The tables of splat.py: how every kind of report begins, goes on and ends.

A new kind is a row of SIGNATURES, and a Family where it goes on like none of these.
"""

import re
from dataclasses import dataclass

RULE = re.compile(r"={20,}$")
PANIC = "Kernel panic - not syncing: "
_REGISTERS = re.compile(
    r"(RIP|RSP|Code|R[A-Z0-9]{2}|[CDEFGK]S|CR\d|DR\d|PKRU|Call Trace): *|note: |Fixing recursive|$"
)
_PROOF = re.compile(r"CPU: \d+ .*PID: |RIP: |Call [Tt]race:|pc : |Modules linked in:")

# Frames of the report itself, never of what it is about.
REPORTING = re.compile(
    r"(dump_stack|show_stack|show_regs|show_trace|print_report|print_address_desc|kasan_|__kasan_"
    r"|__?asan_|check_memory_region|kmsan_|__msan_|kcsan_|__tsan_|kfence_|check_canary|__warn"
    r"|warn_slowpath|report_bug|handle_bug|exc_|asm_exc_|asm_sysvec_|sysvec_|__sysvec_|die|__die"
    r"|oops_|page_fault_oops|kernelmode_fixup|__?bad_area|do_user_addr_fault|panic$|vpanic|nmi_"
    r"|check_panic_on_warn|refcount_warn|__list_(add|del)\w*_valid|ubsan_|__ubsan_|val_to_string"
    r"|handle_overflow|debug_print_object|debug_object|__debug_object|__debug_check|debug_check"
    r"|watchdog_|hrtimer_|__hrtimer_|tick_|update_process_times|rcu_(sched_clock|dump|check_gp)"
    r"|print_cpu_stall|print_other_cpu|check_cpu_stall|bad_page|free_page_is_bad|bad_range|spin_"
    r"(bug|dump)|do_raw_spin_|do_raw_(read|write)_|__check_object_size|__schedule_bug|__might_"
    r"|lockdep_rcu_suspicious|lockdep_sys_exit|sysrq_handle_crash|__handle_sysrq|dump_header)"
)
LOCKING = re.compile(
    r"(print_\w*(bug|bad|lock|usage|deadlock|irq)\w*|check_(noncircular|prev|irq|deadlock|usage)"
    r"|validate_chain|__lock_|lock_(acquire|release)|mark_|valid_state|debug_check_no_locks|lockdep"
    r"|_raw_(spin|read|write)|__raw_(spin|read|write)|(__)?(mutex|ww_mutex|rt_mutex)_(lock|unlock)"
    r"|down_(read|write)|(__)?down|rwsem_|(__)?schedule|preempt_schedule|io_schedule|wait_for_comp"
    r"|do_wait_for|__wait_|bit_wait|out_of_line_wait|folio_wait|rt_spin_|cond_resched|__cond_resched)"
)


@dataclass(frozen=True, slots=True)
class Family:
    """How a kind of report goes on.

    `proof` is a line that shows it is real, to come within `window` lines. `end` is its last line;
    `tail` are lines after that which still belong to it. Without `end` it goes to the end of its
    stack, or, with `body`, as far as lines match that.
    """

    proof: re.Pattern[str] | None = _PROOF
    window: int = 12
    end: re.Pattern[str] | None = None
    tail: re.Pattern[str] | None = None
    body: re.Pattern[str] | None = None


OOPS = Family(
    proof=re.compile(rf"{_PROOF.pattern}|#PF: |Oops: |Internal error: "),
    end=re.compile(r"---\[ end trace [0-9a-f]+ \]---"),
    tail=_REGISTERS,
)
_WARNED = Family(end=re.compile(r"---\[ end trace [0-9a-f]+ \]---"))
_STACKED = Family(window=40)
_CHAINED = Family(
    proof=re.compile(r"-{20,}$|stack backtrace:|CPU: \d+ .*PID: |other info that might"), window=40
)
_LOCKS = Family(
    proof=re.compile(r".* is leaving the kernel with locks still held!"),
    body=re.compile(r"-{20,}$|\d+\.\d+\S* #|.* is leaving the|\d+ locks? held by| #\d+: |$"),
)
RULED = Family(
    proof=re.compile(
        rf"{_PROOF.pattern}|(Read|Write|Free) (of|at) |(read|write|race) .*(of \d+ bytes|at 0x)"
        r"|(Use-after-free|Out-of-bounds|Invalid|Corrupted) .*(0x|\(in kfence)| +\w[\w.]*\+0x"
    ),
    end=RULE,
)
_UBSAN = Family(end=re.compile(r"---\[ end trace \]---"))
_STALLED = Family(
    proof=re.compile(rf"{_PROOF.pattern}|rcu: \s|\s+\(t=|NMI backtrace|Sending NMI|Tasks blocked"),
    tail=re.compile(r"rcu: (?!INFO)|Sending NMI|NMI backtrace|CPU: \d+ |task:|\s+\(t="),
)
_QUEUES = Family(
    proof=re.compile(r"Showing (busy|backtraces)"),
    body=re.compile(r"Showing |workqueue |\s+(pwq|in-flight|pending|inactive)|pool \d+|task:|\s|$"),
)
_OOM = Family(
    proof=re.compile(rf"{_PROOF.pattern}|Mem-Info:"),
    end=re.compile(r"(Memory cgroup o|O)ut of memory.*: Killed process"),
)
PANICKED = Family(
    proof=re.compile(rf"{_PROOF.pattern}|Kernel Offset: |---\[ end {PANIC}|Rebooting in \d+ sec"),
    end=re.compile(r"---\[ end Kernel panic|Rebooting in \d+ seconds"),
)
SINGLE = Family(proof=None)


@dataclass(frozen=True, slots=True)
class Signature:
    """A report's first line. `title` may use the groups of `first`, and of `more`, which is looked
    for in the lines that follow. `locking` skips frames that take locks or sleep; without `stack`
    neither function nor stack say anything that is the same in two runs."""

    kind: str
    first: re.Pattern[str]
    title: str
    family: Family
    more: re.Pattern[str] | None = None
    locking: bool = False
    stack: bool = True


def _signature(
    kind: str, first: str, title: str, family: Family, *, more: str = "", **flags: bool
) -> Signature:
    pattern = re.compile(more) if more else None
    return Signature(kind, re.compile(first), title, family, more=pattern, **flags)


_ACCESS = r"(?P<access>Read|Write|Free) (?:of|at) "
_NO_INIT = r"(?:No working init|No init found|VFS: Unable to mount root|Requested init )"
_TRAPS = r"invalid opcode|divide error|double fault|int3|stack segment|alignment check|overflow"
_LOCKDEP = (
    r"possible (?:circular|recursive) locking|inconsistent lock state|possible irq lock inversion"
    r"|\S+-safe -> \S+-unsafe lock order|held lock freed|bad unlock balance|bad contention"
    r"|Nested lock was not taken|chain_key collision"
)
_IN = r" in (?P<fn>[A-Za-z_][\w.]*)"
SIGNATURES = (
    _signature("no-init", rf"{PANIC}(?P<what>{_NO_INIT}.*)", "{what}", PANICKED, stack=False),
    _signature("panic", rf"{PANIC}(?P<what>.*)", f"{PANIC}{{what}}", PANICKED),
    _signature(
        "null-deref",
        r"BUG: kernel NULL pointer dereference|Unable to handle kernel NULL pointer dereference",
        "kernel NULL pointer dereference",
        OOPS,
    ),
    _signature(
        "page-fault",
        r"BUG: unable to handle (?:page fault|kernel paging request)"
        r"|Unable to handle kernel (?:paging request|access|read|write|execute)",
        "unable to handle page fault",
        OOPS,
    ),
    _signature(
        "stack-overflow",
        r"BUG: .*stack guard page was hit|kernel stack overflow|Insufficient stack space to handle",
        "stack guard page was hit",
        OOPS,
    ),
    _signature(
        "gpf",
        r"(?:Oops: )?general protection fault[,:].*\[#\d+\]",
        "general protection fault",
        OOPS,
    ),
    _signature("trap", r"(?:traps: )?PANIC: (?P<what>double fault)", "{what}", OOPS),
    _signature("trap", rf"(?:Oops: )?(?P<what>{_TRAPS}): \w{{4}} \[#\d+\]", "{what}", OOPS),
    _signature(
        "oops", r"(?:Oops|Internal error): (?P<what>[^:]+): \w{4,} \[#\d+\]", "Oops: {what}", OOPS
    ),
    _signature("bug", r"[Kk]ernel BUG at ", "kernel BUG", OOPS),
    _signature(
        "warning",
        r"WARNING: (?:CPU: \d+ PID: \d+ at |\S+:\d+ at )(?:\S+:\d+ )?"
        r"(?:(?P<fn>[A-Za-z_][\w.]*)\+0x)?",
        "WARNING",
        _WARNED,
    ),
    _signature(
        "kasan", rf"BUG: KASAN: (?P<what>\S+){_IN}", "KASAN: {what} {access}", RULED, more=_ACCESS
    ),
    _signature(
        "kasan", r"BUG: KASAN: (?P<what>invalid-access)", "KASAN: {what}", RULED, more=_ACCESS
    ),
    _signature("kmsan", rf"BUG: KMSAN: (?P<what>\S+){_IN}", "KMSAN: {what}", RULED),
    _signature("kfence", rf"BUG: KFENCE: (?P<what>.+?){_IN}", "KFENCE: {what}", RULED),
    _signature(
        "kcsan", r"BUG: KCSAN: (?P<what>\S+) in (?P<race>\S+(?: / \S+)?)", "KCSAN: {what}", RULED
    ),
    _signature("ubsan", r"UBSAN: (?P<what>\S+) in \S+:\d+", "UBSAN: {what}", _UBSAN),
    _signature("lockdep", rf"WARNING: (?P<what>(?:{_LOCKDEP}))", "{what}", _CHAINED, locking=True),
    _signature("lockdep", r"\[ BUG: (?P<what>.+?) \]", "{what}", _CHAINED, locking=True),
    _signature("lockdep", r"WARNING: .+/\d+ still has locks held!", "locks held", _CHAINED),
    _signature(
        "lockdep",
        r"WARNING: (?P<what>lock held when returning to user space)",
        "{what}",
        _LOCKS,
        more=r" #0: .* at: (?P<fn>[A-Za-z_][\w.]*)",
        locking=True,
    ),
    _signature(
        "lockdep",
        r"(?:INFO: (?P<what>trying to register non-static key)|BUG: (?P<key>key) \S+ has not been)",
        "lock not registered",
        _STACKED,
        locking=True,
    ),
    _signature("rcu-usage", r"WARNING: (suspicious RCU usage)", "suspicious RCU usage", _CHAINED),
    _signature(
        "rcu-stall",
        r"(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stall",
        "RCU stall",
        _STALLED,
    ),
    _signature(
        "hung-task",
        r"INFO: task .+:\d+ blocked for more than \d+ s",
        "task hung",
        _STACKED,
        locking=True,
    ),
    _signature("soft-lockup", r"(?:watchdog: )?BUG: soft lockup - ", "soft lockup", _STACKED),
    _signature(
        "hard-lockup",
        r"(?:(?:NMI )?watchdog: )*Watchdog detected hard LOCKUP",
        "hard lockup",
        _STACKED,
    ),
    _signature(
        "workqueue-lockup",
        r"BUG: workqueue lockup - pool",
        "workqueue lockup",
        _QUEUES,
        stack=False,
    ),
    _signature(
        "atomic-sleep",
        r"BUG: (?P<what>scheduling while atomic|scheduling in a non-blocking"
        r"|sleeping function called from invalid context)",
        "{what}",
        _STACKED,
        locking=True,
    ),
    _signature("bad-page", r"BUG: (?P<what>Bad page \w+) in process", "{what}", _STACKED),
    _signature(
        "bad-page", r"BUG: (?P<what>Bad rss-counter|non-zero pgtables_bytes)", "{what}", SINGLE
    ),
    _signature(
        "spinlock", r"BUG: (?P<what>(?:spin|rw)lock .+?) on CPU#", "{what}", _STACKED, locking=True
    ),
    _signature("kmemleak", r"kmemleak: \d+ new suspected memory leaks", "memory leak", SINGLE),
    _signature(
        "oom",
        r".+ invoked oom-killer: gfp_mask=",
        "{memcg}out of memory",
        _OOM,
        more=r"(?P<memcg>Memory cgroup )out of memory",
        stack=False,
    ),
    _signature("other", r"BUG: (?P<what>using \w+\(?\)? in preemptible)", "{what}", _STACKED),
    _signature("other", r"BUG: (?P<what>workqueue leaked \w+)", "{what}", _STACKED),
    _signature(
        "other", r"BUG (?P<cache>\S+) \(.*?\): (?P<what>.+)", "SLUB: {what} ({cache})", _STACKED
    ),
    _signature("other", r"BUG: (?P<what>[\w ]+)", "BUG: {what}", _STACKED),
)
# A WARN or BUG whose message says more than its place; the message stands around the first line.
MESSAGES = (
    ("refcount", re.compile(r"refcount_t: (?P<what>[^.]+)"), "refcount_t: {what}"),
    (
        "list-corruption",
        re.compile(r"list_(?P<what>add|del)\w* (?:corr|double)"),
        "list_{what} corruption",
    ),
    (
        "odebug",
        re.compile(r"ODEBUG: (?P<what>.+?) \(active.* object type: (?P<type>\w+)"),
        "ODEBUG: {what} {type}",
    ),
)

ANY_FIRST = re.compile(
    r"Kernel panic|BUG|Unable|Oops|Internal|general|(traps: )?PANIC|[Kk]ernel (BUG|stack)"
    r"|WARNING|Insufficient|UBSAN|\[ BUG|INFO: |rcu: INFO|watchdog: |NMI watchdog|Watchdog"
    rf"|kmemleak: |.+ invoked oom-killer|{_TRAPS}"
)
