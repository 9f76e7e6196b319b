# SPDX-License-Identifier: GPL-2.0-only
"""What holds for any console: made up by hypothesis from real reports, their lines, and bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.kunit import count
from harness.marks import Marks
from harness.model import Splat
from harness.splat import SplatScanner, scan
from tests.unit.test_splat import BARE, expected, messages, read, told

# derandomize: what fails here fails everywhere.
few = settings(max_examples=60, deadline=None, derandomize=True)
LINES = sorted({line for name in BARE for line in messages(name)})
PREFIXES = ("", "[    1.000000] ", "[    2.000000][  T12] ", "[    2.500000][    C1] ", "<4>")


def in_pieces(data: bytes, sizes: list[int]) -> tuple[tuple[Splat, ...], int]:
    """The splats, and the number of lines, of data fed in pieces of these sizes, over and over."""
    scanner, start, turn = SplatScanner(), 0, 0
    found: list[Splat] = []
    while start < len(data):
        size = sizes[turn % len(sizes)]
        found += scanner.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    found += scanner.finish()
    return tuple(found), scanner.line


mixed_lines = st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from(LINES)), max_size=150)
sizes = st.lists(st.integers(1, 700), min_size=1, max_size=5)


@few
@given(mixed_lines, sizes, st.sampled_from(["\n", "\r\n"]), st.integers(0, 4000))
def test_any_chunking_of_any_lines_gives_the_same(
    lines: list[tuple[str, str]], sizes: list[int], end: str, quiet: int
) -> None:
    data = b"[    0.500000] all is well\n" * quiet
    data += end.join(prefix + line for prefix, line in lines).encode()
    splats, count = in_pieces(data, sizes)
    assert splats == scan(data)
    assert count == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    for splat in splats:
        assert 1 <= splat.line_from <= splat.line_to <= count
    assert [one.line_from for one in splats] == sorted(one.line_from for one in splats)


@few
@given(st.lists(st.binary(max_size=200) | st.sampled_from([b"\n", b"BUG: ", b"[#1]\n"])), sizes)
def test_bytes_never_crash_it(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"".join(pieces)
    assert in_pieces(data, sizes)[0] == scan(data)
    marks = Marks()
    marks.feed(data)
    marks.test_at(1)
    count(data.decode("latin-1").splitlines(keepends=True))


@few
@given(st.sampled_from(BARE), st.data())
def test_a_damaged_report_never_crashes_it(name: str, data: st.DataObject) -> None:
    text = bytearray(read(name))
    for at in data.draw(st.lists(st.integers(0, len(text) - 1), max_size=40)):
        text[at] = data.draw(st.integers(0, 255))
    scan(bytes(text))


# What is alone on its console, and whose every line has the one who printed it.
SINGLES = [name for name in BARE if len(expected(name)) == 1]


@few
@given(st.sampled_from(SINGLES), st.sampled_from(SINGLES), st.data())
def test_two_reports_that_interleave_are_both_found(
    one: str, other: str, data: st.DataObject
) -> None:
    rows = [(12, line) for line in messages(one)], [(13, line) for line in messages(other)]
    left, right = list(rows[0]), list(rows[1])
    merged = []
    while left or right:
        turn = left if right == [] or (left and data.draw(st.booleans())) else right
        merged.append(turn.pop(0))
    text = "".join(f"[    1.{n:06}][  T{t}] {line}\n" for n, (t, line) in enumerate(merged))
    found = sorted(told(scan(text.encode())))
    assert found == sorted([*expected(one), *expected(other)])


@few
@given(st.sampled_from(SINGLES), st.data())
def test_a_console_cut_at_any_byte_has_what_it_began(name: str, data: st.DataObject) -> None:
    text = read(name)
    whole = scan(text)[0]
    lines = text.splitlines(keepends=True)
    # A report is known, at the latest, some lines after what stands before its first line.
    known = sum(len(line) for line in lines[: min(whole.line_from + 9, whole.line_to)])
    end = data.draw(st.integers(known, len(text)))
    found = scan(text[:end])
    assert [one.kind for one in found] == [whole.kind]
    assert found[0].line_from == whole.line_from
    assert found[0].complete or found[0].line_to <= whole.line_to + 1  # half of the next line
