# SPDX-License-Identifier: GPL-2.0-only
"""Guests of every kind: what they have in common, and what may happen to saved ones."""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cache, series
from harness.guest import snapshot
from harness.guest.replay import Recorder, Replay
from harness.guest.session import Session
from harness.model import Cell, GuestSpec, Mount
from harness.record import Record
from harness.suites import python_tests
from harness.visit import Visit
from tests.vm import contract
from tests.vm.conftest import REPO, Harness, add_suite, processes_below

TREE = "6.12"


class Notes:
    """Looks on, and keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@contextlib.contextmanager
def booted(
    tmp_path: Path, kind: str, spec: GuestSpec | None = None
) -> Iterator[tuple[Session, list[str]]]:
    """A guest of that kind, with the kernel and the programs of aio-poll, and what was noted."""
    stack = series.load(REPO, "aio-poll")
    cell = Cell(
        stack=replace(stack, kconfigs=()),
        tree=TREE,
        suites=("aio-poll",),
        guest=spec or GuestSpec(),
        guest_kind=kind,
    )
    notes = Notes()
    watch: Any = notes
    with (
        Record(tmp_path, series="s", base="b", kconfig=kind) as record,
        Visit(cell, REPO, record, watch).guest() as guest,
    ):
        yield guest, notes.notes


def test_all_guests_keep_the_contract_alike(tmp_path: Path) -> None:
    facts = {}
    for kind in ("vng", "snapshot"):
        with booted(tmp_path, kind) as (guest, _):
            record = tmp_path / f"{kind}.jsonl"
            facts[kind] = contract.check(Recorder(guest, record))
        assert contract.check(Replay(record)) == facts[kind]
    assert facts["vng"] == facts["snapshot"]
    assert "aio-poll" in facts["vng"]


@pytest.fixture
def traces(tmp_path: Path) -> dict[str, str]:
    """The environment with a project whose only suite is tests/vm/traces."""
    area = add_suite(tmp_path / "project", "traces")
    for file in (REPO / "tests/vm/traces").iterdir():
        shutil.copy(file, area / file.name)
    return {**os.environ, "HARNESS_PROJECT": str(tmp_path / "project")}


def restored(run: Any) -> list[Path]:
    """The consoles of the guests that went on from a saved one."""
    logs = sorted(Path(run["run_dir"]).glob("boots/*/console.log"))
    words = re.compile(r"harness \w+: (restored from \w+ as boot|saved as \w+, goes on)")
    return [log for log in logs if words.search(log.read_text(errors="replace"))]


def test_no_test_sees_traces_of_another(harness: Harness, traces: dict[str, str]) -> None:
    options = ["--suite", "traces", "--repeat", "3", "--jobs", "3"]
    code, run = harness("run", *options, env=traces)
    assert code == 0, json.dumps(run["results"], indent=1)
    assert run["guest"] == "snapshot"
    assert len(restored(run)) == 12
    journal = Path(run["run_dir"], "journal.jsonl").read_text()
    random = re.findall(r"random ([0-9a-f]{32})", journal)
    assert len(random) == len(set(random)) == 12
    then = [int(second) for second in re.findall(r"date (\d+)", journal)]
    real = Path(run["run_dir"], "run.json").stat().st_mtime
    assert all(0 <= real - second < 300 for second in then), "the clock is right"
    assert not processes_below(Path(run["run_dir"]).name)


def test_with_a_guest_for_all_they_do(harness: Harness, traces: dict[str, str]) -> None:
    code, run = harness("run", "--suite", "traces", "--isolation", "run", env=traces)
    outcomes = [result["outcome"] for result in run["results"]]
    assert (code, outcomes) == (1, ["pass", "fail", "fail", "fail"])


def damage_devices(state: Path) -> None:
    """What QEMU refuses, although it is what state.json says."""
    (state / "devices").write_bytes(b"QEVM, and then nonsense")
    about = json.loads((state / "state.json").read_text())
    about["devices"] = snapshot._digest(state / "devices")
    (state / "state.json").write_text(json.dumps(about))


def flip_memory(state: Path) -> None:
    """One bit, where something is."""
    with (state / "ram").open("r+b") as file:
        at = os.lseek(file.fileno(), 1 << 20, os.SEEK_DATA)
        byte = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), at)


def cut_memory(state: Path) -> None:
    """As a copy that was interrupted leaves it."""
    os.truncate(state / "ram", 100 << 20)


@pytest.fixture
def own_states(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The directories of the states that are made meanwhile: of nobody else, and gone in the end,
    so that the next run of this test does not find them."""
    made: list[Path] = []
    keep = snapshot.keep

    def noted(state: snapshot.State, directory: Path) -> snapshot.State:
        kept = keep(state, directory)
        assert kept.directory is not None
        made.append(kept.directory)
        return kept

    monkeypatch.setattr(snapshot, "_RECIPE", secrets.token_hex(8))
    monkeypatch.setattr(snapshot, "keep", noted)
    yield made
    for directory in made:
        cache.remove(directory)


