# SPDX-License-Identifier: GPL-2.0-only
"""The run directory: what a run does, written as it happens (docs/run-directory.md).

journal.jsonl is appended to and synced line by line, so a result once recorded survives any
crash; run.json comes at the end, whole.
"""

import contextlib
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import cache, journal
from harness.journal import Journal
from harness.model import (
    SCHEMA,
    Base,
    Cell,
    Frame,
    Kernel,
    Mount,
    Result,
    Run,
    Series,
    Settled,
    Splat,
    Stage,
    Step,
    Test,
)


class Record(Journal):
    """An open run directory. As a context manager it closes the journal."""

    def __init__(self, parent: Path, *, series: str, base: str, kconfig: str) -> None:
        super().__init__(journal.new_directory(parent, series, base, kconfig))
        self._boots = itertools.count(1)

    def kernel_dir(self, label: str) -> Path:
        """kernels/<label>/ for config and build.log; label is base, tip or a patch number."""
        path = self.path / "kernels" / label
        path.mkdir(parents=True, exist_ok=True)
        return path

    def new_boot(self) -> tuple[int, Path]:
        """The next boot's number and its directory boots/<nnn>/."""
        number = next(self._boots)
        path = self.path / "boots" / f"{number:03}"
        path.mkdir(parents=True)
        self.write("boot", boot=number)
        return number, path

    def console(self, boot: int) -> bytes:
        """What is on the console of a boot by now; nothing where there is none."""
        with contextlib.suppress(OSError):
            return (self.path / "boots" / f"{boot:03}" / "console.log").read_bytes()
        return b""

    def cell(self, cell: Cell, argv: list[str]) -> None:
        """What is run, with the patches' digests, and the command line that asked for it."""
        about = asdict(cell)
        about["stack"]["patches"] = [
            {"name": p.name, "strip": p.strip, "sha256": hashlib.sha256(p.data).hexdigest()}
            for p in cell.stack.patches
        ]
        self.write("cell", cell=about, argv=argv)
        self._keep_patches(cell.stack)

    def _keep_patches(self, stack: Series) -> None:
        """patches/ as a quilt directory: what came from a pipe or a checkout is gone later."""
        if not stack.patches:
            return
        directory = self.path / "patches"
        directory.mkdir()
        names = []
        for number, patch in enumerate(stack.patches, 1):
            name = f"{number:04}-{re.sub(r'^[0-9]+-', '', Path(patch.name).name)}"
            (directory / name).write_bytes(patch.data)
            names.append(f"{name} -p{patch.strip}\n")
        (directory / "series").write_text("".join(names))

    def plan(self, steps: Sequence[Step], tests: Sequence[Test]) -> None:
        """Everything that is going to run, before anything does."""
        self.write(
            "plan",
            kernels=[step.label for step in steps],
            patches=[step.patch for step in steps],
            tests=[test.name for test in tests],
            details=[asdict(test) for test in tests],
        )

    def base(self, base: Base) -> None:
        """The tree before any patch."""
        self.write("base", **asdict(base))

    def inherit(self, label: str, source: str) -> None:
        """A step has the results of an earlier one, as its kernel is the same program."""
        self.write("inherit", kernel=label, source=source)

    def stage(self, stage: Stage) -> None:
        """A stage that ended well."""
        self.write("stage", **asdict(stage))

    def kernel(self, label: str, kernel: Kernel) -> None:
        """A kernel that is ready."""
        self.write("kernel", label=label, **asdict(kernel))

    def program(self, label: str, digest: str) -> None:
        """What program a kernel is (Builds.program())."""
        self.write("program", kernel=label, digest=digest)

    def start(self, test: str, *, kernel: str, boot: int) -> None:
        """A test begins: without a result after it, it crashed."""
        self.write("start", test=test, kernel=kernel, boot=boot)

    def lost(self, test: str, *, kernel: str, boot: int, what: str) -> None:
        """A guest was lost that was the host's to keep; the test starts again in a new one."""
        self.write("lost", test=test, kernel=kernel, boot=boot, what=what)

    def kmemleak(self, kernel: str) -> None:
        """The tests of a kernel are searched for leaks after their results."""
        self.write("kmemleak", kernel=kernel)

    def searched(self, kernel: str, boot: int) -> None:
        """The results so far of a guest stand, as far as leaks go."""
        self.write("searched", kernel=kernel, boot=boot)

    def contexts(
        self, label: str, contexts: Mapping[str, str], mounts: Sequence[Mount] = ()
    ) -> None:
        """What the results of a step depend on, by test (context.py), and where the suites'
        programs and modules are."""
        places = {mount.guest: str(mount.host) for mount in mounts}
        self.write("contexts", kernel=label, tests=dict(contexts), mounts=places)

    def result(self, result: Result, known_from: str = "") -> None:
        """A test's result, on disk when this returns; of another run where one is named."""
        more = {"known_from": known_from} if known_from else {}
        self.write("result", **asdict(result), **more)

    def amend(self, result: Result) -> None:
        """A result that was recorded, with what was found out since: it counts in its place."""
        self.write("amended", **asdict(result))

    def splats(self, result: Result) -> None:
        """The splats of a result that was recorded, with what was found out since."""
        splats = [asdict(splat) for splat in result.splats]
        about = {"test": result.test, "kernel": result.kernel, "round": result.round}
        self.write("splats", **about, splats=splats)

    def stray(self, label: str, splats: Sequence[Splat]) -> None:
        """All splats so far that no test of a kernel has; the last such line counts."""
        self.write("stray", kernel=label, splats=[asdict(splat) for splat in splats])

    def frames(self, label: str, frames: Sequence[Frame]) -> None:
        """Where frames of traces are that no splat has: those of what was made to fail."""
        self.write("frames", kernel=label, frames=[asdict(frame) for frame in frames])

    def settled(self, one: Settled) -> None:
        """What reruns of a test have shown."""
        self.write("settled", **asdict(one))

    def finish(self, document: dict[str, Any]) -> None:
        """run.json: the whole run as one document."""
        cache.write_json(self.path / "run.json", document)
        self.write("finish", exit=document["exit"])


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
        if row.metrics:
            entry["comparisons"] = [
                {**asdict(one), "changed": one.changed, "improved": one.improved}
                for one in row.metrics
            ]
        if row.total > 1:
            entry |= {"runs": row.total, "good": row.good}
        if row.settled is not None:
            entry["reruns"] = asdict(row.settled)
        if row.marks:
            entry["patches"] = {mark.patch: mark.outcome for mark in row.marks if mark.patch}
            entry["first_bad"] = row.first_bad or None
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
        **({"sites": [asdict(site) for site in run.sites]} if run.sites else {}),
        **({"inherited": _inherited(run)} if any(row.marks for row in run.rows) else {}),
        **({"error": error} if error else {}),
    }


def _inherited(run: Run) -> dict[str, str]:
    """Patches whose kernel is the same program as an earlier step's: the label of that step."""
    marks = [mark for row in run.rows for mark in row.marks]
    return {mark.patch: mark.inherited for mark in marks if mark.inherited}
