# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model import Outcome, Result, Row, Run
from harness.report.table import markdown


def run(base: str, series: str, **outcomes: tuple[Outcome | None, Outcome]) -> Run:
    rows = tuple(
        Row(
            result=Result(test=f"s/{test}", outcome=tip),
            base=Result(test=f"s/{test}", outcome=before) if before else None,
        )
        for test, (before, tip) in outcomes.items()
    )
    return Run(
        directory=Path("/r"),
        series=series,
        base=base,
        kernel_release="",
        guest="vng",
        accel="tcg",
        rows=rows,
    )


def test_each_kernel_has_a_column() -> None:
    runs = [
        run("6.12", "a", one=(Outcome.XFAIL, Outcome.PASS), two=(Outcome.PASS, Outcome.PASS)),
        run("6.1", "a", one=(None, Outcome.FAIL)),
        run("6.12", "a", three=(None, Outcome.SKIP)),
    ]
    assert markdown(runs) == (
        "| test    | 6.12  | 6.12 + a | 6.1 + a |\n"
        "| ------- | ----- | -------- | ------- |\n"
        "| s/one   | xfail | pass     | fail    |\n"
        "| s/two   | pass  | pass     | -       |\n"
        "| s/three | -     | skip     | -       |\n"
    )


def test_runs_that_contradict_each_other_are_refused() -> None:
    runs = [run("6.12", "a", one=(None, outcome)) for outcome in (Outcome.FAIL, Outcome.PASS)]
    with pytest.raises(UsageError, match=r"s/one on 6.12 \+ a: fail in one run, pass in another"):
        markdown(runs)
