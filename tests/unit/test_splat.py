# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel reports about itself on its console; what only looks like it: test_splat_quotes.

Each file of tests/data/consoles says in its first line how it was made, and in lines
`# expect: KIND FUNCTION TITLE` (`-` for no function) or `# expect: nothing` what is in it.
"""

import re
from pathlib import Path

import pytest

from harness.model import Splat
from harness.splat import SplatScanner, scan

DATA = Path(__file__).parents[1] / "data" / "consoles"
FILES = sorted(path.stem for path in DATA.glob("*.txt"))
# With other prefixes these would say something else.
PREFIXED = {
    "clean",
    "fake",
    "dmesg-x",
    "user-noise-inside",
    "leak-from-user",
    "alternating-oops",
    "overlapping-warn-kasan",
}
BARE = [name for name in FILES if name not in PREFIXED]
PREFIX = re.compile(
    r"(?:kern  :\w+  : )?(?:<\d+>)?"
    r"(?:\[[^\]]*\d\.\d{6}\](?:\[ *[TC]\d+\])? |\[\w{3} \w{3} .*?\d{4}\] "
    r"|[A-Z][a-z]{2} \d\d \S+ \S+ kernel: )?"
)


def read(name: str) -> bytes:
    return (DATA / f"{name}.txt").read_bytes()


def expected(name: str) -> list[tuple[str, str, str]]:
    """Kind, function and title of every splat of the console."""
    found = []
    for line in read(name).decode().splitlines()[1:]:
        if not line.startswith("# expect: "):
            break
        if line != "# expect: nothing":
            kind, function, title = line.removeprefix("# expect: ").split(" ", 2)
            found.append((kind, function.strip("-"), title))
    return found


def messages(name: str) -> list[str]:
    """The console without printk's prefix and carriage returns."""
    lines = read(name).decode().replace("\r", "").splitlines()
    return [PREFIX.sub("", line, count=1) for line in lines]


def told(splats: tuple[Splat, ...]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.function, one.title) for one in splats]


def one(data: bytes) -> Splat:
    (splat,) = scan(data)
    return splat


def without_lines(splats: tuple[Splat, ...]) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(one.kind, one.title, one.fingerprint, one.complete) for one in splats]


@pytest.mark.parametrize("name", FILES)
def test_a_console(name: str) -> None:
    splats = scan(read(name))
    assert told(splats) == expected(name)
    for splat in splats:
        assert splat.complete
        assert splat.fingerprint[:2] == (splat.kind, splat.title)
        assert not re.search(r"(?<!exitcode=)0x|\b[0-9a-f]{16}\b", splat.title)


def test_every_console_says_how_it_was_made_and_what_is_in_it() -> None:
    for name in FILES:
        assert re.match(rb"# (made by: |written by hand after ).*\n# expect: ", read(name)), name


@pytest.mark.parametrize(("size", "name"), [(n, f) for n in (7, 64, 1024) for f in FILES[::3]])
def test_pieces_of_any_size_give_the_same(name: str, size: int) -> None:
    data = read(name)
    scanner = SplatScanner()
    found: tuple[Splat, ...] = ()
    for start in range(0, len(data), size):
        found += scanner.feed(data[start : start + size])
    assert found + scanner.finish() == scan(data)
    assert scanner.line == data.count(b"\n")


@pytest.mark.parametrize(
    "prefix",
    [
        "[ 1234.567890][   T12] ",
        "<4>[    1.234567][    C0] ",
        "<4>",
        "[  T12] ",
        "kern  :warn  : [    1.234567] ",
        "[Tue Feb  3 11:22:33 2026] ",
        "2026-02-03T11:22:33,456789+00:00 ",
        "2026-02-03T11:22:33.456Z [    1.234567] ",
        "Feb  3 11:22:33 host kernel: [    1.234567] ",
        "Feb 03 11:22:33 host kernel: ",
        "4,1021,1234567,-,caller=T12;",
    ],
)
def test_what_stands_before_a_message_changes_nothing(prefix: str) -> None:
    for name in BARE:
        dressed = "".join(f"{prefix}\x1b[1m{line}\x1b[0m\r\n" for line in messages(name))
        assert without_lines(scan(dressed.encode())) == without_lines(scan(read(name))), name


def test_another_cpu_s_lines_between_all_of_them_change_nothing() -> None:
    noise = "\n[    1.000000][    C1] e1000: eth0 NIC Link is Up 1000 Mbps\n"
    for name in BARE:
        lines = [f"[    1.000000][  T77] {line}" for line in messages(name)]
        assert told(scan((noise.join(lines) + noise).encode())) == expected(name), name


def test_user_space_between_all_of_them_changes_nothing() -> None:
    boot = "".join(f"[    0.{n:06}] booting\n" for n in range(10))
    for name in BARE:
        lines = "".join(f"[    1.000000] {line}\nBUG: ok 1 - test\n" for line in messages(name))
        assert told(scan((boot + lines).encode())) == expected(name), name


