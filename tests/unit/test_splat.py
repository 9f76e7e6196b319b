# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel reports about itself on its console, and what only looks like it."""

import re
from pathlib import Path

import pytest

from harness.model import Splat
from harness.splat import SplatScanner, scan

DATA = Path(__file__).parents[1] / "data" / "consoles"
FILES = sorted(path.stem for path in DATA.glob("*.txt"))

# kind, title, function of every splat of the console
EXPECTED = {
    "atomic-sleep": [
        (
            "atomic-sleep",
            "sleeping function called from invalid context in aio_complete",
            "aio_complete",
        )
    ],
    "bad-page": [("bad-page", "Bad page state in free_unref_page", "free_unref_page")],
    "bug": [("bug", "kernel BUG in do_exit", "do_exit")],
    "clean": [],
    "divide-error": [("trap", "divide error in mount_root", "mount_root")],
    "fake": [("panic", "Kernel panic - not syncing: fake", "")],
    "gpf": [("gpf", "general protection fault in mount_root", "mount_root")],
    "hung-task": [("hung-task", "task hung in exit_aio", "exit_aio")],
    "invalid-opcode": [("trap", "invalid opcode in mount_root", "mount_root")],
    "kasan": [
        ("kasan", "KASAN: slab-use-after-free Write in aio_poll_wake", "aio_poll_wake"),
    ],
    "kcsan": [("kcsan", "KCSAN: data-race in aio_complete / io_submit_one", "aio_complete")],
    "kfence": [("kfence", "KFENCE: use-after-free read in aio_poll_cancel", "aio_poll_cancel")],
    "kmemleak": [("kmemleak", "memory leak", "")],
    "list-corruption": [
        ("list-corruption", "list_del corruption in aio_remove_iocb", "aio_remove_iocb"),
    ],
    "lock-held": [
        (
            "lockdep",
            "lock held when returning to user space in aio_read_events",
            "aio_read_events",
        )
    ],
    "lockdep": [("lockdep", "possible circular locking in aio_poll_wake", "aio_poll_wake")],
    "no-init": [("no-init", "VFS: Unable to mount root fs on unknown-block(N,N)", "")],
    "null-deref": [("null-deref", "kernel NULL pointer dereference in mount_root", "mount_root")],
    "oom": [("oom", "out of memory", "")],
    "oops-panic": [("null-deref", "kernel NULL pointer dereference in mount_root", "mount_root")],
    "page-fault": [("page-fault", "unable to handle page fault in mount_root", "mount_root")],
    "panic": [
        (
            "panic",
            "Kernel panic - not syncing: sysrq triggered crash",
            "write_sysrq_trigger",
        )
    ],
    "panic-on-warn": [
        ("refcount", "refcount_t: underflow; use-after-free in mount_root", "mount_root"),
    ],
    "rcu-stall": [
        ("rcu-stall", "RCU stall in aio_poll_complete_work", "aio_poll_complete_work"),
    ],
    "rcu-usage": [("rcu-usage", "suspicious RCU usage in lookup_ioctx", "lookup_ioctx")],
    "refcount": [
        ("refcount", "refcount_t: underflow; use-after-free in mount_root", "mount_root"),
        (
            "page-fault",
            "unable to handle page fault in kernel_init_freeable",
            "kernel_init_freeable",
        ),
    ],
    "soft-lockup": [
        ("soft-lockup", "soft lockup in aio_poll_complete_work", "aio_poll_complete_work"),
    ],
    "spinlock": [("spinlock", "spinlock bad magic in aio_poll_wake", "aio_poll_wake")],
    "ubsan": [
        (
            "ubsan",
            "UBSAN: array-index-out-of-bounds in aio_read_events_ring",
            "aio_read_events_ring",
        )
    ],
    "warning": [
        ("warning", "WARNING in inc_nlink", "inc_nlink"),
        ("null-deref", "kernel NULL pointer dereference in inc_nlink", "inc_nlink"),
    ],
    "workqueue-lockup": [("workqueue-lockup", "workqueue lockup", "")],
}


