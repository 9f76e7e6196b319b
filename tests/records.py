# SPDX-License-Identifier: GPL-2.0-only
"""Run directories for tests of reports: journals as a run writes them, and consoles."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import recorded
from harness.model import Kernel, Outcome, Result, Row, Run, Splat, Stage, Verdict
from harness.recorded import Recorded

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


def result(test: str, outcome: str = "pass", kernel: str = "tip", **more: Any) -> dict[str, Any]:
    """A result as the journal has it."""
    return {
        "test": test,
        "outcome": outcome,
        "kernel": kernel,
        "boot": 1,
        "round": 1,
        "duration_s": 0.25,
        "detail": "",
        "output": "KTAP version 1\n1..1\nok 1 one\n",
        "subtests": [{"name": "one", "outcome": "pass", "detail": ""}],
        "splats": [],
        **more,
    }


def splat(**more: Any) -> dict[str, Any]:
    """A splat as the journal has it, with a frame whose place is known."""
    inline = {"function": "inner", "file": "fs/aio.c", "line": 7, "patch": "0001-a.patch"}
    frame = {"function": "aio_poll_wake", "offset": 0xA9, "size": 0x1EB, "exact": True}
    place = {"file": "fs/aio.c", "line": 12, "patch": "0002-b.patch", "inlines": [inline]}
    return {
        "kind": "null-deref",
        "title": "kernel NULL pointer dereference in aio_poll_wake",
        "function": "aio_poll_wake",
        "fingerprint": ["null-deref"],
        "line_from": 5,
        "line_to": 6,
        "text": ["BUG: kernel NULL pointer dereference, address: 0000000000000008"],
        "frames": [{**frame, **place}],
        "boot": 3,
        **more,
    }


def write(
    directory: Path,
    results: Sequence[Mapping[str, Any]],
    *,
    steps: Sequence[str] = ("base", "tip"),
    patches: Sequence[str] = (),
    extra: Sequence[Mapping[str, Any]] = (),
    exit_code: int | None = 1,
    error: str = "",
) -> Recorded:
    """A run directory with these results, read again; without `exit_code` the run was killed."""
    stack = {"name": "demo", "patches": [{"name": f"{patch}.patch"} for patch in patches if patch]}
    tests = list(dict.fromkeys(one["test"] for one in results))
    events: list[Mapping[str, Any]] = [
        {
            "event": "cell",
            "cell": {"stack": stack, "tree": "6.12"},
            "argv": ["run", "--series", "demo", "--base", "--test", "old"],
        },
        {"event": "stage", "name": "tests", "duration_s": 1.5},
    ]
    if results:
        named = list(patches) or [""] * len(steps)
        events.append({"event": "plan", "kernels": steps, "patches": named, "tests": tests})
    events += [{"event": "result", **one} for one in results]
    events += extra
    directory.mkdir(parents=True, exist_ok=True)
    if exit_code is not None:
        events.append({"event": "finish", "exit": exit_code})
        (directory / "run.json").write_text(json.dumps({"error": error, "guest": "snapshot"}))
    lines = [{"schema": 1, "time": "2026-11-21T21:29:04.503+00:00", **one} for one in events]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (directory / "journal.jsonl").write_text(text)
    return recorded.load(directory)


def console(directory: Path, boot: int, text: str = CONSOLE) -> Path:
    """The console of a boot."""
    path = directory / f"boots/{boot:03d}/console.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.replace("\n", "\r\n").encode())
    return path


def crashed(directory: Path) -> Recorded:
    """A good test, one that crashes with the series, one with an evil name; reruns of the crash."""
    console(directory, 3)
    bad: dict[str, Any] = {
        "splats": [splat()],
        "detail": "null-deref: kernel NULL pointer",
        "boot": 3,
    }
    return write(
        directory,
        [
            *(result(test, kernel="base") for test in ("aio/good", "aio/bad", f"aio/{EVIL}")),
            result("aio/good", boot=3),
            result("aio/bad", "crash", **bad),
            result(f"aio/{EVIL}", output=NASTY),
            result("aio/bad", "crash", round=2, **{**bad, "boot": 4}),
        ],
    )


def each_patch(directory: Path) -> Recorded:
    """Five kernels, of which the fourth is the same program as the third, where a test broke."""
    steps = ("base", "0001", "0002", "0003", "tip")
    patches = ("", "0001-a", "0002-b", "0003-c", "0004-d")
    results = [
        result("aio/bad", "fail" if label == "0002" else "pass", kernel=label, detail="it is -22")
        for label in ("base", "0001", "0002", "tip")
    ]
    same = {"event": "inherit", "kernel": "0003", "source": "0002"}
    return write(directory, results, steps=steps, patches=patches, extra=[same])


def many(
    count: int, *, directory: Path = Path("/nowhere/20261121T000000Z-many-6.12-base-beef")
) -> Recorded:
    """So many tests on two kernels, every fiftieth of which fails with the series."""
    rows, results = [], []
    for number in range(count):
        test = f"suite-{number % 10}/test_{number:05d}"
        bad = number % 50 == 7
        old = Result(test=test, outcome=Outcome.PASS, kernel="base", duration_s=0.125, output="o\n")
        new = Result(
            test=test,
            outcome=Outcome.FAIL if bad else Outcome.PASS,
            duration_s=number / 1000,
            output="\n".join(f"line {line}" for line in range(200 if bad else 20)),
        )
        verdict = Verdict.NEW if bad else None
        rows.append(Row(result=new, base=old, verdict=verdict, all_results=(new,)))
        results += [old, new]
    run = Run(
        directory=directory,
        series="many",
        base="6.12",
        kernel_release="6.12.7",
        guest="vng",
        accel="tcg",
        rows=tuple(rows),
        stages=(Stage(name="tests", duration_s=2.0),),
        stray=(Splat(kind="warning", title=f"WARNING in {EVIL}", phase="boot", boot=1),),
    )
    kernels = {
        label: Kernel(key=label, release="6.12.7", tree="", dir=directory, cached=True)
        for label in ("base", "tip")
    }
    return Recorded(
        run=run,
        argv=("run",),
        exit=1,
        steps=("base", "tip"),
        kernels=kernels,
        results=tuple(results),
    )
