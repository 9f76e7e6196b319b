# SPDX-License-Identifier: GPL-2.0-only
"""A room imports only from rooms below it (docs/design.md, "Rooms and layers")."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "harness"
LAYERS = (
    (
        "errors",
        "model.source",
        "model.splat",
        "model.metric",
        "model.matrix",
        "model.bisect",
        "model.fault",
        "agent.pytest_server",
        "agent.pytest_once",
    )
    + ("splat.frames", "splat.lines", "splat.families", "crash.waits"),
    ("uses", "crash.core", "crash.text"),
    ("model.guest", "cache", "crash.aio"),
    ("model.run", "crash.locks"),
    ("model", "crash.script"),
    ("ktap_line",),
    ("splat.faults", "splat.checkers", "splat.watchdogs", "splat.restart"),
    ("splat.signatures", "splat.report"),
    ("splat.stream",),
    (
        "proc",
        "elf",
        "ktap",
        "splat",
        "marks",
        "trace",
        "stats",
        "perf",
        "project",
        "yamlfile",
        "diff",
        "breaker",
        "kconfig_reason",
        "journal",
        "host",
    ),
    ("kunit", "verdict", "residue", "kmemleak", "stock", "choice", "hang")
    + ("crash", "crash.__main__"),
    ("posterior",),
    ("disuse",),
    ("git", "fetch", "config", "series", "mbox", "toolchain", "kconfig", "console", "store")
    + ("guest.channel", "guest.qmp", "guest.dump", "guest", "suites"),
    ("image", "parcel", "inputs")
    + ("tree", "apply", "thread", "slot", "kbuild", "guest.agent", "guest.accel", "guest.qemu")
    + ("guest.disk", "guest.root", "suites.python_tests", "suites.scratch"),
    ("guest.autopsy",),
    ("guest.session", "lineage"),
    ("guest.vng", "kernel", "recompile", "blame", "modules", "checkout", "menuconfig")
    + ("suites.guest_tests", "suites.command", "suites.judge"),
    ("guest.machine", "guest.replay", "symbols", "matrix.file"),
    ("places", "failnth"),
    ("guest.snapshot",),
    ("record", "history", "context", "steps", "check", "doctor", "plan", "watch", "intake")
    + ("apply_bisect",),
    ("recorded", "retention", "render.words", "shots", "seat"),
    ("render",),
    ("repro.cell",),
    ("repro.material",),
    ("repro.files", "repro.hosted", "repro.readme"),
    ("repro",),
    ("saved", "stages", "known", "earlier"),
    ("report.paint", "report.plot", "report.words"),
    ("report",),
    ("report.patches", "report.sites", "report.figures"),
    ("boots",),
    ("leaks", "report.text", "report.table", "report.posted"),
    ("report.outline",),
    ("report.junit", "report.kcidb", "report.b4", "report.markdown", "report.mail"),
    ("report.html.embed", "report.html.consoles", "report.html.matrix", "execution"),
    ("report.html.facts", "report.html.details"),
    ("report.html.payload",),
    ("report.html",),
    ("builds", "reruns", "measure", "comparison"),
    ("ready",),
    ("pipeline", "visit", "ahead"),
    ("hosted",),
    ("lent",),
    ("terminal", "executors"),
    ("matrix", "executors.progress", "executors.desk", "executors.packet"),
    ("executors.local", "executors.packing", "executors.link"),
    ("executors.remote",),
    ("executors.dask",),
    ("matrix.record", "matrix.outcome", "matrix.schedule"),
    ("matrix.past", "matrix.run"),
    ("matrix.plan", "matrix.view"),
    ("matrix.page", "matrix.summary", "matrix.news", "matrix.live"),
    ("matrix.nightly", "matrix.serve"),
    ("bisect", "bisect.commits", "bisect.patches", "bisect.options", "bisect.signature")
    + ("bisect.warm",)
    + ("bisect.ends",),
    ("bisect.record", "bisect.evidence", "bisect.search", "bisect.subset"),
    ("bisect.run",),
    ("bisect.view",),
    ("bisect.outcome", "bisect.facts"),
    ("bisect.failing", "bisect.table", "bisect.replay"),
    ("bisect.answer", "bisect.bars"),
    ("bisect.text", "bisect.bundle", "bisect.picture"),
    ("bisect.mail", "bisect.page"),
    ("cli.screen",),
    ("cli.parser", "cli.completion", "cli.around"),
    ("cli.cell",),
    ("pytest_cell", "pytest_report"),
    ("pytest_plugin",),
    (
        "cli.runs",
        "cli.boot",
        "cli.series",
        "cli.machine",
        "cli.cache",
        "cli.matrix",
        "cli.ci",
        "cli.judge",
        "cli.history",
    ),
    ("cli.run", "cli.repro", "cli.nightly", "cli.bisections"),
    ("cli.bisect",),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def rooms() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [
                name if name.removeprefix("harness.") in LAYER_OF else str(node.module)
                for name in inner
            ]
        else:
            continue
        found |= {name.removeprefix("harness.") for name in names if name.startswith("harness.")}
    return found


@pytest.mark.parametrize("path", rooms(), ids=name_of)
def test_a_room_imports_only_from_below(path: Path) -> None:
    own = LAYER_OF[name_of(path)]
    wrong = {room for room in imported(path) if LAYER_OF[room] >= own}
    assert not wrong


def test_the_test_sees_an_import_upwards(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def late():\n    from harness import cli\n    import harness.guest.vng\n")
    assert imported(bad) == {"cli", "guest.vng"}
