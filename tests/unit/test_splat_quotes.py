# SPDX-License-Identifier: GPL-2.0-only
"""What a healthy kernel prints, and text that only quotes a report: no splat in any of it."""

import pytest

from harness.splat import scan
from tests.unit.test_splat import BARE, expected, messages, read, told

BOOT = "".join(f"[    0.{n:06}] boot message {n}\n" for n in range(20))
AFTER = "".join(f"[   30.{n:06}] all is well\n" for n in range(60))

HEALTHY = """\
Lock dependency validator: a banner
INFO: lockdep is turned off.
rcu: Hierarchical RCU implementation.
rcu: INFO: something else
NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
watchdog: Delayed init of the lockup detector failed: -19
debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers
KASLR disabled due to lack of seed
Spectre V2 : WARNING: Unprivileged eBPF is enabled, data leaks possible
ACPI BIOS Error (bug): Could not resolve symbol [_SB.PCI0], AE_NOT_FOUND
[Firmware Bug]: cpu 0, try to use APIC520 (LVT offset 2) for vector 0xf4
PCI: MMCONFIG BUG: not using
Warning: unable to open an initial console.
WARNING! power/level is deprecated; use power/control instead
WARNING: the file is empty
WARNING: CPU: 0 is slow
clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable
perf: interrupt took too long (2506 > 2500), lowering kernel.perf_event_max_sample_rate to 79750
hrtimer: interrupt took 12345678 ns
workqueue: foo_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
kmemleak: Kernel memory leak detector initialized (mem pool available: 15679)
Uhhuh. NMI received for unknown reason 3d on CPU 0.
traps: prog[123] general protection fault ip:401136 sp:7ffd4ce1a2b0 error:0 in prog[401000+1000]
traps: prog[123] trap invalid opcode ip:401136 sp:7ffd4ce1a2b0 error:0 in prog[401000+1000]
aio_poll[173]: segfault at 8 ip 000055 sp 00007ffc error 4 in aio_poll[1000+1000]
EXT4-fs error (device vda): ext4_lookup:1234: inode #2: comm ls: deleted inode referenced: 12
sysrq: Show Blocked State
reboot: Restarting system
Unable to handle kernel lockdown, ignoring
"""
QUOTES = """\
test: saw 'Kernel panic - not syncing: x' in the log
# BUG: kernel NULL pointer dereference, address: 0000000000000008
Kernel command line: root=/dev/vda note="Kernel panic - not syncing: x" BUG: KASAN: x in y+0x1/0x2
overlayfs: unknown mount parameter 'Linux version 6.1.0 (me@host) (gcc 12) #1 SMP'
systemd[1]: Warning: WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2
grep: console.log: [    1.234567] Kernel panic - not syncing: x
BUG: this module says so for fun
kernel BUG at least that is what the test says
Internal error: the device says so
Oops, something went wrong
general protection fault ip:1234 in foo
"""
# A first line, and nothing behind it that a real report would have.
ALONE = """\
Kernel panic - not syncing: fake
BUG: kernel NULL pointer dereference, address: 0000000000000008
BUG: unable to handle page fault for address: ffff888000000000
Unable to handle kernel paging request at virtual address ffff888000000000
general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP
WARNING: CPU: 0 PID: 1 at fs/aio.c:12 aio_poll+0x1/0x2
WARNING: fs/aio.c:12 at aio_poll+0x1/0x2, CPU#0: x/1
kernel BUG at fs/aio.c:12!
BUG: KASAN: slab-use-after-free in aio_poll+0x1/0x2
UBSAN: shift-out-of-bounds in fs/aio.c:12:3
WARNING: possible circular locking dependency detected
INFO: task aio:12 blocked for more than 120 seconds.
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [aio:12]
BUG: sleeping function called from invalid context at mm/slab.h:1
Insufficient stack space to handle exception!
"""
# What becomes of a program, on other architectures.
PROGRAMS = """\
foo[123]: unhandled exception: DABT (lower EL), ESR 0x92000004, level 0 translation fault in libc.so
CPU: 0 PID: 123 Comm: foo Not tainted 6.1.0 #1
pc : 0000aaaac1b2d3e4

foo[123]: unhandled signal 11 code 0x1 at 0x0000000000000000 in foo[10000+1000]
CPU: 0 PID: 123 Comm: foo Not tainted 6.1.0 #1
epc : 0000000000010418 ra : 00000000000103f8 sp : 0000003fffb1a2c0

User process fault: interruption code 003b ilc:3 in foo[1000000+1000]
Failing address: 0000000000000000 TEID: 0000000000000400
Fault in primary space mode while using user ASCE.
CPU: 1 PID: 871 Comm: foo Not tainted 6.1.0 #1
User PSW : 0705000180000000 000003ff8012a4b6

foo: unhandled page fault (11) at 0x00000000, code 0x017
CPU: 0 PID: 123 Comm: foo Not tainted 4.19.0 #1

do_page_fault(): sending SIGSEGV to foo for invalid read access from 00000000
epc = 77a1b2c4 in libc.so[77a00000+1000]
"""
TRACE_PRINTK = """\
**********************************************************
**   NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE   **
** This means that this is a DEBUG kernel and it is     **
**********************************************************
"""
MAND = """\
=======================================================
WARNING: The mand mount option has been deprecated and
         and is ignored by this kernel. Remove the mand
         option from the mount to silence this warning.
=======================================================
"""
SYSRQ = """\
sysrq: Show backtrace of all active CPUs
NMI backtrace for cpu 0
CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x1/0x2
 </TASK>
"""


