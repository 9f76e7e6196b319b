# SPDX-License-Identifier: GPL-2.0-only
"""How reports of the kernel go on and end, and what a row of the tables in this package says."""

import re
from dataclasses import dataclass

RULE = re.compile(r"={20,}$")
CUT_HERE = re.compile(r"-{8,}\[ cut here \]-{8,}$|8<--- cut here ---$")
PANIC = "Kernel panic - not syncing"
_END_TRACE = re.compile(r"-{3}\[ end trace [0-9a-f]+ \]-{3}")
# "CPU: 0 PID: 1", before 3.x "Pid: 1, comm:", arm's and mips' "Process x (pid: 1,".
_CPU = r"CPU: \d+ .*(?:PID|Comm): |Pid: \d+, comm: |Process .+ \(pid: \d+|task: [0-9a-f]{8,} "
_PROOF = (
    rf"{_CPU}|RIP: |EIP: |EIP is at |IP: |Call [Tt]race:|Backtrace: ?|pc : |PC is at |NIP:? "
    rf"|epc ?:?"
    r"|Krnl PSW|Modules linked in:|Hardware name: |\$ 0 +: |\s*ERA|era +: |pc [0-9a-f]{16} "
    r"|(?:\[<[0-9a-f]+>\]|\[[0-9a-f]{16}\]) "
)
PROOF = re.compile(_PROOF)
# Lines of a report in general. What is none of these is foreign or, a report being over, news.
BODY = re.compile(
    rf"\s|$|{_PROOF}|(?:</?[A-Z#]+\d*>|\(?\[<?[0-9a-f]{{8}}|[A-Za-z_][\w.$]*\+0x[0-9a-f]+/0x"
    rf"|-{{3}}|={{8}})"
    r"|(?:E?[A-D]X|R[A-Z0-9]{2}|E[A-Z]{2}|[CDEFGS]S|CR\d|DR\d|ORIG_RAX|PKRU|GPR\d\d|LR|REGS|MSR|CTR"
    r"|CFAR|XER|DAR|DEAR|TASK|lr|sp|ra|gp|tp|[xr]\d+|[ast]\d+|status|pstate|psr|ip|fp|Flags|Control"
    r"|Table|Register|ESR|FAR|Hi|Lo|Acc|Status|Cause|BadVA|PrId|ThreadInfo|FS|GS|PSTATE|E?CSR|CRMD"
    r"|PRMD|EUEN|ECFG|ESTAT|BADV|PRID)\b ?[ :=\[]|\$\d+ "
    r"|(?:Code|Stack|Call|Kernel|Workqueue|Tainted|Comm|Process|Internal error|Oops|Krnl|User|GPRS?"
    r"|Last Breaking|Failing address|Fault in|AS:|PGD|P4D|PUD|PMD|PTE|Mem abort|Data abort|ESR"
    r"|swapper"
    r"|user pgtable|\[[0-9a-f]{8,}\]|#PF: |note: |Fixing recursive|---\[|Instruction dump|BE PAGE"
    r"|LE PAGE"
    r"|Faulting instr|Exception stack|Sched_ext|Dumping ftrace|CPU|INFO|NMI backtrace|Sending NMI"
    r"|rcu"
    r"|irq event|(?:hard|soft)irqs last|page|flags|raw|head|page_type|addr:|file:|read of"
    r"|write to|race"
    r"|Allocated|Freed|Alloc|Free|Last potentially|Second to last|The buggy|Memory state"
    r"|which belongs"
    r"|Read|Write|Bad|Uninit|Local|Bytes|Memory access|Data copied|value changed|Reported by"
    r"|kfence-#"
    r"|allocated by|freed by|Object|Redzone|Padding|Slab|FIX|stack backtrace|other info|but task"
    r"|which lock|the existing|the dependencies|the shortest|to an? [A-Z]|and this"
    r"|\d+ locks? (held|on)"
    r"|no locks held|-> #|#\d|\*\*\*|\.\.\. |possible|Possible|lock|due to|DEBUG_LOCKS|Preemption"
    r"|preempt_count|in_atomic|expected|RCU|task:|\"echo|turning off|the code is fine|you didn't"
    r"|Sched Debug|Disabling|Rebooting|SMP: |PHYS_OFFSET|.*is (?:trying|leaving|freeing))"
)
REGISTERS = re.compile(
    rf"(RIP|RSP|Code|R[A-Z0-9]{{2}}|[CDEFGK]S|CR\d|DR\d|PKRU|Call Trace|EIP|E[A-Z]X): *|{_PROOF}"
    r"|note: |Fixing recursive|Disabling lock debugging|\s*(</?[A-Z#]|\? )|\s+\S+\+0x"
    r"|Dumping ftrace|$"
)


@dataclass(frozen=True, slots=True)
class Family:
    """How a kind of report goes on.

    `proof` is a line that shows it is real, to come within `window` lines. `end` is its last line;
    `tail` are lines after that which still belong to it. Without `end` it goes to the end of its
    stack, or, with `body`, as far as lines match that. A panic within `slack` lines after its end
    is its own doing. With `gathers` the stacks that other CPUs print on its behalf are part of it.
    """

    proof: re.Pattern[str] | None = PROOF
    window: int = 14
    end: re.Pattern[str] | None = None
    tail: re.Pattern[str] | None = None
    body: re.Pattern[str] | None = None
    slack: int = 4
    gathers: bool = False


