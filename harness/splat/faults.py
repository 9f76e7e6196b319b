# SPDX-License-Identifier: GPL-2.0-only
"""First lines of reports that a kernel dies or may die of: panics, oopses, BUG(), WARN().

After kernel/panic.c, lib/bug.c, arch/*/mm/fault.c, arch/*/kernel/{traps,dumpstack}.c, 4.x to 6.18.
"""

import re

from harness.splat.families import OOPS, PANIC, PANICKED, WARNED, signature
from harness.splat.frames import LIBRARY

_NO_INIT = r"(?:No working init|No init found|VFS: Unable to mount root|Requested init )"
_OVERFLOWN = r"(?:[Kk]ernel stack overflow|corrupted stack end detected|Corrupt kernel stack)"
_DIED = r"(?: [0-9a-f]{2,16})?(?: ilc:\d)? ?\[#\d+\]"
_TRAPS = (
    r"invalid opcode|divide error|double fault|int3|stack segment|alignment check|overflow|bounds"
    r"|invalid TSS|segment not present|coprocessor \S+|control protection|simd exception"
    r"|illegal operation|privileged operation|execute exception|special operation exception"
    r"|fix(?:ed|)point \w+ exception|operand exception|specification exception|data exception"
)
_TRAPPED = (
    r"Undefined instruction|undefined instruction|illegal instruction|Illegal instruction"
    r"|Reserved instruction in kernel code|Privileged resource|misaligned|breakpoint|divide"
)
_NULL = "kernel NULL pointer dereference"
_PAGE = "unable to handle page fault"
_AT = r".*?(?:at(?: virtual)?(?: address)?|address:?) (?:0x)?(?P<address>[0-9a-f]{8,16})\b"

SIGNATURES = (
    signature("no-init", rf"{PANIC}: (?P<what>{_NO_INIT}.*)", "{what}", PANICKED, stack=False),
    signature(
        "stack-overflow", rf"{PANIC}: (?P<what>{_OVERFLOWN}.*)", "kernel stack overflow", PANICKED
    ),
    signature("panic", rf"{PANIC}(?P<what>: .*|$)", f"{PANIC}{{what}}", PANICKED),
    signature(
        "null-deref",
        r"BUG: (?:kernel|Kernel) NULL pointer dereference"
        r"|(?:BUG: u|U)nable to handle kernel NULL pointer dereference",
        _NULL,
        OOPS,
        skip=(LIBRARY,),
    ),
    signature(
        "page-fault",
        rf"(?:BUG: [Uu]nable to handle (?:page fault|kernel |unknown paging)"
        rf"|(?:CPU \d+ )?Unable to handle kernel |kernel access of bad area)(?:{_AT})?",
        _PAGE,
        OOPS,
        more=r"Failing address: (?P<failing>[0-9a-f]{16})",
        skip=(LIBRARY,),
    ),
    signature(
        "stack-overflow",
        r"BUG: .*stack guard page was hit|(?:Oops: )?kernel stack overflow|Kernel stack overflow"
        r"|Insufficient stack space to handle"
        r"|do_IRQ: stack overflow"
        r"|Oops: stack guard page",
        "stack guard page was hit",
        OOPS,
    ),
    signature(
        "gpf",
        r"(?:Oops: )?(?:segment-related )?general protection fault\b.*\[#\d+\]",
        "general protection fault",
        OOPS,
        skip=(LIBRARY,),
    ),
    signature("trap", r"(?:traps: )?PANIC: (?P<what>double fault)", "{what}", OOPS),
    signature("trap", rf"(?:Oops: )?(?P<what>{_TRAPS}):{_DIED}", "{what}", OOPS),
    signature("bug", r"monitor event: [0-9a-f]{4} ilc:\d \[#\d+\]", "kernel BUG", OOPS),
    signature(
        "bug",
        r"[Kk]ernel BUG at |[Kk]ernel BUG ?\[#\d+\]|Kernel bug detected ?\[#\d+\]"
        rf"|(?:Internal error: )?Oops - BUG:?{_DIED}|BUG: failure at \S+:\d+/",
        "kernel BUG",
        OOPS,
        more=r"BUG: failure at \S+:\d+/(?P<fn>\w+)\(\)!",
    ),
    signature(
        "trap",
        rf"(?:Internal error: )?(?:Oops(?: - |: ))?(?P<what>{_TRAPPED})[^:\[]*:?{_DIED}",
        "{what}",
        OOPS,
    ),
    signature("ubsan", rf"Internal error: UBSAN: (?P<what>[\w -]+):{_DIED}", "UBSAN: {what}", OOPS),
    signature(
        "oops",
        rf"(?:Oops: |Oops - |Internal error: )(?P<what>[^:\[]+?)(?:, sig: \d+)?:?{_DIED}"
        rf"|Oops(?:: [0-9a-f]{{4}}|:)?{_DIED}|(?P<other>[A-Z][\w ,/-]{{3,60}}):?{_DIED}",
        "Oops: {what}{other}",
        OOPS,
        skip=(LIBRARY,),
    ),
    signature(
        "warning",
        r"WARNING: (?:CPU: \d+ PID: \d+ at |(?:\[.*\] )?\S+:\d+ at (?=.*CPU#)|at (?=\S+:\d+"
        r"|\S+\+0x))"
        r"(?:(?:\[.*\] )?(?P<file>\S+):\d+ ?)?(?:(?P<fn>[A-Za-z_][\w.$]*)(?:\+0x| |$|\())?",
        "WARNING",
        WARNED,
    ),
)

# A WARN or BUG whose message says more than its place; the message stands around the first line.
MESSAGES = (
    ("refcount", re.compile(r"refcount_t: (?P<what>[^.]+)"), "refcount_t: {what}"),
    (
        "list-corruption",
        re.compile(
            r"list_(?P<what>add|del)\w* (?:corr|double)"
            r"|(?:kernel BUG|WARNING:).* lib/list_debug\.c:\d+.*?(?:__list_(?P<helper>add|del)|$|!)"
        ),
        "list_{what}{helper} corruption",
    ),
    (
        "odebug",
        re.compile(r"ODEBUG: (?P<what>.+?) \(active.* object type: (?P<type>\w+)"),
        "ODEBUG: {what} {type}",
    ),
)
# These stand right before the first line and are the report's.
PRELUDE = re.compile(
    r"list_(?:add|del)\w* (?:corr|double)|usercopy: Kernel memory|page dumped because: "
    r"|page: ?(?:[0-9a-f]{8}|ref)"
    r"|refcount_t: |detected buffer overflow in |CFI failure at |kernel tried to execute "
)