def stamped(text: str) -> str:
    return "".join(f"[    9.100000] {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("after", ["ok 1 prints\n", "sshd[12]: hello\n", "reboot: Power down\n"])
@pytest.mark.parametrize("line", ALONE.splitlines())
def test_a_quote_at_the_end_of_a_short_console_is_none(line: str, after: str) -> None:
    assert scan(f"# a test\n{line}\n{after}".encode()) == ()


@pytest.mark.parametrize(
    "text",
    [
        *HEALTHY.splitlines(),
        *QUOTES.splitlines(),
        *ALONE.splitlines(),
        *PROGRAMS.split("\n\n"),
        TRACE_PRINTK,
        MAND,
        SYSRQ,
    ],
)
def test_no_splat(text: str) -> None:
    bare = "".join(f"{line}\n" for line in text.splitlines())
    well = "all is well\n" * 60
    assert scan((BOOT + stamped(text) + AFTER).encode()) == ()
    assert scan((BOOT + bare + AFTER).encode()) == ()
    assert scan((bare + well).encode()) == ()


def test_user_space_on_a_stamped_console_is_not_the_kernel() -> None:
    report = "".join(f"{line}\n" for line in messages("kasan")).encode()
    assert scan(report)
    assert scan(BOOT.encode() + report + AFTER.encode()) == ()
    assert [one.kind for one in scan(BOOT.encode() + read("panic"))] == ["panic"]


def test_what_user_space_wrote_to_kmsg_is_not_the_kernel_where_its_facility_is_shown() -> None:
    report = "".join(f"<12>[    9.100000] {line}\n" for line in messages("kasan"))
    assert scan(report.encode()) == ()
    assert scan(report.replace("<12>", "<4>").encode())


def test_the_log_read_back_is_nothing_new() -> None:
    for name in BARE:
        log = [line for line in messages(name) if not line.startswith("reboot: ")]
        lines = "".join(f"[    1.{n:06}] {line}\n" for n, line in enumerate(log))
        data = f"{BOOT}{lines}{AFTER}# dmesg\n{BOOT}{lines}{AFTER}".encode()
        assert told(scan(data)) == expected(name), name


def test_a_quoted_panic_does_not_become_the_real_one_later() -> None:
    quote = "[    2.000000] Kernel panic - not syncing: forged\n"
    marks = "".join(f"[    2.{n:06}] harness 0123456789abcdef: end {n}\n" for n in range(1, 4))
    (splat,) = scan((BOOT + quote + marks).encode() + read("x86-sysrq"))
    assert splat.title == "Kernel panic - not syncing: sysrq triggered crash"
    assert splat.line_from > 20 + 4


def test_a_console_whose_printk_gives_no_times_is_read_after_dmesg_showed_some() -> None:
    plain = "Linux version 6.1.0 (a@b) (gcc) #1 SMP\nCommand line: x\n"
    report = "".join(f"{line}\n" for line in messages("null-deref"))
    assert told(scan((plain + AFTER + report).encode())) == expected("null-deref")
    assert scan((BOOT + plain + AFTER + report).encode()) == ()


def boot(seconds: float) -> str:
    early = "".join(f"[    0.000000] early message {n}\n" for n in range(10))
    banner = "[    0.000000] Linux version 6.12.0 (a@b) (gcc 12) #1 SMP\n"
    later = "tsc: a clock\n[    1.000000] Run /init as init process\n"
    return f"{banner}{early}[    {seconds:.6f}] {later}"


def test_a_boot_out_of_nothing_is_a_reboot() -> None:
    first = boot(0.1) + AFTER
    (splat,) = scan((first + boot(0.2) + AFTER).encode())
    assert (splat.kind, splat.line_from) == ("reboot", first.count("\n") + 1)


@pytest.mark.parametrize(
    "between",
    [
        "[   31.000000] reboot: Restarting system\n",
        "[   31.000000] sysrq: Resetting\n",
        "[   31.000000] kexec_core: Starting new kernel\n",
    ],
)
def test_a_boot_that_was_asked_for_is_none(between: str) -> None:
    assert scan((boot(0.1) + AFTER + between + boot(0.2) + AFTER).encode()) == ()


def test_a_boot_after_a_panic_is_the_panic_s() -> None:
    data = (boot(0.1) + AFTER).encode() + read("x86-sysrq") + (boot(0.2) + AFTER).encode()
    assert [one.kind for one in scan(data)] == ["panic"]


def test_a_boot_that_is_read_back_or_quoted_is_none() -> None:
    once = boot(0.1) + AFTER
    banner = once.splitlines(keepends=True)[0]
    assert scan((once + once).encode()) == ()
    assert scan((once + banner + AFTER).encode()) == ()
    assert scan((once + "[   31.000000] 9p: Unknown mount option\n" + banner).encode()) == ()
