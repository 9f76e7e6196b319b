# SPDX-License-Identifier: GPL-2.0-only
"""What the page says of a run as a whole, as the template wants it."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import ExitCode
from harness.recorded import Recorded
from harness.report import outline
from harness.report.html.embed import visible
from harness.report.text import PHASES, rerun_command, short, trace_lines

_UNFINISHED_MAX = 2000
_LOGS: dict[int, str] = {
    ExitCode.BUILD: "kernels/*/*.log",
    ExitCode.BOOT: "boots/*/console.log",
    ExitCode.GUEST_LOST: "boots/*/console.log",
}
_LOG_BYTES, _LOG_LINES = 32 * 1024, 100


def of(one: Recorded) -> dict[str, Any]:
    """Everything by the names that report.html.j2 has."""
    run = one.run
    return {
        "title": of_title(one),
        "name": run.directory.name,
        "counts": Counter(str(row.result.outcome) for row in run.rows),
        "verdicts": Counter(str(row.verdict) for row in run.rows if row.verdict is not None),
        "end": _end(one),
        "good": one.exit == ExitCode.OK,
        "error": one.error,
        "log": _log(one),
        "facts": list(_facts(one)),
        "stages": _stages(one),
        "patches": [path.name for path in one.patches if path.name.endswith(".patch")]
        or [patch["name"] for patch in one.cell.get("stack", {}).get("patches", ())],
        "warnings": run.warnings,
        "stray": [
            {
                "title": f"{splat.kind}: {splat.title}",
                "when": f"{PHASES.get(splat.phase, 'outside of the tests')}, boot {splat.boot}",
                "on_base": splat.on_base,
                "trace": list(trace_lines(splat)),
                "text": "\n".join(splat.text),
            }
            for splat in run.stray
        ],
        "unfinished": run.unfinished[:_UNFINISHED_MAX],
        "unfinished_more": max(0, len(run.unfinished) - _UNFINISHED_MAX),
        "argv": one.command if one.argv else "",
        "rerun": rerun_command(run, list(one.argv), width=1000) if command(one) else "",
    }


def of_title(one: Recorded) -> str:
    """The name that it was given, else the series and its base."""
    base = one.run.base or "its base"  # a run that was ended before it knew
    named = f"{one.run.series} on {base}" if one.run.series != "base" else base
    return visible(one.title or named)


def command(one: Recorded) -> str:
    """The command line that ran, without what chose its tests; empty where there is none."""
    return shlex.join(outline.run_words(one, {"--test": 1}))


def _end(one: Recorded) -> str:
    if one.exit is None:
        return "killed in the middle of the run, or still going on"
    try:
        word = ExitCode(one.exit).name.lower().replace("_", " ")
    except ValueError:
        word = "unknown"
    return f"exit {one.exit} ({word})"


def _log(one: Recorded) -> dict[str, str] | None:
    """The end of the log of the stage that failed: the name it has in the run directory, and text.

    Logs are read from their ends, as a compiler's or a console's may be long."""
    pattern = _LOGS.get(one.exit or 0, "")
    found = sorted(one.directory.glob(pattern), key=_age) if pattern else []
    for path in reversed(found):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        if lines:
            return {"name": str(path.relative_to(one.directory)), "text": "\n".join(lines)}
    return None


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _facts(one: Recorded) -> Iterator[tuple[str, str]]:
    cell, run = one.cell, one.run
    guest = cell.get("guest", {})
    told = {
        "kernel": run.kernel_release,
        "base": _base(one),
        "kconfig": outline.kconfig(one),
        "compiler": cell.get("cc", ""),
        "guest": ", ".join(filter(None, [run.guest, run.accel])),
        "machine": f"{guest['cpus']} CPU, {guest['memory_mib']} MiB" if guest else "",
        "cmdline": " ".join(guest.get("cmdline", ())),
        "started": one.started[:19].replace("T", " ") + " UTC" if one.started else "",
        "thread": cell.get("stack", {}).get("thread", ""),
        "record": short(run.directory),
    }
    yield from ((name, value) for name, value in told.items() if value)


def _base(one: Recorded) -> str:
    if one.base is None:
        return one.run.base
    imported = " (of our own making: the tree has no history)" if one.base.imported else ""
    return f"{one.base.name}, {one.base.version}, commit {one.base.commit[:12]}{imported}"


def _stages(one: Recorded) -> list[dict[str, Any]]:
    longest = max((stage.duration_s for stage in one.run.stages), default=0.0)
    return [
        {
            "name": stage.name,
            "time": f"{stage.duration_s:.2f} s",
            "share": round(100 * stage.duration_s / longest, 1) if longest else 0,
        }
        for stage in one.run.stages
    ]
