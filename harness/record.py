# SPDX-License-Identifier: GPL-2.0-only
"""The run directory: what a run did, written as it happens (docs/run-directory.md).

journal.jsonl is appended to and synced line by line, so a result once recorded survives any
crash; run.json comes at the end, whole.
"""

import contextlib
import datetime
import itertools
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import cache, verdict
from harness.errors import HostError, UsageError
from harness.model import (
    SCHEMA,
    Cell,
    Kernel,
    Outcome,
    Result,
    Run,
    Series,
    Settled,
    Splat,
    Stage,
    Step,
    Subtest,
    Tally,
    Test,
    Verdict,
    splat_of,
)

_STAMP = "%Y%m%dT%H%M%SZ"


class Record:
    """An open run directory. As a context manager it closes the journal."""

    def __init__(self, parent: Path, *, series: str, base: str, kconfig: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        parts = [now.strftime(_STAMP), series, base, kconfig]
        name = "-".join(re.sub(r"[^A-Za-z0-9.+_]+", "_", part) for part in parts)
        self.path = _make_unique(parent, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path / "journal.jsonl", flags, 0o644)
        self._boots = itertools.count(1)

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
        number = next(self._boots)
        path = self.path / "boots" / f"{number:03}"
        path.mkdir(parents=True)
        self._write("boot", boot=number)
        return number, path

    def cell(self, cell: Cell, argv: list[str]) -> None:
        """What is run, with the patches' digests, and the command line that asked for it."""
        about = asdict(cell)
        about["stack"]["patches"] = [
            {"name": p.name, "strip": p.strip, "sha256": cache.digest(p.data)}
            for p in cell.stack.patches
        ]
        self._write("cell", cell=about, argv=argv)
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
        self._write(
            "plan",
            kernels=[step.label for step in steps],
            patches=[step.patch for step in steps],
            tests=[test.name for test in tests],
        )

    def inherit(self, label: str, source: str) -> None:
        """A step has the results of an earlier one, as its kernel is the same program."""
        self._write("inherit", kernel=label, source=source)

    def stage(self, stage: Stage) -> None:
        """A stage that ended well."""
        self._write("stage", **asdict(stage))

    def kernel(self, label: str, kernel: Kernel) -> None:
        """A kernel that is ready."""
        self._write("kernel", label=label, **asdict(kernel))

    def start(self, test: str, *, kernel: str, boot: int) -> None:
        """A test begins: without a result after it, it crashed."""
        self._write("start", test=test, kernel=kernel, boot=boot)

    def contexts(self, label: str, contexts: Mapping[str, str]) -> None:
        """What the results of a step depend on, by test (context.py)."""
        self._write("contexts", kernel=label, tests=dict(contexts))

    def result(self, result: Result, known_from: str = "") -> None:
        """A test's result, on disk when this returns; of another run where one is named."""
        more = {"known_from": known_from} if known_from else {}
        self._write("result", **asdict(result), **more)

    def splats(self, result: Result) -> None:
        """The splats of a result that was recorded, with what was found out since."""
        splats = [asdict(splat) for splat in result.splats]
        about = {"test": result.test, "kernel": result.kernel, "round": result.round}
        self._write("splats", **about, splats=splats)

    def stray(self, label: str, splats: Sequence[Splat]) -> None:
        """All splats so far that no test of a kernel has; the last such line counts."""
        self._write("stray", kernel=label, splats=[asdict(splat) for splat in splats])

    def settled(self, one: Settled) -> None:
        """What reruns of a test have shown."""
        self._write("settled", **asdict(one))

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


def _make_unique(parent: Path, name: str) -> Path:
    """A new directory of that name and four hexadecimal digits that nobody has in this second."""
    parent.mkdir(parents=True, exist_ok=True)
    for _ in range(1000):
        path = parent / f"{name}-{secrets.token_hex(2)}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise HostError(f"{parent} has all the names that {name}-xxxx could have")


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
        **({"inherited": _inherited(run)} if any(row.marks for row in run.rows) else {}),
        **({"error": error} if error else {}),
    }


