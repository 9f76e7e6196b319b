# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from harness import series
from harness.errors import UsageError
from harness.model import (
    Base,
    Cell,
    Disk,
    Frame,
    Kernel,
    Mount,
    Outcome,
    Patch,
    Position,
    Result,
    Run,
    Series,
    Splat,
    Stage,
    Step,
    Verdict,
)
from harness.model import Test as PlannedTest
from harness.record import Record, document
from harness.recorded import find, load

BASE = Step(label="base", stack=Series(name="base"))
TIP = Step(label="tip", stack=Series(name="a+b"))


def open_record(parent: Path) -> Record:
    return Record(parent, series="a+b", base="6.12", kconfig="base")


def test_the_name_says_what_was_run(tmp_path: Path) -> None:
    with open_record(tmp_path) as record:
        assert record.path.name.endswith(record.path.name[-4:])
        assert "-a+b-6.12-base-" in record.path.name
        assert record.new_boot()[1] == record.path / "boots/001"
        assert record.new_boot()[0] == 2


def test_splats_of_no_test_are_recorded(tmp_path: Path) -> None:
    first = Splat(kind="warning", title="WARNING in f", fingerprint=("f",), boot=1, phase="boot")
    other = replace(first, fingerprint=("g",), boot=2, phase="teardown")
    with open_record(tmp_path) as record:
        record.plan([BASE, TIP], ())
        record.stray("base", [first])
        record.stray("tip", [first])
        record.stray("tip", [first, other])
    assert load(record.path).run.stray == (replace(first, on_base=True), other)


def test_two_runs_of_one_second_have_their_own_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("harness.journal.secrets.token_hex", lambda _: next(tokens))
    with open_record(tmp_path) as first, open_record(tmp_path) as second:
        assert {first.path.name[-4:], second.path.name[-4:]} == {"aaaa", "bbbb"}


def test_a_cell_is_recorded_without_its_patches_bytes(tmp_path: Path) -> None:
    stack = Series(name="s", patches=(Patch(name="p", data=b"\xff"),))
    with open_record(tmp_path) as record:
        record.cell(Cell(stack=stack, tree="6.12"), ["run"])
    line = json.loads((record.path / "journal.jsonl").read_text())
    assert line["cell"]["stack"]["patches"][0]["name"] == "p"
    assert line["argv"] == ["run"]


def test_the_patches_are_kept_as_a_series(tmp_path: Path) -> None:
    patches = (
        Patch(name="0001-a.patch", data=b"one"),
        Patch(name="b/0001-a.patch", data=b"two", strip=0),
    )
    with open_record(tmp_path) as record:
        record.cell(Cell(stack=Series(name="s", patches=patches), tree="6.12"), ["run"])
    kept = series.read(record.path / "patches")
    assert [(p.data, p.strip) for p in kept.patches] == [(b"one", 1), (b"two", 0)]


def test_it_is_known_what_the_guests_saw(tmp_path: Path) -> None:
    seen = Mount(guest="/run/t", host=tmp_path / "programs")
    with open_record(tmp_path) as record:
        record.contexts("tip", {"s/t": "d"}, [seen])
    known = load(record.path)
    assert known.contexts == {"tip": {"s/t": "d"}}
    assert known.mounts == {"tip": {seen.guest: seen.host}}


