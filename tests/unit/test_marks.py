# SPDX-License-Identifier: GPL-2.0-only
import pytest

from harness.marks import Marks

CONSOLE = b"""\
booting
[    1.000000] harness 0123456789abcdef: start 1 s/one\r
inside of one
[    1.100000] harness 0123456789abcdef: end 1\r
between
# [    1.200000] harness 0123456789abcdef: start 2 s/two
harness fedcba9876543210: end 2
inside of two
harness 0123456789abcdef: end 1
inside of two
"""


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_line_belongs_to_the_test_between_whose_markers_it_is(size: int) -> None:
    marks = Marks()
    for start in range(0, len(CONSOLE), size):
        marks.feed(CONSOLE[start : start + size])
    tests = [marks.test_at(line) for line in range(1, 11)]
    assert tests == [None, "s/one", "s/one", "s/one", None, *["s/two"] * 5]


def test_without_markers_there_is_no_test() -> None:
    marks = Marks()
    marks.feed(b"harness is a word\n" * 10)
    assert marks.test_at(3) is None


def test_spans_are_the_lines_of_each_test_and_the_last_one_may_have_no_end() -> None:
    nonce = b"harness dd2a423acbf7fe8d"
    marks = Marks()
    marks.feed(
        b"restored\n%s: start 1 a/one\nnoise\n%s: end 1\n%s: start 2 a/two\n" % ((nonce,) * 3)
    )
    assert marks.spans == (("a/one", 2, 4), ("a/two", 5, None))