def _inherited(run: Run) -> dict[str, str]:
    """Patches whose kernel is the same program as an earlier step's: the label of that step."""
    marks = [mark for row in run.rows for mark in row.marks]
    return {mark.patch: mark.inherited for mark in marks if mark.inherited}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run as its directory tells it: `argv` of the harness, `exit` None when it was killed."""

    run: Run
    argv: tuple[str, ...]
    started: str
    exit: int | None


def recent() -> list[Path]:
    """The run directories of this user, the newest first."""
    return sorted(p for p in cache.runs().iterdir() if (p / "journal.jsonl").exists())[::-1]


def results_of(directory: Path, label: str) -> tuple[tuple[Result, ...], tuple[Splat, ...]]:
    """The results of one step of a run, in its first round, and its splats of no test."""
    lines = (directory / "journal.jsonl").read_text(errors="replace").splitlines()
    found: list[Result] = []
    stray: tuple[Splat, ...] = ()
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if event.get("kernel") != label:
                continue
            if event["event"] == "result" and event.get("round", 1) == 1:
                found.append(_result(event))
            elif event["event"] == "stray":
                stray = tuple(splat_of(one) for one in event["splats"])
    return tuple(found), stray


def find(name: str = "") -> Path:
    """The run directory of a path, a name or the beginning of one, the newest for no name."""
    if name and (Path(name) / "journal.jsonl").exists():
        return Path(name)
    found = [path for path in recent() if path.name.startswith(name) or path.name.endswith(name)]
    if not found:
        what = f"no run {name}" if name else "no run yet"
        raise UsageError(f"{what} in {cache.runs()}", hint="`harness list` shows them")
    return found[0]


def load(directory: Path) -> Recorded:
    """What the journal says, so a run that was killed in the middle can be read as well."""
    lines = (directory / "journal.jsonl").read_text(errors="replace").splitlines()
    events: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        with contextlib.suppress(ValueError):  # the last line of a killed harness
            event = json.loads(line)
            events.setdefault(event["event"], []).append(event)
    unknown = {"cell": {"stack": {"name": "?"}, "tree": "?"}, "argv": []}
    unknown["time"] = _stamped(directory.name)
    cell = events.get("cell", [unknown])[0]  # killed before it had said what it runs
    plan = events.get("plan", [{"kernels": ["tip"], "tests": []}])[0]
    later = {_of(event): event["splats"] for event in events.get("splats", ())}
    results = [
        _result({**event, "splats": later.get(_of(event), event["splats"])})
        for event in events.get("result", ())
    ]
    label = plan["kernels"][-1]
    columns = _columns(plan, events, results)
    tip = columns[-1].results
    known = cache.read_json(directory / "run.json") or {}
    before = [one for one in results if one.kernel == "base" != label]
    stray = {e["kernel"]: [splat_of(one) for one in e["splats"]] for e in events.get("stray", ())}
    ran = {e["kernel"]: e["source"] for e in events.get("inherit", ())}.get(label, label)
    shown = verdict.fingerprints(before, () if label == "base" else stray.get("base", ()))
    run = Run(
        directory=directory,
        series=cell["cell"]["stack"]["name"],
        base=known.get("base") or cell["cell"]["tree"],
        kernel_release=next((e["release"] for e in events.get("kernel", ())), ""),
        guest=known.get("guest", ""),
        accel=known.get("accel", ""),
        stages=tuple(
            Stage(name=e["name"], duration_s=e["duration_s"]) for e in events.get("stage", ())
        ),
        rows=verdict.table(columns, shown, _settled(events)),
        splats=tuple(splat for one in results for splat in one.splats),
        stray=verdict.marked(stray.get(ran, ()), shown),
        warnings=tuple(known.get("warnings", ())),
        unfinished=tuple(t for t in plan["tests"] if t not in {one.test for one in tip}),
    )
    finish = events.get("finish", [{}])[0]
    return Recorded(
        run=run,
        argv=tuple(cell["argv"]),
        started=cell["time"],
        exit=finish.get("exit"),
    )


def _settled(events: dict[str, list[dict[str, Any]]]) -> dict[str, Settled]:
    found = {}
    for event in events.get("settled", ()):
        found[event["test"]] = Settled(
            test=event["test"],
            step=event["step"],
            verdict=Verdict(event["verdict"]),
            probability=event["probability"],
            base=Tally(**event["base"]),
            patched=Tally(**event["patched"]),
        )
    return found


def _columns(
    plan: dict[str, Any], events: dict[str, list[dict[str, Any]]], results: Sequence[Result]
) -> list[verdict.Column]:
    """What each step of the plan came to."""
    built = {event["label"] for event in events.get("kernel", ())}
    source = {event["kernel"]: event["source"] for event in events.get("inherit", ())}
    found: dict[str, verdict.Column] = {}
    for label, patch in zip(
        plan["kernels"], plan.get("patches", [""] * len(plan["kernels"])), strict=True
    ):
        own = tuple(one for one in results if one.kernel == label)
        like = found[source[label]].results if label in source else ()
        found[label] = verdict.Column(
            label=label,
            patch=patch,
            results=(*own, *verdict.inherited(like, label)),
            inherited=source.get(label, ""),
            built=label in built,
        )
    return list(found.values())


def _of(event: dict[str, Any]) -> tuple[Any, ...]:
    """Which result an event is about."""
    return event["test"], event["kernel"], event.get("round", 1)


def _stamped(name: str) -> str:
    """The time that a run directory's name begins with, as ISO 8601 has it; empty for none."""
    try:
        stamp = datetime.datetime.strptime(name[:16], _STAMP).replace(tzinfo=datetime.UTC)
    except ValueError:
        return ""
    return stamp.isoformat(timespec="seconds")


def _result(event: dict[str, Any]) -> Result:
    return Result(
        test=event["test"],
        outcome=Outcome(event["outcome"]),
        kernel=event["kernel"],
        boot=event["boot"],
        round=event.get("round", 1),
        duration_s=event["duration_s"],
        detail=event["detail"],
        output=event["output"],
        subtests=tuple(
            Subtest(name=s["name"], outcome=Outcome(s["outcome"]), detail=s["detail"])
            for s in event["subtests"]
        ),
        splats=tuple(splat_of(splat) for splat in event["splats"]),
    )
