# SPDX-License-Identifier: GPL-2.0-only
"""The run directory: what a run did, written as it happens (docs/run-directory.md).

journal.jsonl is appended to and synced line by line, so a result once recorded survives any
crash; run.json comes at the end, whole.
"""

import datetime
import json
import os
import re
import secrets
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import cache
from harness.model import SCHEMA, Cell, Kernel, Result, Run, Stage, Test


class Record:
    """An open run directory. As a context manager it closes the journal."""

    def __init__(self, parent: Path, *, series: str, base: str, kconfig: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        parts = [now.strftime("%Y%m%dT%H%M%SZ"), series, base, kconfig, secrets.token_hex(2)]
        self.path = parent / "-".join(re.sub(r"[^A-Za-z0-9.+_]+", "_", part) for part in parts)
        self.path.mkdir(parents=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path / "journal.jsonl", flags, 0o644)
        self._boots = 0

    def _write(self, event: str, **fields: Any) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"schema": SCHEMA, "event": event, "time": now, **fields}, default=str)
        os.write(self._fd, line.encode() + b"\n")
        os.fsync(self._fd)

    def kernel_dir(self, label: str) -> Path:
        """kernels/<label>/ for config and build.log; label is base, tip or a patch number."""
        path = self.path / "kernels" / label
        path.mkdir(parents=True, exist_ok=True)
        return path

    def new_boot(self) -> tuple[int, Path]:
        """The next boot's number and its directory boots/<nnn>/."""
        self._boots += 1
        path = self.path / "boots" / f"{self._boots:03}"
        path.mkdir(parents=True)
        return self._boots, path

    def cell(self, cell: Cell, argv: list[str]) -> None:
        """What is run, with the patches' digests, and the command line that asked for it."""
        about = asdict(cell)
        about["stack"]["patches"] = [
            {"name": p.name, "strip": p.strip, "sha256": cache.digest(p.data)}
            for p in cell.stack.patches
        ]
        self._write("cell", cell=about, argv=argv)

    def plan(self, kernels: list[str], tests: tuple[Test, ...]) -> None:
        """Everything that is going to run, before anything does."""
        self._write("plan", kernels=kernels, tests=[test.name for test in tests])

    def stage(self, stage: Stage) -> None:
        """A stage that ended well."""
        self._write("stage", **asdict(stage))

    def kernel(self, label: str, kernel: Kernel) -> None:
        """A kernel that is ready."""
        self._write("kernel", label=label, **asdict(kernel))

    def start(self, test: str, *, kernel: str, boot: int) -> None:
        """A test begins: without a result after it, it crashed."""
        self._write("start", test=test, kernel=kernel, boot=boot)

    def result(self, result: Result) -> None:
        """A test's result, on disk when this returns."""
        self._write("result", **asdict(result))

    def finish(self, document: dict[str, Any]) -> None:
        """run.json: the whole run as one document."""
        cache.write_json(self.path / "run.json", document)
        self._write("finish", exit=document["exit"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def document(run: Run, exit_code: int, error: str = "") -> dict[str, Any]:
    """A run as the JSON of `harness run --json` (docs/design.md)."""
    results = []
    for row in run.rows:
        entry = asdict(row.result)
        if row.base is not None:
            entry["base_outcome"] = row.base.outcome
            entry["base_detail"] = row.base.detail
        if row.verdict is not None:
            entry["verdict"] = row.verdict
        results.append(entry)
    return {
        "schema": SCHEMA,
        "run_dir": str(run.directory),
        "exit": exit_code,
        "series": run.series,
        "base": run.base,
        "kernel_release": run.kernel_release,
        "guest": run.guest,
        "accel": run.accel,
        "stages": [asdict(stage) for stage in run.stages],
        "results": results,
        "splats": [asdict(splat) for splat in (*run.splats, *run.stray)],
        "warnings": list(run.warnings),
        "unfinished": list(run.unfinished),
        **({"error": error} if error else {}),
    }
