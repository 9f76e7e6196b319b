# SPDX-License-Identifier: GPL-2.0-only
"""Run directories for tests of what reads them, written as a run writes them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import verdict
from harness.model import (
    Base,
    Better,
    Cell,
    Frame,
    Kernel,
    Metric,
    Outcome,
    Patch,
    Position,
    Result,
    Run,
    Series,
    Settled,
    Splat,
    Stage,
    Step,
    Subtest,
)
from harness.model import Test as PlannedTest
from harness.record import Record, document
from harness.recorded import Recorded, load

ARCHIVE = "https://lore.kernel.org/r/20260101.cover@example.org"
OOPS = Splat(
    kind="null-deref",
    title="BUG: kernel NULL pointer dereference, address: 0000000000000008",
    function="aio_complete_rw",
    fingerprint=("null-deref", "aio_complete_rw"),
    text=("BUG: kernel NULL pointer dereference", "RIP: 0010:aio_complete_rw+0x10/0x20"),
    frames=(
        Frame(
            function="aio_complete_rw",
            file="fs/aio.c",
            line=1480,
            patch="0002-second.patch",
            offset=16,
            size=32,
            exact=True,
        ),
    ),
)
BASE_COMMIT = "c" * 40
ARGV = ("run", "--series", "twice.mbox", "--base", "--json")


def patch(number: int, count: int) -> Patch:
    """A mail with one patch, as intake keeps them."""
    name = ("first", "second", "third", "fourth")[number - 1]
    diff = (
        f"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -{number} +{number} @@\n-old\n+{name} \u00e9\n"
    )
    head = f"From: A <a@example.org>\nMessage-ID: <20260101.{number}@example.org>\n"
    subject = f"Subject: [PATCH v2 {number}/{count}] f: the {name} change\n"
    data = f"{head}{subject}\nWhy.\n---\n f | 2 +-\n\n{diff}-- \n2.39\n".encode()
    return Patch(name=f"000{number}-{name}.patch", data=data)


def series(count: int = 2) -> Series:
    """A series that was posted."""
    return Series(
        name="twice",
        title="f: change it twice",
        thread=ARCHIVE,
        patches=tuple(patch(number, count) for number in range(1, count + 1)),
    )


def result(test: str, outcome: Outcome, kernel: str = "tip", **more: object) -> Result:
    """A result with something in it."""
    made = Result(test=test, outcome=outcome, kernel=kernel, boot=1, duration_s=0.25)
    return replace(made, **more)  # type: ignore[arg-type]


def pair(test: str, base: Outcome, tip: Outcome, detail: str = "") -> tuple[Result, Result]:
    """Of both kernels."""
    return result(test, base, "base", detail=detail), result(test, tip, detail=detail)


def every_kind() -> tuple[Result, ...]:
    """A test for each thing that a report can say."""
    nasty = "a \x00 \x1b[31m <b>]]> \u2028 \udcff & | `x` end\n"
    crash = result("s/crash", Outcome.CRASH, detail="null-deref: BUG", splats=(OOPS,), output=nasty)
    figures = [
        result(
            "perf/read",
            Outcome.PASS,
            kernel,
            round=number,
            metrics=(Metric(name="MBps", value=value + number, unit="MB/s", better=Better.HIGHER),),
        )
        for kernel, value in (("base", 40.0), ("tip", 80.0))
        for number in range(1, 6)
    ]
    return (
        *pair("s/good", Outcome.PASS, Outcome.PASS),
        *pair("s/new", Outcome.PASS, Outcome.FAIL, "it is 2, expected 1"),
        result("s/crash", Outcome.PASS, "base"),
        crash,
        *pair("s/old", Outcome.FAIL, Outcome.FAIL, "as ever"),
        *pair("s/fixed", Outcome.FAIL, Outcome.PASS, "was bad"),
        *pair("s/skip", Outcome.SKIP, Outcome.SKIP, "no disk"),
        *pair("s/error", Outcome.PASS, Outcome.ERROR, "QEMU died"),
        *pair("s/sub/<img src=x onerror=alert(1)>", Outcome.PASS, Outcome.TIMEOUT, "x" * 300),
        *figures,
    )


def write(
    parent: Path,
    results: Iterable[Result] = (),
    *,
    stack: Series | None = None,
    steps: Sequence[str] = ("base", "tip"),
    stray: Sequence[Splat] = (),
    exit_code: int | None = 1,
    error: str = "",
    imported: bool = False,
    base: str = "6.12",
    argv: Sequence[str] = ARGV,
    settled: Sequence[Settled] = (),
    tests: Sequence[str] = (),
    unbuilt: Sequence[str] = (),
    kconfigs: Sequence[str] = ("debug",),
    also: Callable[[Record], object] = lambda record: None,
) -> Recorded:
    """Write a run and read it again. `exit_code` None: it was killed; a kernel of `steps` was
    built where there are results of it. `also` records what else there is to record."""
    stack = stack or series()
    found = list(results)
    planned = [
        PlannedTest(name=name, argv=(name,)) for name in dict.fromkeys(r.test for r in found)
    ]
    stems = {"base": "", "tip": ""}
    named = {f"{n:04}": one.name.removesuffix(".patch") for n, one in enumerate(stack.patches, 1)}
    stems |= {"tip": list(named.values())[-1]} if named else {}
    with Record(parent, series=stack.name, base=base, kconfig="base") as record:
        cell = Cell(stack=stack, tree=base, kconfigs=tuple(kconfigs), tests=tuple(tests))
        record.cell(cell, list(argv))
        record.base(
            Base(
                name=base,
                mirror=parent,
                commit=BASE_COMMIT,
                tree="d" * 40,
                version="6.12.117",
                imported=imported,
            )
        )
        each = len(steps) > 2
        made = [
            Step(label=label, stack=stack, patch={**stems, **named}[label] if each else "")
            for label in steps
        ]
        record.plan(made, planned)
        for label in steps:
            if label not in unbuilt and any(one.kernel == label for one in found):
                config = record.kernel_dir(label) / "config"
                config.write_text('CONFIG_CC_VERSION_TEXT="gcc (Debian) 12.2.0"\n')
                record.kernel(label, kernel(label, parent))
        for one in found:
            record.result(one)
        for known in settled:
            record.settled(known)
        also(record)
        if stray:
            record.stray(steps[-1], stray)
        if exit_code is not None:
            record.finish(document(load(record.path).run, exit_code, error))
    return load(record.path)


def kernel(label: str, directory: Path) -> Kernel:
    """A kernel that was built."""
    warnings = ("fs/aio.c:1:2: warning: unused variable",)
    return Kernel(
        key=f"key-{label}",
        release="6.12.117",
        tree="e" * 40,
        dir=directory,
        cached=False,
        warnings=warnings,
    )


EVIL = "<img src=x onerror=alert(1)>"
"""The name of a test that would be markup."""
NASTY = "</script><script>alert(2)</script><!-- \u2028 \x00 \ud800 \u202e \x1b[31mred\x1b[0m &amp;"
"""An output that would end whatever it is put into."""
CONSOLE = """\
[    0.880311] harness dd2a423acbf7fe8d: restored from 955af690f2d5 as boot 3
[    0.899078] harness dd2a423acbf7fe8d: start 1 aio/good
[    0.951239] harness dd2a423acbf7fe8d: end 1
[    0.961239] harness dd2a423acbf7fe8d: start 2 aio/bad
[    1.016239] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    1.026239] RIP: 0010:aio_poll_wake+0xa9/0x1eb
[    1.036239] <b>not markup</b>
"""
INLINED = Splat(
    kind="null-deref",
    title="kernel NULL pointer dereference in aio_poll_wake",
    function="aio_poll_wake",
    fingerprint=("null-deref",),
    line_from=5,
    line_to=6,
    text=("BUG: kernel NULL pointer dereference, address: 0000000000000008",),
    frames=(
        Frame(
            function="aio_poll_wake",
            file="fs/aio.c",
            line=12,
            patch="0002-second.patch",
            offset=0xA9,
            size=0x1EB,
            exact=True,
            inlines=(
                Position(function="inner", file="fs/aio.c", line=7, patch="0001-first.patch"),
            ),
        ),
    ),
    boot=3,
)
"""What CONSOLE shows, at a place that the compiler put another function into."""


def console(directory: Path, text: str = CONSOLE) -> Path:
    """The console of a guest, in the directory of its boot."""
    path = directory / "console.log"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    return path


def write_as(directory: Path, results: Iterable[Result] = (), **more: Any) -> Recorded:
    """write(), to a directory of this name."""
    write(directory.parent, results, **more).directory.rename(directory)
    return load(directory)


def crashed(directory: Path) -> Recorded:
    """A good test, one that crashes with the series, one with an evil name; reruns of the crash."""
    told: dict[str, Any] = {
        "output": "KTAP version 1\n1..1\nok 1 one\n",
        "subtests": (Subtest(name="one", outcome=Outcome.PASS),),
    }
    bad = result(
        "aio/bad",
        Outcome.CRASH,
        **{**told, "splats": (INLINED,), "detail": "null-deref: kernel NULL pointer", "boot": 3},
    )
    results = [
        *(
            result(test, Outcome.PASS, "base", **told)
            for test in ("aio/good", "aio/bad", f"aio/{EVIL}")
        ),
        result("aio/good", Outcome.PASS, **{**told, "boot": 3}),
        bad,
        result(f"aio/{EVIL}", Outcome.PASS, **{**told, "output": NASTY}),
        replace(bad, round=2, boot=4),
    ]

    def also(record: Record) -> None:
        record.stage(Stage(name="tests", duration_s=1.5))
        boots = [record.new_boot()[1] for _ in range(4)]
        console(boots[2])

    return write_as(directory, results, argv=(*ARGV, "--test", "old"), also=also)


def each_patch(directory: Path) -> Recorded:
    """Five kernels, of which the fourth is the same program as the third, where a test broke."""
    good, bad = Outcome.PASS, Outcome.FAIL
    results = [
        result("aio/bad", bad if label == "0002" else good, label, detail="it is -22")
        for label in ("base", "0001", "0002", "tip")
    ]
    return write_as(
        directory,
        results,
        stack=series(4),
        steps=("base", "0001", "0002", "0003", "tip"),
        also=lambda record: record.inherit("0003", "0002"),
    )


def many(
    count: int, *, directory: Path = Path("/nowhere/20261121T000000Z-many-6.12-base-beef")
) -> Recorded:
    """So many tests on two kernels, every fiftieth of which fails with the series. They are not
    written, as a record syncs each result to the disk."""
    old, new = [], []
    for number in range(count):
        test, bad = f"suite-{number % 10}/test_{number:05d}", number % 50 == 7
        lines = "\n".join(f"line {line}" for line in range(200 if bad else 20))
        good = result(test, Outcome.PASS, "base", boot=0, duration_s=0.125, output="o\n")
        outcome = Outcome.FAIL if bad else Outcome.PASS
        old.append(good)
        new.append(result(test, outcome, boot=0, duration_s=number / 1000, output=lines))
    run = Run(
        directory=directory,
        series="many",
        base="6.12",
        kernel_release="6.12.117",
        guest="vng",
        accel="tcg",
        rows=verdict.rows(new, old),
        stages=(Stage(name="tests", duration_s=2.0),),
        stray=(Splat(kind="warning", title=f"WARNING in {EVIL}", phase="boot", boot=1),),
    )
    return Recorded(
        run=run,
        argv=("run",),
        exit=1,
        steps=("base", "tip"),
        kernels={label: kernel(label, directory) for label in ("base", "tip")},
        results=tuple(one for pair in zip(old, new, strict=True) for one in pair),
    )