OOPS = Family(
    proof=re.compile(
        rf"{_PROOF}|#PF: |.*\[#\d+\]|Internal error: |Mem abort info:|PGD |Failing address: "
        r"|Faulting instr|\[[0-9a-f]{8,16}\] |Task stack: |user pgtable:"
    ),
    window=16,
    end=_END_TRACE,
    tail=REGISTERS,
    slack=40,
)
WARNED = Family(end=_END_TRACE, slack=8)
STACKED = Family(window=40, slack=8)
CHAINED = Family(
    proof=re.compile(rf"-{{20,}}$|stack backtrace:|{_CPU}|other info that might|turning off"),
    window=40,
    slack=8,
)
LOCKS = Family(
    proof=re.compile(r".* is leaving the kernel with locks still held!"),
    body=re.compile(r"-{20,}$|\d+\.\d+\S* |.* is leaving the|\d+ locks? held by| #\d+: |$"),
    slack=8,
)
RULED = Family(
    proof=re.compile(
        rf"{_PROOF}|(Read|Write|Free) (of|at) |(read|write|race) .*(of \d+ bytes|at 0x)"
        r"|(Use-after-free|Out-of-bounds|Invalid|Corrupted) .*(0x|\(in kfence)| +\w[\w.]*\+0x"
        r"| +\w\S* \(?[\w/.-]+\.[ch]:\d+|(BUG|INFO): 0x|Slab 0x|Object 0x"
    ),
    window=20,
    end=RULE,
)
SLAB = Family(
    proof=re.compile(rf"{_PROOF}|-{{20,}}$|INFO: |Slab 0x|Object |Redzone|Allocated in |Freed in"),
    window=40,
    slack=8,
)
UBSAN = Family(end=re.compile(r"---\[ end trace \]---|={20,}$"))
STALLED = Family(
    proof=re.compile(
        rf"{_PROOF}|rcu: \s|\s+\(|\s+\d+-|\s*Tasks blocked|NMI backtrace|Sending NMI|Task"
    ),
    tail=re.compile(
        r"(rcu: )?\S+ kthread|rcu: (?!INFO)|Sending NMI|NMI backtrace|CPU: \d+ |task:|\s+\("
        r"|RIP: |pc : |epc : |NIP |Krnl PSW"
    ),
    slack=30,
    gathers=True,
    window=30,
)
STUCK = Family(window=40, slack=8, gathers=True)
HUNG = Family(
    window=40,
    slack=12,
    tail=re.compile(
        rf"Showing all locks|\d+ locks? held by|={{20,}}$|(Sending )?NMI |{_PROOF}|Code: "
        r"|INFO: task .* blocked on|R[A-Z0-9]{2}: |[CDEFGK]S: |CR2: |\s|$|task:\S|Future hung"
    ),
)
QUEUES = Family(
    proof=re.compile(r"Showing (busy|backtraces|all)"),
    body=re.compile(r"Showing |workqueue |\s+(pwq|in-flight|pending|inactive)|pool \d+|task:|\s|$"),
)
OOM = Family(
    proof=re.compile(rf"{_PROOF}|Mem-Info:|Tasks state"),
    end=re.compile(r"(Memory cgroup o|O)ut of memory.*: Kill|Killed process \d+|oom-kill:.*task="),
    tail=re.compile(r"(Memory cgroup o|O)ut of memory.*: Kill|Killed process|oom_reaper: "),
    window=20,
)
LEAKS = Family(
    proof=re.compile(r'\s*comm ".*", pid \d+|\s*backtrace'), end=re.compile(r"$"), window=4
)
PANICKED = Family(
    proof=re.compile(
        rf"{_PROOF}|Kernel Offset: |---\[ end {PANIC}|Rebooting in \d+ sec|SMP: stopping"
        rf"|CPU features: "
        r"|Memory Limit: |PHYS_OFFSET: |Dumping ftrace|CPU\d+: stopping|Sending NMI"
        r"|Shutting down cpus"
        r"|disabled_wait|---\[ end trace|flush of |crash_kexec|Starting crashdump"
    ),
    end=re.compile(r"-{3}\[ end Kernel panic|Rebooting in \d+ seconds"),
    tail=re.compile(r"Rebooting in \d+ seconds"),
    slack=2,
)
SINGLE = Family(proof=None)


@dataclass(frozen=True, slots=True)
class Signature:
    """A report's first line. `title` may use the groups of `first`, and of `more`, which is looked
    for in the lines that follow. `skip` are functions that are never the guilty one; without
    `stack` neither function nor stack say anything that is the same in two runs. A `vague` first
    line is nothing until a line proves it."""

    kind: str
    first: re.Pattern[str]
    title: str
    family: Family
    more: re.Pattern[str] | None = None
    skip: tuple[re.Pattern[str], ...] = ()
    stack: bool = True
    vague: bool = False


def signature(
    kind: str,
    first: str,
    title: str,
    family: Family,
    *,
    more: str = "",
    skip: tuple[re.Pattern[str], ...] = (),
    **flags: bool,
) -> Signature:
    """A row."""
    pattern = re.compile(more) if more else None
    return Signature(kind, re.compile(first), title, family, more=pattern, skip=skip, **flags)
