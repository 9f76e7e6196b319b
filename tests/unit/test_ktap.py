# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's test output says, whatever prints it and however it is cut into pieces."""

from pathlib import Path

import pytest

from harness.ktap import Ktap, KtapParser, parse
from harness.model import Outcome, Subtest

DATA = Path(__file__).parents[1] / "data" / "ktap"
FILES = sorted(path.name for path in DATA.glob("*.txt"))


def read(name: str) -> str:
    return (DATA / name).read_text()


def leafs(ktap: Ktap) -> list[tuple[str, str, str]]:
    return [(one.name, one.outcome.value, one.detail) for one in ktap.results]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        # passed, failed, skipped, crashed, errors of tools/testing/kunit/kunit_parser.py of 6.12
        ("kunit-all_passed_nested.txt", (7, 0, 0, 0, 0)),
        ("kunit-failure.txt", (9, 1, 0, 0, 0)),
        ("kunit-kernel_panic_interrupt.txt", (8, 0, 0, 2, 3)),
        ("kunit-kselftest.txt", (2, 0, 0, 0, 0)),
        ("kunit-multiple_prefixes.txt", (10, 0, 0, 0, 0)),
        ("kunit-no_tests_no_plan.txt", (1, 0, 0, 0, 1)),
        ("kunit-skip_tests.txt", (4, 0, 1, 0, 0)),
    ],
)
def test_leafs_are_counted_as_kunit_py_counts_them(name: str, counts: tuple[int, ...]) -> None:
    found = parse(read(name), runner=False).counts
    assert found == dict(zip(("pass", "fail", "skip", "crash", "error"), counts, strict=True))


def test_output_of_the_kselftest_runner_is_read_into_the_programs() -> None:
    ktap = parse(read("kselftest-runner.txt"))
    program = "selftests: demo: harness_demo"
    assert leafs(ktap) == [
        (f"{program}.global.passes", "pass", ""),
        (
            f"{program}.global.fails",
            "fail",
            "demo/harness_demo.c:3:fails:Expected n (3) < 2 (2)",
        ),
        (f"{program}.global.skipped", "skip", "no such syscall"),
        ("selftests: demo: plain_demo.first", "pass", ""),
        ("selftests: demo: plain_demo.second", "skip", "second"),
        ("selftests: demo: plain_demo.third", "xfail", "third"),
        ("selftests: demo: plain_demo.fourth", "fail", "ERROR: fourth"),
        ("selftests: demo: skips.sh", "skip", ""),
    ]
    assert ktap.problems == ("selftests: demo: plain_demo: planned 5, saw 4",)
    assert ktap.outcome is Outcome.FAIL
    assert ktap.detail.startswith(f"{program}.global.fails: demo/harness_demo.c:3:fails:Exp")


def in_pieces(text: str, size: int, *, runner: bool = True) -> tuple[list[Subtest], Ktap]:
    parser = KtapParser(runner=runner)
    fed: list[Subtest] = []
    for start in range(0, len(text), size):
        fed += parser.feed(text[start : start + size])
    return fed, parser.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("name", FILES)
def test_pieces_of_any_size_give_the_same(name: str, size: int) -> None:
    text = read(name)
    fed, ktap = in_pieces(text, size)
    assert ktap == parse(text)
    assert tuple(fed) == ktap.results[: len(fed)]


@pytest.mark.parametrize("name", FILES)
def test_crlf_colours_and_printk_prefixes_change_nothing(name: str) -> None:
    lines = [line for line in read(name).splitlines() if not line.startswith("[")]
    dressed = "".join(f"<6>[    1.234567][  T12] {line}\x1b[0m\r\n" for line in lines)
    assert parse(dressed) == parse("\n".join(lines))


