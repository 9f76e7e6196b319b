# SPDX-License-Identifier: GPL-2.0-only
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model import Better, Comparison
from harness.report import plot

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=300)
ONE = Comparison(
    name="latency",
    unit="us",
    better=Better.LOWER,
    base=(100.0, 110.0, 120.0),
    patched=(80.0, 90.0),
    ratio=0.8,
    low=0.7,
    high=0.9,
    p=0.004,
)


def places(svg: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<line class="{kind}" x1="([-\d.]+)"', svg)]


def test_all_figures_medians_and_the_ratio_are_drawn() -> None:
    svg = plot.strip(ONE, ident="f")
    root = ET.fromstring(svg)
    assert len(root.findall("circle")) == 3
    assert len([one for one in root.findall("path") if one.get("class") == "series"]) == 2
    base, series = places(svg, "median")
    assert base > series
    assert "×0.8 [0.7, 0.9]" in re.sub(" +", " ", svg)
    assert places(svg, "one")[0] > places(svg, "interval")[0]


def test_the_picture_has_its_words() -> None:
    root = ET.fromstring(plot.strip(ONE, ident="f"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "f-title f-desc"
    assert root.findtext("desc") == plot.sentence(ONE)
    assert plot.sentence(ONE) == (
        "latency: base 110 us (median of 3 runs), series 85 us (median of 2 runs); "
        "0.8 times the base (95 % interval 0.7 to 0.9), p = 0.004; better"
    )


def test_words_for_what_is_not_known() -> None:
    nothing = replace(ONE, ratio=None, low=None, high=None, base=(), patched=(math.nan, 1.0))
    assert plot.sentence(nothing) == (
        "latency: base without figures, series 1 us (median of 1 run); no difference shown; "
        "1 without a finite value"
    )
    assert plot.sentence(replace(ONE, better=Better.NEITHER)).endswith("changed")
    assert plot.sentence(replace(ONE, better=Better.HIGHER)).endswith("worse")
    assert plot.strip(replace(nothing, patched=()), ident="f") == ""


def test_many_figures_are_thinned_with_both_ends() -> None:
    svg = plot.strip(replace(ONE, base=tuple(float(n) for n in range(5000))), ident="f")
    xs = [float(x) for x in re.findall(r'<circle class="base" cx="([-\d.]+)"', svg)]
    whole = plot.strip(replace(ONE, base=(0.0, 4999.0)), ident="f")
    assert len(xs) == 400
    assert [min(xs), max(xs)] == [
        float(x) for x in re.findall(r'<circle class="base" cx="([-\d.]+)"', whole)
    ]


FIGURES = st.lists(st.floats(), max_size=8).map(tuple)
SHARE = st.none() | st.floats()


@REPEATABLE
@given(st.text(), st.text(), FIGURES, FIGURES, SHARE, SHARE, SHARE)
def test_any_comparison_is_drawn_inside_of_its_picture(
    name: str,
    unit: str,
    base: tuple[float, ...],
    patched: tuple[float, ...],
    ratio: float | None,
    low: float | None,
    high: float | None,
) -> None:
    one = replace(
        ONE, name=name, unit=unit, base=base, patched=patched, ratio=ratio, low=low, high=high
    )
    assert plot.sentence(one)
    svg = plot.strip(one, ident="f")
    for x in re.findall(r'\b(?:x|x1|x2|cx)="([^"]*)"', svg):
        assert 0 <= float(x) <= 640
