# SPDX-License-Identifier: GPL-2.0-only
"""The counts of the kernel's own kunit.py (6.12), taken down here; tests/vm/test_kunit.py asks the
tool itself, on many more logs."""

from pathlib import Path

import pytest

from harness.kunit import Count, count

DATA = Path(__file__).parents[1] / "data" / "ktap"
COUNTS = {
    "kunit-all_passed_nested.txt": (7, 0, 0, 0, 0),
    "kunit-failure.txt": (9, 1, 0, 0, 0),
    "kunit-kernel_panic_interrupt.txt": (8, 0, 0, 2, 3),
    "kunit-kselftest.txt": (2, 0, 0, 0, 0),
    "kunit-multiple_prefixes.txt": (10, 0, 0, 0, 0),
    "kunit-no_tests_no_plan.txt": (1, 0, 0, 0, 1),
    "kunit-skip_tests.txt": (4, 0, 1, 0, 0),
}
NESTED = """\
KTAP version 1
1..1
  KTAP version 1
  # Subtest: suite
  1..2
  # one: about it
  ok 1 one
    KTAP version 1
    # Subtest: sizes
    ok 1 small # SKIP no room
    # sizes.c:12: too large
    not ok 2 large
  not ok 2 sizes
not ok 1 suite
"""


def read(text: str) -> Count:
    return count(text.splitlines(keepends=True))


def counts(text: str) -> tuple[int, ...]:
    return tuple(read(text).counts.values())


@pytest.mark.parametrize("name", COUNTS)
def test_logs_are_counted_as_kunit_py_counts_them(name: str) -> None:
    text = (DATA / name).read_text()
    assert counts(text) == COUNTS[name]
    assert counts(text.replace("\n", "\r\n")) == COUNTS[name]
    stamped = [f"<6>[{n:5}.{n:06}][{'T1':>6}] {line}" for n, line in enumerate(text.splitlines())]
    assert counts("\n".join(stamped)) == COUNTS[name]


def test_leafs_have_the_path_of_their_blocks_and_why_they_failed() -> None:
    assert [(one.test, one.outcome, one.detail) for one in read(NESTED).results] == [
        ("suite.one", "pass", ""),
        ("suite.sizes.small", "skip", "no room"),
        ("suite.sizes.large", "fail", "sizes.c:12: too large"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, 0, 0, 1)),
        ("ok 1 without a version line\n", (0, 0, 0, 0, 1)),
        ("kunit executor: error filtering suites: -12\n", (0, 0, 0, 0, 1)),
        ("KTAP version 1\n1..0\n", (0, 0, 0, 0, 1)),
        ("KTAP version 1\n1..3\nok 1 a\n", (1, 0, 0, 2, 2)),
        ("KTAP version 1\n1..2\nok 1 a\nok 3 b\n", (2, 0, 0, 0, 1)),
        ("KTAP version 9\n1..1\nok 1 a\n", (1, 0, 0, 0, 1)),
        ("KTAP version 1\n1..1\nok 1 a\nok 2 beyond the plan\n", (1, 0, 0, 0, 0)),
        ("KTAP version 1\n1..1\n  # Subtest: s\n  1..1\n", (0, 0, 0, 1, 2)),
        ("KTAP version 1\n1..1\n  # Subtest: s\n  ok 1 a\n", (1, 0, 0, 0, 1)),
        ("KTAP version 1\nok 1 a\nreboot: System halted\nok 2 b\n", (1, 0, 0, 0, 0)),
    ],
)
def test_faults_of_a_log(text: str, expected: tuple[int, ...]) -> None:
    assert counts(text) == expected


def test_all_documents_of_a_stream_count() -> None:
    one = "TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"
    cut = "TAP version 13\n1..2\nok 1 a\n"
    stamped = "".join(f"[    1.000000] {line}\n" for line in one.splitlines())
    assert counts(one + "Loading the next one\n" + one) == (2, 2, 0, 0, 0)
    assert counts(cut + one) == (2, 1, 0, 1, 1)
    assert counts(one + stamped + cut) == (3, 2, 0, 1, 1)
    assert counts(one + stamped) == (2, 2, 0, 0, 0)


def test_a_log_made_to_hurt_is_counted_in_bounded_time_and_depth() -> None:
    read("".join(f"{' ' * n}KTAP version 1\n" for n in range(3000)))
    read("KTAP version 1\nok 1 a\n" + "1..2\n" * 3000)
    for text in ("KTAP version 1\n1..999999999\n", "KTAP version 1\n1..999999999\n1..2\n"):
        found = read(text)
        assert found.counts["crash"] == 999999999
        assert len(found.results) <= 101