def test_a_leaf_is_told_as_soon_as_its_full_name_is_known() -> None:
    parser = KtapParser()
    assert parser.feed("KTAP version 1\n1..2\n  KTAP version 1\n  1..1\n  ok 1 in\n") == ()
    assert [one.name for one in parser.feed("ok 1 out\n")] == ["out.in"]
    assert parser.feed("  KTAP version 1\n  # Subtest: named\n  1..1\n") == ()
    assert [one.name for one in parser.feed("  ok 1 in\n")] == ["named.in"]
    assert parser.feed("ok 2 named\n") == ()
    assert parser.finish().outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ok 1 name", ("name", "pass", "")),
        ("ok 1 - name", ("name", "pass", "")),
        ("ok - name", ("name", "pass", "")),
        ("not ok name", ("name", "fail", "")),
        ("ok 1", ("1", "pass", "")),
        ("ok", ("1", "pass", "")),
        ("ok 1 return code # rcode=0", ("return code", "pass", "rcode=0")),
        ("ok 1 name # SKIP no root", ("name", "skip", "no root")),
        ("ok 1 name # skipped: no root", ("name", "skip", "no root")),
        ("not ok 1 name # SKIP no root", ("name", "skip", "no root")),
        ("ok 1 # SKIP name", ("name", "skip", "name")),
        ("not ok 1 name # TODO later", ("name", "xfail", "later")),
        ("ok 1 name # TODO later", ("name", "pass", "later")),
        ("not ok 1 name # XFAIL known", ("name", "xfail", "known")),
        ("ok 1 name # XFAIL known", ("name", "xfail", "known")),
        ("ok 1 name # XPASS fixed?", ("name", "xpass", "XPASS: fixed?")),
        ("not ok 1 name # TIMEOUT 45 seconds", ("name", "timeout", "TIMEOUT: 45 seconds")),
        ("not ok 1 name # ERROR mmap", ("name", "fail", "ERROR: mmap")),
        ("not ok 1 a: b: c # exit=1", ("a: b: c", "fail", "exit=1")),
        ("ok 1 issue #12 in C#", ("issue #12 in C#", "pass", "")),
        ("ok 1 a # UNKNOWN word", ("a", "pass", "UNKNOWN word")),
    ],
)
def test_a_result_line(line: str, expected: tuple[str, str, str]) -> None:
    assert leafs(parse(f"TAP version 13\n1..1\n{line}\n")) == [expected]


def test_the_diagnostic_with_the_place_is_the_detail() -> None:
    text = """\
TAP version 13
1..2
# poll.c:12: left over from a test that passed
ok 1 first
# poll.c:40: events: expected 1, saw 0
# timeout was 3 s
not ok 2 second # exit=1
# poll.c:99: said too late
"""
    ktap = parse(text)
    assert ktap.results[1].detail == "poll.c:40: events: expected 1, saw 0 (exit=1)"
    assert ktap.detail == f"second: {ktap.results[1].detail}"
    assert parse("1..1\n# no place\nnot ok 1 a\n").results[0].detail == "no place"


def test_the_detail_is_one_short_line() -> None:
    detail = parse(f"1..1\n# x.c:1: {'y' * 5000}\nnot ok 1 a\n").results[0].detail
    assert len(detail) == 200
    assert detail.startswith("x.c:1: yyy")


def test_equal_names_are_told_apart() -> None:
    ktap = parse("1..4\nok 1 a\nok 2 a\nok 3 b\nok 4 a\n")
    assert [one.name for one in ktap.results] == ["a", "a#2", "b", "a#3"]


def test_a_plan_that_is_not_kept_fails_the_whole() -> None:
    ktap = parse("KTAP version 1\n1..5\nok 1 a\nok 2 b\nok 3 c\n")
    assert ktap.outcome is Outcome.FAIL
    assert ktap.problems == ("planned 5, saw 3",)
    assert ktap.detail == "planned 5, saw 3"
    assert ktap.counts == {"pass": 3, "fail": 0, "skip": 0, "crash": 2, "error": 2}
    assert parse("1..1\nok 1 a\nok 2 b\n").detail == "planned 1, saw 2"


def test_a_plan_at_the_end_counts() -> None:
    assert parse("TAP version 13\nok 1 a\nok 2 b\n1..2\n").outcome is Outcome.PASS
    assert parse("TAP version 13\nok 1 a\n1..2\n").outcome is Outcome.FAIL


def test_a_missing_plan_and_a_wrong_number_are_noted_and_cost_nothing() -> None:
    ktap = parse("TAP version 13\nok 1 a\nok 3 b\n")
    assert ktap.outcome is Outcome.PASS
    assert ktap.problems == ("expected number 2, saw 3", "no plan")