def test_a_recorded_result_survives_a_kill(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from harness.model import Outcome, Result
        from harness.record import Record
        record = Record(Path(sys.argv[1]), series="s", base="b", kconfig="k")
        record.start("s/t", kernel="tip", boot=1)
        record.result(Result(test="s/t", outcome=Outcome.PASS))
        record.start("s/u", kernel="tip", boot=1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    journal = next(tmp_path.glob("*/journal.jsonl"))
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(e["event"], e["test"]) for e in events] == [
        ("start", "s/t"),
        ("result", "s/t"),
        ("start", "s/u"),
    ]
    assert events[1]["outcome"] == "pass"


def test_the_document_has_the_names_of_the_contract(tmp_path: Path) -> None:
    splat = Splat(kind="warning", title="WARNING in f")
    run = Run(
        directory=tmp_path,
        series="s",
        base="6.12",
        kernel_release="6.12.7",
        guest="vng",
        accel="tcg",
        stages=(Stage(name="tree", duration_s=0.1),),
        splats=(splat,),
    )
    made = json.loads(json.dumps(document(run, 1, "why"), default=str))
    assert {"schema", "run_dir", "exit", "series", "base", "kernel_release", "guest"} <= set(made)
    assert {"accel", "stages", "results", "splats", "error"} <= set(made)
    assert made["splats"][0]["title"] == "WARNING in f"
    assert Result(test="t", outcome=Outcome.PASS).outcome == "pass"


def write_run(parent: Path, *, finished: bool) -> Path:
    with open_record(parent) as record:
        record.cell(Cell(stack=Series(name="a+b"), tree="6.12"), ["run", "--series", "a,b"])
        record.plan([BASE, TIP], tuple(PlannedTest(name=n, argv=("x",)) for n in ("s/t", "s/u")))
        splat = Splat(kind="warning", title="WARNING in f", fingerprint=("w", "f"), text=("x",))
        for kernel, outcome in (("base", Outcome.PASS), ("tip", Outcome.FAIL)):
            record.start("s/t", kernel=kernel, boot=1)
            record.result(
                Result(test="s/t", outcome=outcome, kernel=kernel, detail="why", splats=(splat,))
            )
        record.start("s/u", kernel="tip", boot=1)
        if finished:
            record.finish({"exit": 1, "base": "6.12", "accel": "tcg", "guest": "vng"})
    return record.path


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_is_read_back_even_when_it_was_killed(tmp_path: Path, finished: bool) -> None:
    path = write_run(tmp_path, finished=finished)
    with (path / "journal.jsonl").open("a") as journal:
        journal.write('{"event": "resu')
    one = load(path)
    assert one.argv == ("run", "--series", "a,b")
    assert one.exit == (1 if finished else None)
    assert (one.run.series, one.run.base, one.run.unfinished) == ("a+b", "6.12", ("s/u",))
    row = one.run.rows[0]
    assert (row.result.outcome, row.verdict) == (Outcome.FAIL, Verdict.NEW)
    assert row.base is not None and row.base.splats[0].fingerprint == ("w", "f")


def test_a_run_killed_before_its_first_line_is_read_back(tmp_path: Path) -> None:
    with open_record(tmp_path) as record:
        pass
    read = load(record.path)
    assert (read.run.series, read.exit, read.run.rows) == ("?", None, ())
    assert read.started[:4].isdigit() and read.argv == ()


def test_a_renamed_run_is_read_back(tmp_path: Path) -> None:
    path = write_run(tmp_path, finished=True).rename(tmp_path / "baseline")
    assert load(path).started[:4].isdigit()


def test_a_run_is_found_by_its_end_and_the_newest_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no run yet"):
        find()
    path = write_run(tmp_path / "harness/runs", finished=True)
    assert find() == find(path.name[-4:]) == find(path.name) == find(str(path)) == path
    with pytest.raises(UsageError, match="no run zzzz"):
        find("zzzz")


def test_what_was_found_out_of_a_splat_later_is_read_back(tmp_path: Path) -> None:
    inline = Position(function="g", file="a.h", line=2)
    frame = Frame(function="f", offset=1, size=2, file="a.c", line=3, inlines=(inline,))
    splat = Splat(kind="warning", title="WARNING in f", fingerprint=("w", "f"), text=("x",))
    rounds = [
        Result(test="s/t", outcome=Outcome.FAIL, round=number, splats=(splat,)) for number in (1, 2)
    ]
    with open_record(tmp_path) as record:
        record.plan([TIP], (PlannedTest(name="s/t", argv=("x",)),))
        for one in rounds:
            record.result(one)
        known = replace(splat, frames=(frame,), undecoded="why")
        record.splats(replace(rounds[1], splats=(known,)))
    assert load(record.path).run.splats == (splat, known)
    made = document(load(record.path).run, 1)
    assert made["splats"][1]["frames"][0]["inlines"][0]["file"] == "a.h"


def test_a_splat_of_base_and_series_is_marked_when_it_is_read_back(tmp_path: Path) -> None:
    row = load(write_run(tmp_path, finished=True)).run.rows[0]
    assert row.result.splats[0].on_base
    assert row.base is not None and not row.base.splats[0].on_base


def test_the_steps_of_a_series_come_back(tmp_path: Path) -> None:
    first = Step(label="0001", stack=Series(name="a+b"), patch="0001-x")
    tip = replace(TIP, patch="0002-y")
    kernel = Kernel(key="k", release="6", tree="t", dir=tmp_path, cached=True)
    with open_record(tmp_path) as record:
        record.plan([BASE, first, tip], (PlannedTest(name="s/t", argv=("x",)),))
        for step in (BASE, first, tip):
            record.kernel(step.label, kernel)
        for label, outcome in (("base", Outcome.PASS), ("0001", Outcome.FAIL)):
            record.result(Result(test="s/t", outcome=outcome, kernel=label))
        record.inherit("tip", "0001")
    run = load(record.path).run
    assert [mark.outcome for mark in run.rows[0].marks] == ["pass", "fail", "fail"]
    made = document(run, 1)
    assert made["results"][0]["patches"] == {"0001-x": "fail", "0002-y": "fail"}
    assert made["results"][0]["first_bad"] == "0001-x"
    assert made["inherited"] == {"0002-y": "0001"}


def test_a_journal_tells_what_was_run_from_what(tmp_path: Path) -> None:
    stack = Series(name="a", patches=(Patch(name="1.patch", data=b"one"),))
    base = Base(name="6.12", mirror=tmp_path, commit="c" * 40, tree="t" * 40, version="6.12.1")
    disk = Disk(name="s", size_bytes=4096, bps_read=10)
    test = PlannedTest(name="s/one", argv=("./one", "-v"), expect_splat=("warning: x",), disk=disk)
    kernel = Kernel(key="k", release="6.12.1", tree="t", dir=tmp_path, cached=True, warnings=("w",))
    with open_record(tmp_path) as record:
        record.cell(Cell(stack=stack, tree="6.12"), ["run"])
        record.base(base)
        record.plan([Step(label="tip", stack=stack)], [test])
        record.kernel("tip", kernel)
    found = load(record.path)
    assert (found.base, found.kernels, found.tests) == (base, {"tip": kernel}, {"s/one": test})
    assert [path.read_bytes() for path in found.patches] == [p.data for p in stack.patches]
