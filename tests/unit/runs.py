# SPDX-License-Identifier: GPL-2.0-only
"""Run directories for tests of what reads them, written as a run writes them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.model import (
    Base,
    Better,
    Cell,
    Frame,
    Kernel,
    Metric,
    Outcome,
    Patch,
    Result,
    Series,
    Settled,
    Splat,
    Step,
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
    name = ("first", "second", "third")[number - 1]
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
) -> Recorded:
    """Write a run and read it again. `exit_code` None: it was killed; a kernel of `steps` was
    built where there are results of it."""
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