def test_a_crash_inside_of_a_block_keeps_what_was_seen() -> None:
    ktap = parse("KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: outer\n  1..3\n  ok 1 a\n")
    assert leafs(ktap) == [("outer.a", "pass", "")]
    assert ktap.outcome is Outcome.FAIL
    assert ktap.detail == "outer: planned 3, saw 1"
    assert "outer: no result line" in ktap.problems


def test_a_parent_that_fails_alone_is_a_leaf() -> None:
    inner = "  KTAP version 1\n  1..1\n  ok 1 a\n"
    ktap = parse(f"KTAP version 1\n1..1\n{inner}# x.c:7: leaked\nnot ok 1 outer\n")
    assert leafs(ktap) == [("outer.a", "pass", ""), ("outer", "fail", "x.c:7: leaked")]
    assert ktap.counts["fail"] == 0
    ktap = parse(f"KTAP version 1\n1..1\n{inner.replace('ok', 'not ok')}not ok 1 outer\n")
    assert leafs(ktap) == [("outer.a", "fail", "")]


def test_blocks_in_blocks_have_names_joined_by_dots() -> None:
    text = """\
KTAP version 1
1..1
  KTAP version 1
  1..2
    KTAP version 1
    1..1
    # test_1: initializing test_1
    ok 1 test_1
  ok 1 one
    KTAP version 1
    1..2
    ok 1 test_1 # SKIP why
    not ok 2 test_2
  not ok 2 two
not ok 1 main
"""
    assert leafs(parse(text)) == [
        ("main.one.test_1", "pass", ""),
        ("main.two.test_1", "skip", "why"),
        ("main.two.test_2", "fail", ""),
    ]


def test_bail_out_ends_it() -> None:
    ktap = parse("TAP version 13\n1..3\nok 1 a\nBail out! no memory\n# Totals: pass:1 fail:0\n")
    assert ktap.bail_out == "no memory"
    assert ktap.outcome is Outcome.FAIL
    assert ktap.detail == "Bail out! no memory"
    assert ktap.problems == ()


def test_all_skipped_is_a_skip() -> None:
    ktap = parse("TAP version 13\n1..0 # SKIP needs root\n")
    assert (ktap.outcome, ktap.detail) == (Outcome.SKIP, "needs root")
    ktap = parse("TAP version 13\n1..1\nok 1 a # SKIP needs root\n")
    assert (ktap.outcome, ktap.detail) == (Outcome.SKIP, "needs root")


@pytest.mark.parametrize(
    ("text", "seen", "detail"),
    [
        ("", False, "no KTAP output"),
        ("hello\nok then, let us go\n# ok 1 quoted\n", False, "no KTAP output"),
        ("TAP version 13\n", True, "0 tests run"),
        ("TAP version 13\n1..0\n", True, "0 tests run"),
        ("TAP version 13\n1..2\n", True, "planned 2, saw 0"),
    ],
)
def test_nothing_ran_is_never_a_pass(text: str, seen: bool, detail: str) -> None:
    ktap = parse(text)
    assert (ktap.outcome, ktap.seen_ktap, ktap.detail) == (Outcome.FAIL, seen, detail)


def test_text_around_and_between_is_not_judged() -> None:
    text = """\
Loading...
TAP version 13
1..2
not okay at all
[   12.345678] a driver said hello
ok 1 a
# ok 2 quoted
# not ok 3 quoted
ok 2 b
"""
    ktap = parse(text + "bye\n")
    assert leafs(ktap) == [("a", "pass", ""), ("b", "pass", "")]
    assert ktap.problems == ()


def test_two_outputs_in_a_row_are_both_judged() -> None:
    one = "TAP version 13\n1..2\nok 1 a\n"
    ktap = parse(one + "ok 2 b\n" + one)
    assert [name for name, _, _ in leafs(ktap)] == ["a", "b", "a#2"]
    assert ktap.problems == ("planned 2, saw 1",)


def test_a_very_long_line_costs_bounded_memory() -> None:
    parser = KtapParser()
    parser.feed("1..1\nok 1 ")
    for _ in range(64):
        parser.feed("x" * 65536)
    parser.feed("\n")
    ktap = parser.finish()
    assert ktap.outcome is Outcome.PASS
    assert len(ktap.results[0].name) < 65536