def read(name: str) -> bytes:
    return (DATA / f"{name}.txt").read_bytes()


def messages(name: str) -> list[str]:
    """The console without printk's prefix and carriage returns."""
    lines = read(name).decode().replace("\r", "").splitlines()
    return [re.sub(r"^\[ *\d+\.\d+\](\[ *T\d+\])? ", "", line) for line in lines]


def one(data: bytes) -> Splat:
    (splat,) = scan(data)
    return splat


def without_lines(splats: tuple[Splat, ...]) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(one.kind, one.title, one.fingerprint, one.complete) for one in splats]


@pytest.mark.parametrize("name", FILES)
def test_a_console(name: str) -> None:
    splats = scan(read(name))
    assert [(one.kind, one.title, one.function) for one in splats] == EXPECTED[name]
    for splat in splats:
        assert splat.complete is (name != "fake")
        assert splat.fingerprint[:2] == (splat.kind, splat.title)
        assert not re.search(r"0x|\b[0-9a-f]{16}\b|\d{3}", splat.title)


@pytest.mark.parametrize("name", FILES)
def test_every_console_says_how_it_was_made(name: str) -> None:
    assert re.match(rb"# (made by: |written by hand after )", read(name))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 64, 1024])
@pytest.mark.parametrize("name", FILES)
def test_pieces_of_any_size_give_the_same(name: str, size: int) -> None:
    data = read(name)
    scanner = SplatScanner()
    found: tuple[Splat, ...] = ()
    for start in range(0, len(data), size):
        found += scanner.feed(data[start : start + size])
    assert found + scanner.finish() == scan(data)
    assert scanner.line == data.count(b"\n")


@pytest.mark.parametrize("name", [name for name in FILES if name != "fake"])
@pytest.mark.parametrize(
    "prefix",
    ["", "[    1.234567] ", "[ 1234.567890][   T12] ", "<4>[    1.234567][    C0] ", "<4>"],
)
def test_printk_prefixes_change_nothing(name: str, prefix: str) -> None:
    plain = "".join(f"{line}\n" for line in messages(name)).encode()
    dressed = "".join(f"{prefix}\x1b[1m{line}\x1b[0m\r\n" for line in messages(name)).encode()
    assert scan(dressed) == scan(plain)
    assert without_lines(scan(plain)) == without_lines(scan(read(name)))


@pytest.mark.parametrize("name", ["null-deref", "kasan", "warning", "lockdep", "hung-task"])
def test_another_run_has_the_same_fingerprint(name: str) -> None:
    text = "\n".join(messages(name))
    other = re.sub(r"ffff8880\w+", "ffff888012345678", text).replace("173", "4711")
    other = re.sub(r"CPU: \d+", "CPU: 7", other).replace("Comm: aio_poll", "Comm: other")
    other = re.sub(r"\+0x\w+/0x\w+", "+0x11/0x22", other).replace("122 seconds", "245 seconds")
    other = re.sub(r"\b([a-z]\w+)\+0x", r"\1.isra.0+0x", other)
    assert without_lines(scan(other.encode())) == without_lines(scan(text.encode()))


def test_lines_and_text_are_those_of_the_report() -> None:
    splat = scan(read("warning"))[0]
    lines = messages("warning")
    assert splat.text[0] == "------------[ cut here ]------------"
    assert splat.text[-1] == "---[ end trace 0000000000000000 ]---"
    assert lines[splat.line_from - 1 : splat.line_to] == list(splat.text)


def test_an_oops_and_the_panic_that_follows_are_one() -> None:
    splat = one(read("oops-panic"))
    assert splat.kind == "null-deref"
    assert splat.fatal
    assert "Kernel panic - not syncing: Fatal exception" in splat.text


def test_a_panic_that_was_asked_for_by_a_warning_is_one_with_it() -> None:
    splat = one(read("panic-on-warn"))
    assert "Kernel panic - not syncing: kernel: panic_on_warn set ..." in splat.text