@pytest.mark.parametrize("damage", [damage_devices, flip_memory, cut_memory])
def test_a_saved_guest_that_is_damaged_is_booted_again(
    tmp_path: Path, damage: Any, own_states: list[Path]
) -> None:
    with booted(tmp_path, "snapshot") as (guest, notes):
        assert guest.run(contract.shell("true")).status == 0
        assert not notes
    (state,) = own_states
    damage(state)
    with booted(tmp_path, "snapshot") as (guest, notes):
        assert guest.run(contract.shell("echo well")).output == b"well\n"
        assert len(notes) == 1 and "saved guest" in notes[0]
    with booted(tmp_path, "snapshot") as (guest, notes):
        assert guest.run(contract.shell("true")).status == 0
        assert not notes, "the new one is good"


def test_a_qemu_that_is_killed_while_it_saves_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_states: list[Path]
) -> None:
    save = snapshot._save
    killed: list[Session] = []

    def killed_once(guest: Session, devices: Path) -> None:
        if not killed:
            killed.append(guest)
            guest.abort()
        save(guest, devices)

    monkeypatch.setattr(snapshot, "_save", killed_once)
    with booted(tmp_path, "snapshot") as (guest, _):
        assert guest.run(contract.shell("echo well")).output == b"well\n"
    assert killed and len(own_states) == 1


def test_a_saved_guest_has_its_processors_and_memory(tmp_path: Path) -> None:
    spec = GuestSpec(cpus=2, memory_mib=300)
    with booted(tmp_path, "snapshot", spec) as (guest, _):
        ended = guest.run(contract.shell("nproc; grep MemTotal /proc/meminfo"))
        processors, memory = ended.output.decode().splitlines()
        assert processors == "2"
        assert 250 << 10 < int(memory.split()[1]) < 300 << 10
        both = guest.run(contract.shell("taskset 2 sh -c 'echo $((6*7))' & taskset 1 true; wait"))
        assert (both.output, both.status) == (b"42\n", 0)


PYTHON = """
import os


def test_environment():
    assert os.environ["SAID"] == "a b=c"
    assert os.path.exists(os.environ["SCRATCH_DEV"])
"""


@pytest.mark.parametrize("kind", ["vng", "snapshot"])
def test_python_tests_have_their_environment(harness: Harness, tmp_path: Path, kind: str) -> None:
    area = add_suite(tmp_path / "project", "env")
    (area / "Makefile").write_text("TEST_PYTEST := test_env.py\ninclude ../lib/lib.mk\n")
    (area / "settings").write_text("scratch=1M\n")
    (area / "test_env.py").write_text(PYTHON)
    env = {**os.environ, "HARNESS_PROJECT": str(tmp_path / "project")}
    code, run = harness("run", "--suite", "env", "--env", "SAID=a b=c", "--guest", kind, env=env)
    assert code == 0, json.dumps(run["results"], indent=1)


def test_a_file_has_its_place_below_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = tmp_path / "one"
    placed.write_text("of the host")
    made = python_tests.contents
    more = (Mount(guest=str(placed), host=placed),)
    monkeypatch.setattr(python_tests, "contents", lambda directory: (*made(directory), *more))
    with booted(tmp_path, "snapshot") as (guest, notes):
        assert guest.run(contract.shell(f"cat {placed}")).output == b"of the host"
        assert not notes
