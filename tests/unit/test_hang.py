# SPDX-License-Identifier: GPL-2.0-only
"""What is told of a guest that hangs, from what SysRq, an NMI and QEMU show."""

from harness import hang

BLOCKED = """\
[   12.300001] sysrq: Show Blocked State
[   12.300111] task:mutexes         state:D stack:14480 pid:71    tgid:70 ppid:45 flags:0x4002
[   12.300211] Call Trace:
[   12.300311]  <TASK>
[   12.300312]  __schedule+0x4a7/0x5d1
[   12.300313]  schedule+0x3b/0x78
[   12.300314]  schedule_preempt_disabled+0xe/0x14
[   12.300315]  __mutex_lock.constprop.0+0x1ba/0x2e1
[   12.300316]  ? lock_timer_base+0x52/0x6a
[   12.300317]  mutex_lock+0x27/0x2c
[   12.300318]  destroy_in_order+0x4c/0x6d
[   12.300319]  __x64_sys_io_destroy+0x31/0xa9
[   12.300320]  do_syscall_64+0x9c/0xe4
[   12.300321]  </TASK>
[   12.400211] task:mutexes         state:D stack:14512 pid:72    tgid:70 ppid:45 flags:0x2
[   12.400311] Call Trace:
[   12.400314]  __schedule+0x4a7/0x5d1
[   12.400317]  mutex_lock+0x27/0x2c
[   12.400318]  destroy_in_order+0x4c/0x6d
"""
# 6.1 puts spaces behind `stack:` and `pid:`, and has no tgid.
OLDER = """\
[   12.300111] task:kworker/0:1     state:D stack:    0 pid:    9 ppid:     2 flags:0x00004000
[   12.300211] Call Trace:
[   12.300318]  flush_aio+0x4c/0x6d
[   12.400211] task:sleeper         state:S stack:    0 pid:   10 ppid:     2 flags:0x00004000
[   12.400318]  poll_idle_thing+0x4c/0x6d
"""
LOCKS = """\
[   13.000001] sysrq: Show Locks Held
[   13.000101] Showing all locks held in the system:
[   13.000201] 2 locks held by mutexes/71:
[   13.000301]  #0: ffffffff81a3c0b0 (planted_one){+.+.}-{3:3}, at: destroy_in_order+0x3b/0x6d
[   13.000401]  #1: ffffffff81a3c0e0 (planted_two){+.+.}-{3:3}, at: destroy_in_order+0x4c/0x6d
[   13.000501]
[   13.000601] 1 lock held by agent/45:
[   13.000701]  #0: ffff888003c41098 (&tty->ldisc_sem){++++}-{0:0}, at: tty_ldisc_ref_wait+0x24/0x4f
"""
MEMORY = "[   13.5] Mem-Info:\n[   13.500000]  free:122205 free_pcp:212 free_cma:0\n"
NMI = """\
[    5.123511] Uhhuh. NMI received for unknown reason 21 on CPU 0.
[    5.125618] Kernel panic - not syncing: NMI: Not continuing
[    5.126454] Call Trace:
[    5.126654]  <NMI>
[    5.127573]  panic+0xf8/0x290
[    5.127598]  default_do_nmi+0x206/0x232
[    5.127701] RIP: 0010:native_queued_spin_lock_slowpath+0x43/0x190
[    5.128428]  ? native_queued_spin_lock_slowpath+0x43/0x190
[    5.128461]  </NMI>
[    5.128470]  <TASK>
[    5.128474]  _raw_spin_lock_irq+0x29/0x2e
[    5.128493]  spin_for_ever+0x19/0x1b
[    5.128513]  __x64_sys_io_destroy+0x9a/0xe2
[    5.128609]  </TASK>
"""
REGISTERS = """\
CPU#0
RAX=0000000000000000 RBX=ffffffff81808c80 RCX=0000000000000020 RDX=0000000000000000
RSI=0000000000000087 RDI=00000000000015c4 RBP=ffffc90000013e68 RSP=ffffc90000013e60
RIP=ffffffff813651b2 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]

CPU#1
RSI=0000000000000087 RDI=00000000000015c4 RBP=00007ffc00013e68 RSP=00007ffc00013e60
RIP=0000000000401234 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=0
"""


