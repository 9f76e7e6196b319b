# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import splat, trace

CONSOLES = Path(__file__).parents[1] / "data/consoles"


def names(text: str) -> list[str]:
    return [frame.function for frame in trace.frames(text.splitlines())]


def test_the_registers_come_first_and_once() -> None:
    (found,) = splat.scan((CONSOLES / "null-deref.txt").read_bytes())
    frames = trace.frames(found.text)
    assert [frame.function for frame in frames] == [
        "mount_root",
        "kernel_init_freeable",
        "kernel_init",
        "ret_from_fork",
        "ret_from_fork_asm",
    ]
    assert [frame.exact for frame in frames] == [True, False, False, False, False]
    assert (frames[0].offset, frames[0].size) == (0x2, 0x17B)


@pytest.mark.parametrize(
    ("console", "first", "last"),
    [
        ("kasan", "dump_stack_lvl", "entry_SYSCALL_64_after_hwframe"),
        ("soft-lockup", "aio_poll_complete_work", "ret_from_fork"),
        ("lockdep", "dump_stack_lvl", "entry_SYSCALL_64_after_hwframe"),
    ],
)
def test_other_stacks_of_a_report_are_apart(console: str, first: str, last: str) -> None:
    (found,) = splat.scan((CONSOLES / f"{console}.txt").read_bytes())
    frames = [frame for frame in trace.frames(found.text) if not frame.stack]
    assert (frames[0].function, frames[-1].function) == (first, last)
    assert "kasan_save_stack" not in [frame.function for frame in frames]


def test_whose_memory_it_was() -> None:
    (found,) = splat.scan((CONSOLES / "kasan.txt").read_bytes())
    others = [(f.stack, f.function) for f in trace.frames(found.text) if f.stack]
    assert others[0] == ("allocated", "kasan_save_stack")
    assert others[3:] == [
        ("allocated", "io_submit_one"),
        ("freed", "kasan_save_stack"),
        ("freed", "kfree"),
    ]


def test_an_interrupted_function_is_exact() -> None:
    text = (
        "Call Trace:\n <IRQ>\n dump+0x1/0x2\n </IRQ>\n <TASK>\n asm_exc_x+0x26/0x30\n"
        "RIP: 0010:victim+0x12/0x40\nCode: 90\n caller+0x5/0x10 [mod]\nRIP: 0033:0x7f1\n"
        " </TASK>\nRIP: 0010:again+0x1/0x2\n"
    )
    frames = trace.frames(text.splitlines())
    assert [(f.function, f.exact) for f in frames] == [
        ("dump", False),
        ("asm_exc_x", False),
        ("victim", True),
        ("caller", False),
    ]
    assert frames[-1].module == "mod"


def test_arm64_and_a_report_without_the_words() -> None:
    assert names("pc : fault+0x4/0x8\nlr : x+0x1/0x2\nCall trace:\n fault+0x4/0x8 (P)\n up+0x4/0x8")
    assert names("read to 0x1 of 4 bytes by task 3:\n reader+0x1/0x9\n caller+0x2/0x9") == [
        "reader",
        "caller",
    ]
    assert names("no stack at all") == []