@pytest.mark.parametrize("every", [4, 7])
def test_lines_of_others_without_a_name_are_borne(every: int) -> None:
    for name in BARE:
        lines = messages(name)
        if len(lines) > 24 * every:
            continue  # others' lines that often, for a hundred lines, are no console
        for at in range(every, len(lines) * 5 // 4, every):
            lines.insert(at, "e1000: eth0 NIC Link is Up 1000 Mbps")
        text = "".join(f"[    1.000000] {line}\n" for line in lines)
        assert told(scan(text.encode()))[:1] == expected(name)[:1], name


# (A crash by sysrq was a NULL dereference once, which its RIP tells apart.)
@pytest.mark.parametrize("name", [name for name in BARE if name != "sysrq-419" and expected(name)])
def test_a_console_cut_anywhere_still_has_the_report_that_it_began(name: str) -> None:
    lines = read(name).splitlines(keepends=True)
    kind = expected(name)[0][0]
    whole = scan(read(name))[0]
    # What stands before a report's first line does not make one.
    first = whole.line_from
    known = next(n for n in range(first, first + 10) if scan(b"".join(lines[:n])))
    for end in range(known + 1, whole.line_to, 2):
        found = scan(b"".join(lines[:end]))
        assert found[0].kind == kind
        assert found[0].complete <= (found[0].line_to <= end)


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


def test_reports_of_two_tasks_that_interleave_are_told_apart() -> None:
    def lines(name: str, caller: str) -> list[str]:
        return [f"[    1.000000][{caller:>7}] {line}\n" for line in messages(name)]

    mixed: list[str] = []
    for pair in zip(lines("kasan", "T12"), lines("x86-bug-4.9", "C1"), strict=False):
        mixed += pair
    splats = scan("".join(mixed + lines("kasan", "T12")[len(mixed) // 2 :]).encode())
    assert [(one.kind, one.function) for one in splats] == [
        ("bug", "nilfs_segctor_do_construct"),
        ("kasan", "aio_poll_wake"),
    ]
    assert [one.first for one in splats] == [True, False]


def test_splats_come_in_the_order_of_their_first_lines() -> None:
    outer = [f"[    1.000000][  T12] {line}\n" for line in messages("kasan")]
    inner = [f"[    1.000000][    C1] {line}\n" for line in messages("x86-divide")]
    splats = scan("".join([*outer[:12], *inner, *outer[12:]]).encode())
    assert [one.kind for one in splats] == ["kasan", "trap"]
    assert splats[0].line_to > splats[1].line_to


def test_only_what_comes_first_after_a_boot_is_first() -> None:
    boot = b"SeaBIOS (version 1.16.3)\n[    0.000000] Linux version 6.1.0 (a@b) (gcc)\n"
    data = boot + read("kasan") + read("warning") + boot + read("null-deref")
    assert [one.first for one in scan(data)] == [True, False, False, True]


def test_a_report_behind_an_unfinished_line_of_user_space_is_found() -> None:
    data = read("panic").replace(b"[    7.019595] Kernel", b"~ # [    7.019595] Kernel")
    assert b"~ # [" in data
    assert one(data).kind == "panic"


def test_a_report_that_two_consoles_print_is_one() -> None:
    twice = b"".join(line * 2 for line in read("x86-warn-6.18").splitlines(keepends=True))
    assert told(scan(twice)) == expected("x86-warn-6.18")


def test_an_old_oops_without_the_new_prefix_is_found() -> None:
    old = "\n".join(messages("gpf")).replace("Oops: general", "general")
    assert one(old.encode()).kind == "gpf"
    trap = "\n".join(messages("invalid-opcode")).replace("Oops: invalid", "invalid")
    assert one(trap.encode()).title == "invalid opcode in mount_root"


def test_two_boots_in_one_console_have_their_own_splats() -> None:
    data = read("panic") + b"SeaBIOS (version 1.16.3)\r\n" + read("panic")
    assert [one.complete for one in scan(data)] == [True, True]


def test_what_stands_before_a_first_line_is_found_behind_any_amount_of_quiet() -> None:
    quiet = b"".join(b"[    0.%06d] all is well\n" % n for n in range(5000))
    for name in ("x86-vmbug", "x86-fortify", "x86-list-bug", "kasan", "x86-refcount-4.15"):
        alone = scan(read(name))
        assert told(scan(quiet + read(name))) == told(alone)
        assert [one.line_from - 5000 for one in scan(quiet + read(name))] == [alone[0].line_from]
        last = b"".join(read(name).splitlines(keepends=True)[: alone[0].line_from + 8]).rstrip()
        assert scan(quiet + last)[0].line_from - 5000 == alone[0].line_from


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
    head = "".join(f"{line}\n" for line in messages("kasan")[:10])
    endless = scan((head + " more\n" * 5000).encode())
    assert len(endless[0].text) == 120
