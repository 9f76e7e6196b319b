# SPDX-License-Identifier: GPL-2.0-only
"""Edits of the kernel by hand, with innocent subjects: what a bisection is to find, what stands in
its way, and what does not build."""

from dataclasses import dataclass

from bench.kernel_edits import Edit

AIO = "fs/aio.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """An edit by hand: in a file, these lines by those."""

    path: str
    swaps: tuple[tuple[str, str], ...]
    subject: str
    body: str

    def edit(self, text: str) -> Edit:
        """That edit; ValueError where the file is not as it was thought to be."""
        for old, new in self.swaps:
            if text.count(old) != 1:
                raise ValueError(f"{self.path} has {text.count(old)} times {old!r}")
            text = text.replace(old, new)
        return Edit(text=text, subject=self.subject, body=self.body)


_CALLS = "if (likely(min_nr <= nr && min_nr >= 0))"
_CALLED = "if (likely(aio_nr_valid(min_nr, nr)))"
_ABOVE = "static long do_io_getevents(aio_context_t ctx_id,\n"
_ONE_PLACE = (
    "io_getevents() and io_pgetevents() take the same numbers. Look at them in a function\n"
    "of its own, which says what it is about."
)


def _valid(lines: str) -> str:
    return f"static bool aio_nr_valid(long min_nr, long nr)\n{{\n{lines}}}\n\n{_ABOVE}"


ALWAYS = Swap(
    path=AIO,
    swaps=((_CALLS, _CALLED), (_ABOVE, _valid("\treturn min_nr >= 0 && nr >= max(min_nr, 1L);\n"))),
    subject="check the numbers of io_getevents() in one place",
    body=_ONE_PLACE,
)
SOMETIMES = Swap(
    path=AIO,
    swaps=(
        (_CALLS, _CALLED),
        ("#include <linux/percpu.h>\n", "#include <linux/percpu.h>\n#include <linux/random.h>\n"),
        (
            _ABOVE,
            _valid(
                "\tif (min_nr < 0 || min_nr > nr)\n\t\treturn false;\n"
                "\treturn nr || get_random_u32_below(5);\n"
            ),
        ),
    ),
    subject=ALWAYS.subject,
    body=_ONE_PLACE,
)

_ID = "\tctx->id = ida_alloc(&eventfd_ida, GFP_KERNEL);\n"
_FIRST = "static int do_eventfd(unsigned int count, int flags)\n{\n"
_NEWEST = "static struct eventfd_ctx *eventfd_newest;\n\n"
_NEXT = f"{_ID}\teventfd_newest->id = max(eventfd_newest->id, ctx->id);\n"
_SHOWN = (
    "static int __init eventfd_show_newest(void)\n{\n"
    '\tpr_info("eventfd: newest is %d\\n", READ_ONCE(eventfd_newest->id));\n'
    "\treturn 0;\n}\nlate_initcall(eventfd_show_newest);\n\n"
)
_MAKER = "SYSCALL_DEFINE2(eventfd2, unsigned int, count, int, flags)\n"
CRASHES = Swap(
    path="fs/eventfd.c",
    swaps=((_FIRST, _NEWEST + _FIRST), (_ID, _NEXT)),
    subject="remember the newest id",
    body="For /proc/PID/fdinfo, where a reader wants to know whether there were more since.",
)
PANICS = Swap(
    path="fs/eventfd.c",
    swaps=((_MAKER, _SHOWN + _MAKER),),
    subject="show the newest id at boot",
    body="Whoever looks for what opens eventfds before init sees it there.",
)
CURES = Swap(
    path="fs/eventfd.c",
    swaps=((_NEWEST, ""), (_NEXT, _ID), (_SHOWN, "")),
    subject="do not remember the newest id",
    body="Nothing ever set eventfd_newest. Nobody reads the id either: drop it.",
)

# Each breaks the build in a way of its own: a function that is not there, a semicolon, a symbol
# that only the linker misses.
BREAKS = (
    (
        Swap(
            path="lib/kobject.c",
            swaps=(
                (
                    "\tkobj->name = s;\n\n\treturn 0;\n",
                    "\tkobj->name = s;\n\tkobj->state_in_sysfs &= 1\n\n\treturn 0;\n",
                ),
            ),
            subject="keep the state as it is when the name changes",
            body="One bit is all there is to it.",
        ),
        Swap(
            path="lib/kobject.c",
            swaps=(("\tkobj->state_in_sysfs &= 1\n", "\tkobj->state_in_sysfs &= 1;\n"),),
            subject="fix the build",
            body="A semicolon got lost when the patch was rebased.",
        ),
    ),
    (
        Swap(
            path="fs/timerfd.c",
            swaps=(
                (
                    "\t\tevents |= EPOLLIN;\n\tspin_unlock_irq",
                    "\t\tevents |= timerfd_events(ctx);\n\tspin_unlock_irq",
                ),
            ),
            subject="put the events of a poll into a function",
            body="The next patch adds one. No functional change.",
        ),
        Swap(
            path="fs/timerfd.c",
            swaps=(
                (
                    "static __poll_t timerfd_poll(",
                    "static __poll_t timerfd_events(struct timerfd_ctx *ctx)\n"
                    "{\n\treturn EPOLLIN;\n}\n\nstatic __poll_t timerfd_poll(",
                ),
            ),
            subject="add timerfd_events()",
            body="It was left out of the last patch.",
        ),
    ),
    (
        Swap(
            path="ipc/util.c",
            swaps=(
                (
                    "\terr = ops->getnew(ns, params);\n\tup_write(&ids->rwsem);\n\treturn err;\n",
                    "\terr = ops->getnew(ns, params);\n\tipc_account_new(ids);\n"
                    "\tup_write(&ids->rwsem);\n\treturn err;\n",
                ),
                (
                    "static int ipcget_new(",
                    "void ipc_account_new(struct ipc_ids *ids);\n\nstatic int ipcget_new(",
                ),
            ),
            subject="account new objects",
            body="In the place where all kinds of them are made.",
        ),
        Swap(
            path="ipc/util.c",
            swaps=(
                (
                    "void ipc_account_new(struct ipc_ids *ids);\n",
                    "static void ipc_account_new(struct ipc_ids *ids)\n"
                    "{\n\tlockdep_assert_held_write(&ids->rwsem);\n}\n",
                ),
            ),
            subject="define ipc_account_new()",
            body="vmlinux did not link without the patches that come later.",
        ),
    ),
)
