# SPDX-License-Identifier: GPL-2.0-only
"""Runs of the past, as their directories tell them (docs/run-directory.md).

Everything comes from the journal, so a run that was killed in the middle can be read as well.
"""

import contextlib
import datetime
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from harness import cache, failnth, journal, verdict
from harness.journal import STAMP
from harness.model import (
    Base,
    Better,
    Disk,
    Frame,
    Kernel,
    Metric,
    Outcome,
    Result,
    Run,
    Settled,
    Splat,
    Stage,
    Subtest,
    Tally,
    Test,
    Verdict,
    fault_of,
    frame_of,
    splat_of,
)

Events = dict[str, list[dict[str, Any]]]
"""The lines of a journal by their event, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run as its directory tells it.

    `argv` is the harness's, `exit` None when it was killed, `error` why a stage failed. `cell` is
    what was run, as the journal has it (model.Cell as JSON), `steps` the labels of its kernels in
    order. `kernels` has those that were built, by label; `tests` the plan, by name; `results`
    everything that ran on any kernel; `contexts` what that depended on (context.py), by label and
    test, `mounts` what guests saw of programs and modules, by label and place, all of which may be
    gone. What a journal of an older version does not say is empty. `title` is what somebody else
    calls it, as a matrix its cell.
    """

    run: Run
    argv: tuple[str, ...] = ()
    started: str = ""
    exit: int | None = None
    error: str = ""
    cell: Mapping[str, Any] = field(default_factory=dict)
    base: Base | None = None
    steps: tuple[str, ...] = ()
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    tests: Mapping[str, Test] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    contexts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mounts: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    title: str = ""

    @property
    def of_pytest(self) -> bool:
        """The run is that of the host's pytest, whose command line `argv` is (docs/pytest.md)."""
        return self.argv[:1] == ("pytest",)

    @property
    def command(self) -> str:
        """The command line, for a shell."""
        return shlex.join(self.argv if self.of_pytest else ("harness", *self.argv))

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.run.directory

    @property
    def patches(self) -> tuple[Path, ...]:
        """The patches that were applied, in order, as the run directory keeps them."""
        return patches_of(self.directory)

    @property
    def patch_hashes(self) -> tuple[str, ...]:
        """Their SHA-256; empty where nothing of a patch was kept, as older versions did."""
        told = [one.get("sha256", "") for one in self.cell.get("stack", {}).get("patches", ())]
        if all(len(one) == 64 for one in told):
            return tuple(told)
        found = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.patches]
        return tuple(found) if len(found) == len(told) else ()

    @property
    def patch_count(self) -> int:
        """How many were applied."""
        return len(self.cell.get("stack", {}).get("patches", ()))


def recent(parent: Path | None = None) -> list[Path]:
    """The run directories below `parent`, the newest first; those of this user without it."""
    return journal.recent(parent or cache.runs())


def find(name: str = "") -> Path:
    """The run directory of a path, a name or the beginning of one, the newest for no name."""
    return journal.find(name, recent(), what="run", hint="`harness list` shows them")


def short_name(directory: Path) -> str:
    """What a person types for a run: the end of its name, a path where that is elsewhere."""
    return directory.name[-4:] if directory.parent == cache.runs() else str(directory)


def results_of(directory: Path, label: str) -> tuple[tuple[Result, ...], tuple[Splat, ...]]:
    """The results of one step of a run, in its first round, and its splats of no test."""
    found: list[Result] = []
    stray: tuple[Splat, ...] = ()
    for event in journal.amended(journal.read(directory)):
        if event.get("kernel") != label:
            continue
        if event["event"] == "result" and event.get("round", 1) == 1:
            found.append(_result(event))
        elif event["event"] == "stray":
            stray = tuple(splat_of(one) for one in event["splats"])
    return tuple(found), stray


def load(directory: Path) -> Recorded:
    """What the journal says."""
    events: Events = {}
    for event in journal.amended(journal.read(directory)):
        events.setdefault(event["event"], []).append(event)
    unknown = {"cell": {"stack": {"name": "?"}, "tree": "?"}, "argv": []}
    unknown["time"] = _stamped(directory.name)
    cell = events.get("cell", [unknown])[0]  # killed before it had said what it runs
    plan = events.get("plan", [{"kernels": ["tip"], "tests": []}])[0]
    known = document_of(directory)
    results = _results(events)
    return Recorded(
        run=_run(directory, cell["cell"], plan, events=events, results=results, known=known),
        argv=tuple(cell["argv"]),
        started=cell["time"],
        exit=events.get("finish", [{}])[0].get("exit"),
        error=known.get("error", ""),
        cell=cell["cell"],
        base=next((_base(event) for event in events.get("base", ())), None),
        steps=tuple(plan["kernels"]),
        kernels={event["label"]: _kernel(event) for event in events.get("kernel", ())},
        tests={one["name"]: _test(one) for one in plan.get("details", ())},
        results=tuple(results),
        contexts={event["kernel"]: event["tests"] for event in events.get("contexts", ())},
        mounts={
            event["kernel"]: {place: Path(host) for place, host in event.get("mounts", {}).items()}
            for event in events.get("contexts", ())
        },
    )