def cpu(*stack: str, halted: bool = False, user: bool = False) -> hang.Cpu:
    return hang.Cpu(number=0, rip=0x10, rsp=0, rbp=0, user=user, halted=halted, stack=stack)


def test_blocked_tasks_have_the_functions_that_the_kernel_is_sure_of() -> None:
    first, second = hang.blocked(BLOCKED)
    assert (first.name, first.pid, first.state) == ("mutexes", 71, "D")
    assert first.stack[3:6] == ("__mutex_lock", "mutex_lock", "destroy_in_order")
    assert "lock_timer_base" not in first.stack
    assert (second.pid, second.stack[-1]) == (72, "destroy_in_order")


def test_a_task_is_told_once_however_often_it_is_shown() -> None:
    assert [one.pid for one in hang.blocked(BLOCKED + BLOCKED)] == [71, 72]


def test_older_kernels_and_only_uninterruptible_tasks() -> None:
    assert [(one.name, one.pid, one.stack) for one in hang.blocked(OLDER)] == [
        ("kworker/0:1", 9, ("flush_aio",))
    ]


def test_locks_held_by_lockdep() -> None:
    assert hang.held(LOCKS) == [
        "mutexes/71 holds planted_one (taken in destroy_in_order)"
        " planted_two (taken in destroy_in_order)",
        "agent/45 holds &tty->ldisc_sem (taken in tty_ldisc_ref_wait)",
    ]


def test_free_memory_and_none_known() -> None:
    assert hang.free_kib(MEMORY) == 122205 * 4
    assert hang.free_kib(BLOCKED) is None


def test_registers_of_each_processor() -> None:
    first, second = hang.cpus(REGISTERS)
    assert (first.number, first.rip, first.rsp) == (0, 0xFFFFFFFF813651B2, 0xFFFFC90000013E60)
    assert (first.user, first.halted, second.user) == (False, False, True)


def test_where_an_nmi_found_a_processor() -> None:
    assert hang.interrupted(NMI) == (
        "native_queued_spin_lock_slowpath",
        "_raw_spin_lock_irq",
        "spin_for_ever",
        "__x64_sys_io_destroy",
    )
    assert hang.interrupted(BLOCKED) == ()


def test_the_first_line_says_what_is_blocked_and_where() -> None:
    told = hang.summary(
        console=BLOCKED + LOCKS + MEMORY, processors=[cpu("default_idle", halted=True)], alive=True
    )
    assert told[0] == "mutexes/71 is blocked in destroy_in_order and 1 more"
    assert told[1].startswith("mutexes/71 is blocked: mutex_lock < destroy_in_order < ")
    assert "mutexes/71 holds planted_one" in "\n".join(told)
    assert told[-2:] == ("CPU 0 is idle", "477 MiB of memory are free")


def test_a_spinning_processor_is_the_headline_where_nothing_is_blocked() -> None:
    told = hang.summary(console=NMI, processors=[], alive=False)
    assert told[0] == "a processor does not leave spin_for_ever"
    told = hang.summary(
        console="", processors=[cpu("_raw_spin_lock", "spin_for_ever")], alive=False
    )
    assert told[0] == "CPU 0 does not leave spin_for_ever"
    assert told[1] == "CPU 0 runs _raw_spin_lock < spin_for_ever"


def test_a_guest_that_shows_nothing_is_not_said_to_show_something() -> None:
    assert hang.summary(console="", processors=[], alive=False) == ("nothing shows why",)
    assert hang.summary(console="", processors=[cpu(user=True)], alive=True) == (
        "nothing is blocked",
        "CPU 0 runs a program",
    )


def test_a_summary_has_thirty_lines_at_most() -> None:
    many = "".join(
        f"[ 1.000000] task:t{n} state:D stack:0 pid:{n} tgid:1\n[ 1.000000]  f{n}+0x1/0x2\n"
        for n in range(1, 60)
    )
    told = hang.summary(
        console=many + LOCKS * 9,
        processors=[cpu("a")] * 20,
        alive=True,
        memory=[f"lock {n}" for n in range(15)],
    )
    assert len(told) == 30
    assert "51 more tasks are blocked" in told
    assert "lock 14" in told
