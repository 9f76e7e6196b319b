# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import cache
from harness.errors import ApplyError, BuildError
from harness.model import Frame, Outcome, Position, Result, Row, Run, Splat, Verdict
from harness.report.text import render, render_error, rerun_command, without_options

OLD = Result(test="aio/pty", outcome=Outcome.XFAIL, detail="io_submit: EINVAL", kernel="base")
NEW = Result(test="aio/pty", outcome=Outcome.PASS, duration_s=0.25)
SPLAT = Splat(kind="warning", title="WARNING in f", text=tuple(f"line {n}" for n in range(40)))
BAD = Result(
    test="aio/longer-name",
    outcome=Outcome.FAIL,
    duration_s=12.5,
    detail="x" * 300,
    splats=(SPLAT,),
)
RUN = Run(
    directory=Path("/runs/one"),
    series="aio-poll",
    base="6.12",
    kernel_release="6.12.7",
    guest="vng",
    accel="tcg",
    rows=(Row(result=NEW, base=OLD, verdict=Verdict.FIXED), Row(result=BAD)),
    unfinished=("aio/later",),
)


def test_the_table_is_aligned_and_says_why() -> None:
    lines = render(RUN).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("test "))
    assert lines[head].split() == ["test", "base", "aio-poll", "time", "verdict"]
    assert lines[head + 1].split() == ["aio/pty", "xfail", "pass", "0.25", "s", "fixed"]
    assert lines[head + 2] == "    base: io_submit: EINVAL"
    assert lines[head + 1].index("pass") == lines[head + 3].index("fail")
    assert max(len(line) for line in lines) <= 100


def test_a_splat_is_shown_with_its_test() -> None:
    text = render(RUN)
    assert "warning: WARNING in f\n  during aio/longer-name\n" in text
    assert "[15 more lines in the console log]" in text


def test_colours_only_where_wanted() -> None:
    assert "\x1b" not in render(RUN)
    assert "\x1b[31m" in render(RUN, colour=True)


def test_the_end_says_what_did_not_run_and_where_all_is() -> None:
    lines = render(RUN).splitlines()
    assert "not run: 1 test (aio/later)" in lines
    assert lines[-2] == "aio-poll on 6.12: 1 pass, 1 fail (1 fixed)"
    assert lines[-1] == "record: /runs/one"


def test_the_rerun_command_replaces_the_tests() -> None:
    argv = ["run", "--series", "aio-poll", "--test", "aio*", "--test=x", "--base"]
    assert rerun_command(RUN, argv) == (
        "harness run --series aio-poll --base --test aio/longer-name --test aio/later"
    )


def test_an_error_for_a_person() -> None:
    error = ApplyError("it broke", hint="mend it", log=Path("/log"), lines=("one", "two"))
    assert render_error(error) == "harness: it broke\n  one\n  two\nhint: mend it\nlog: /log\n"


def test_nothing_is_wider_than_the_terminal() -> None:
    wide = replace(RUN, warnings=("fs/aio.c:1:1: warning: " + "x" * 200,))
    assert max(len(line) for line in render(wide, width=80).splitlines()) <= 80
    error = BuildError("a " * 90, hint="b " * 90, lines=("c" * 200,))
    assert max(len(line) for line in render_error(error, width=80).splitlines()) <= 80


def test_a_long_rerun_command_is_left_to_the_record() -> None:
    argv = ["run", "--kconfig", "k" * 80]
    at = cache.runs() / "20261121T100000Z-s-6.12-base-ab12"
    known = replace(RUN, directory=at)
    assert rerun_command(known, argv, width=80) == "harness run --rerun-failed ab12"
    # `harness run --output` put it elsewhere, where no name is looked for.
    assert rerun_command(RUN, argv, width=80) == f"harness run --rerun-failed {RUN.directory}"


def test_options_are_taken_out_with_their_words() -> None:
    argv = ["run", "--test", "a", "--json", "--test=b", "--rerun-failed", "--base"]
    kept = without_options(argv, {"--test": 1, "--json": 0, "--rerun-failed": -1})
    assert kept == ["run", "--base"]
    assert without_options(["--rerun-failed", "last", "x"], {"--rerun-failed": -1}) == ["x"]


def test_a_long_name_keeps_both_ends() -> None:
    row = Row(result=replace(NEW, test="area/" + "x" * 90 + "[end]"), base=OLD, verdict=Verdict.NEW)
    shown = render(replace(RUN, rows=(row,)), width=80).splitlines()
    line = next(one for one in shown if one.startswith("area/x"))
    assert len(line) <= 80 and "x[end]  xfail" in line


FRAMES = (
    Frame(function="refcount_warn", offset=1, size=2, file="lib/refcount.c", line=28),
    Frame(
        function="aio_poll_wake.isra.0",
        offset=0x45,
        size=0x100,
        file="fs/aio.c",
        line=1702,
        patch="0002-x.patch",
        inlines=(Position(function="list_del", file="include/linux/list.h", line=88),),
    ),
    Frame(function="pipe_write", offset=2, size=9, file="fs/pipe.c", line=7, near="0001-y.patch"),
    Frame(function="chardev_write", offset=3, size=9, module="chardev"),
)


def with_frames(*frames: Frame, **more: Any) -> Run:
    splat = replace(SPLAT, function="aio_poll_wake", frames=frames, **more)
    return replace(RUN, rows=(Row(result=replace(BAD, splats=(splat,))),))


def test_a_trace_begins_with_the_guilty_function_and_names_patches() -> None:
    text = render(with_frames(*FRAMES, undecoded="1 of 4 frames: chardev is not of this run"))
    assert (
        "  aio_poll_wake.isra.0+0x45  fs/aio.c:1702  <- 0002-x.patch\n"
        "      list_del  include/linux/list.h:88\n"
        "  pipe_write+0x2             fs/pipe.c:7  (0001-y.patch changes this function)\n"
        "  chardev_write+0x3\n"
        "  without a place in the sources: 1 of 4 frames: chardev is not of this run\n"
        "  line 0\n"
    ) in text
    assert "refcount_warn" not in text


def test_who_freed_the_memory_is_shown_without_the_allocator() -> None:
    freed = [
        replace(FRAMES[0], function="kasan_save_stack", stack="freed"),
        replace(FRAMES[2], stack="freed"),
    ]
    text = render(with_frames(*FRAMES, *freed))
    assert "  freed:\n  pipe_write+0x2  fs/pipe.c:7  (0001-y.patch changes this function)\n" in text
    assert "kasan_save_stack" not in text


def test_a_trace_is_cut_to_what_matters_and_left_out_where_nothing_is_known() -> None:
    many = (FRAMES[1], *[replace(FRAMES[2], offset=n) for n in range(20)])
    assert render(with_frames(*many)).count("pipe_write+") == 7
    bare = tuple(replace(one, file="", inlines=()) for one in FRAMES)
    assert "aio_poll_wake" not in render(with_frames(*bare))


def test_a_splat_of_the_base_says_so() -> None:
    assert "during aio/longer-name (on the base too)\n" in render(with_frames(on_base=True))