@pytest.mark.parametrize("name", ["null-deref", "kasan", "lockdep", "bug", "ubsan", "oom"])
def test_a_console_that_ends_inside_of_a_report(name: str) -> None:
    lines = read(name).splitlines(keepends=True)
    whole = scan(read(name))[0]
    splat = one(b"".join(lines[: whole.line_from + 7]))
    assert not splat.complete
    assert splat.kind == whole.kind


def test_a_panic_whose_end_is_not_printed_is_complete() -> None:
    assert one(read("panic")).complete
    assert not one(b"Kernel panic - not syncing: sysrq triggered crash\n").complete


def test_a_report_is_known_before_it_is_over() -> None:
    data = read("oops-panic")
    scanner = SplatScanner()
    assert scanner.pending is None
    assert scanner.feed(data[: data.index(b"Kernel panic")]) == ()
    assert scanner.pending is not None
    assert scanner.pending.kind == "null-deref"


@pytest.mark.parametrize(
    "line",
    [
        "test: saw 'Kernel panic - not syncing: x' in the log",
        "# BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "aio_poll[173]: segfault at 8 ip 000055 sp 00007ffc error 4 in aio_poll[1000+1000]",
        "traps: aio_poll[173] general protection fault ip:401136 sp:7ffd error:0 in aio_poll",
        "systemd[1]: Warning: WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2",
        "WARNING: the file is empty",
        "INFO: lockdep is turned off.",
        "rcu: INFO: something else",
        "grep: console.log: [    1.234567] Kernel panic - not syncing: x",
        "reboot: Restarting system",
    ],
)
def test_a_line_that_only_quotes_a_report_is_none(line: str) -> None:
    after = "".join(f"[   20.{n:06}] all is well\n" for n in range(40))
    assert scan(f"[    1.000000] {line}\n{after}".encode()) == ()
    assert scan(f"{line}\n{after}".encode()) == ()


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 0 PID: 1 at fs/aio.c:12 aio_poll+0x1/0x2",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "kernel BUG at fs/aio.c:12!",
        "BUG: KASAN: slab-use-after-free in aio_poll+0x1/0x2",
        "WARNING: possible circular locking dependency detected",
    ],
)
def test_a_first_line_alone_is_not_believed(line: str) -> None:
    after = "".join(f"[   20.{n:06}] all is well\n" for n in range(60))
    assert scan(f"[    1.000000] {line}\n{after}".encode()) == ()


def test_user_space_on_a_stamped_console_is_not_the_kernel() -> None:
    stamped = "".join(f"[    0.{n:06}] booting\n" for n in range(20)).encode()
    assert scan(stamped + b"Kernel panic - not syncing: fake\n") == ()
    assert [one.kind for one in scan(stamped + read("panic"))] == ["panic"]


def test_a_report_behind_an_unfinished_line_of_user_space_is_found() -> None:
    data = read("panic").replace(b"[    7.019595] Kernel", b"~ # [    7.019595] Kernel")
    assert b"~ # [" in data
    assert one(data).kind == "panic"


def test_an_old_oops_without_the_new_prefix_is_found() -> None:
    old = "\n".join(messages("gpf")).replace("Oops: general", "general")
    assert one(old.encode()).kind == "gpf"
    trap = "\n".join(messages("invalid-opcode")).replace("Oops: invalid", "invalid")
    assert one(trap.encode()).title == "invalid opcode in mount_root"


def test_two_boots_in_one_console_have_their_own_splats() -> None:
    data = read("panic") + b"SeaBIOS (version 1.16.3)\r\n" + read("panic")
    assert [one.complete for one in scan(data)] == [True, True]


def test_memory_is_bounded() -> None:
    scanner = SplatScanner()
    scanner.feed(b"x" * 10_000_000)
    scanner.feed(b"\n")
    (splat,) = (
        *scanner.feed(read("kasan")),
        *scanner.feed(b"[   12.5] noise\n" * 10_000),
        *scanner.finish(),
    )
    assert splat.kind == "kasan"
    endless = scan(b"".join(read("kasan").splitlines(keepends=True)[:8]) + b" more\n" * 5000)
    assert len(endless[0].text) == 120