def patches_of(directory: Path) -> tuple[Path, ...]:
    """The patches that a run directory keeps, in order."""
    place = directory / "patches"
    series = place / "series"
    lines = series.read_text().splitlines() if series.exists() else []
    return tuple(place / (line.rpartition(" -p")[0] or line) for line in lines if line)


def cell_of(directory: Path) -> Mapping[str, Any]:
    """What a run is of, as its journal begins; empty where that is not known."""
    first = next(journal.read(directory), {})
    return first.get("cell", {}) if first.get("event") == "cell" else {}


def document_of(directory: Path) -> Mapping[str, Any]:
    """The JSON document that a run ended with; empty where it was killed."""
    found = cache.read_json(directory / "run.json")
    return found if isinstance(found, dict) else {}


def argv_of(directory: Path) -> tuple[str, ...]:
    """The command line of a run, as its journal begins; empty where that is not known."""
    with contextlib.suppress(OSError):  # removed meanwhile
        return tuple(next(journal.read(directory), {}).get("argv", ()))
    return ()


def exit_of(directory: Path) -> int | None:
    """How a run ended; None when it was killed, goes on or is gone."""
    with contextlib.suppress(OSError):
        events = journal.read(directory)
        return next((one["exit"] for one in events if one.get("event") == "finish"), None)
    return None


def _run(
    directory: Path,
    cell: Mapping[str, Any],
    plan: Mapping[str, Any],
    *,
    events: Events,
    results: Sequence[Result],
    known: Mapping[str, Any],
) -> Run:
    label = plan["kernels"][-1]
    columns = _columns(plan, events, results)
    tip = columns[-1].results
    before = [one for one in results if one.kernel == "base" != label]
    stray = {e["kernel"]: [splat_of(one) for one in e["splats"]] for e in events.get("stray", ())}
    ran = {e["kernel"]: e["source"] for e in events.get("inherit", ())}.get(label, label)
    shown = verdict.fingerprints(before, () if label == "base" else stray.get("base", ()))
    return Run(
        directory=directory,
        series=cell["stack"]["name"],
        base=known.get("base") or cell["tree"] or "?",
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
        sites=failnth.sites(tip, _places(events, label), stray.get(ran, ())),
    )


def _places(events: Events, label: str) -> dict[Frame, Frame]:
    """What was found out of frames of a kernel's traces, by the frames as they were."""
    lines = [event["frames"] for event in events.get("frames", ()) if event["kernel"] == label]
    return {frame.bare: frame for one in lines for frame in map(frame_of, one)}


def _settled(events: Events) -> dict[str, Settled]:
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
    plan: Mapping[str, Any], events: Events, results: Sequence[Result]
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


def _results(events: Events) -> list[Result]:
    """All results, with what was found out later of their splats."""
    later = {journal.result_key(event): event["splats"] for event in events.get("splats", ())}
    return [
        _result({**event, "splats": later.get(journal.result_key(event), event["splats"])})
        for event in events.get("result", ())
    ]


def _stamped(name: str) -> str:
    """The time that a run directory's name begins with, as ISO 8601 has it; empty for none."""
    try:
        stamp = datetime.datetime.strptime(name[:16], STAMP).replace(tzinfo=datetime.UTC)
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
        fault=fault_of(event.get("fault")),
        metrics=tuple(
            Metric(name=m["name"], value=m["value"], unit=m["unit"], better=Better(m["better"]))
            for m in event.get("metrics", ())
        ),
        autopsy=tuple(event.get("autopsy", ())),
        retried=tuple(event.get("retried", ())),
    )


def _base(event: Mapping[str, Any]) -> Base:
    return Base(
        name=event["name"],
        mirror=Path(event["mirror"]),
        commit=event["commit"],
        tree=event["tree"],
        version=event["version"],
        imported=event["imported"],
    )


def _kernel(event: Mapping[str, Any]) -> Kernel:
    return Kernel(
        key=event["key"],
        release=event["release"],
        tree=event["tree"],
        dir=Path(event["dir"]),
        cached=event["cached"],
        boots=event.get("boots", "bzImage"),
        image_digest=event.get("image_digest", ""),
        warnings=tuple(event["warnings"]),
    )


def _test(told: Mapping[str, Any]) -> Test:
    known = {one.name for one in fields(Test)}  # a newer harness may say more
    lists = {key: tuple(told[key]) for key in ("argv", "expect_splat", "server")}
    disk = Disk(**told["disk"]) if told["disk"] else None
    kept = {key: value for key, value in told.items() if key in known}
    return Test(**{**kept, **lists, "disk": disk})
