# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import replace
from pathlib import Path

from harness import cache
from harness.errors import ApplyError, BuildError
from harness.model import Outcome, Result, Row, Run, Splat, Verdict
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
