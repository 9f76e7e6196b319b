# SPDX-License-Identifier: GPL-2.0-only
"""guest-tests/fsx/fsx-aio finds what is wrong, and its output is enough to do it again."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import proc

FSX = Path(__file__).parents[2] / "guest-tests/fsx"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fsx")
    argv = ["make", "-s", "-C", str(FSX), f"OUTPUT={out}", str(out / "fsx-aio")]
    assert proc.run(argv, timeout_s=60).status == 0
    return out / "fsx-aio"


def run(program: Path, *arguments: str | Path) -> proc.Completed:
    done = proc.run([str(program), *map(str, arguments)], timeout_s=60)
    if done.status == 4:
        pytest.skip(done.text)
    return done


@contextmanager
def meddling(path: Path) -> Iterator[None]:
    """Somebody else writes to the file all the time."""
    over = threading.Event()

    def write() -> None:
        with path.open("r+b") as file:
            while not over.is_set():
                os.pwrite(file.fileno(), b"X" * 100, 30000)

    thread = threading.Thread(target=write)
    path.write_bytes(b"")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_seed_gives_the_same_operations(program: Path, tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("first", "second", "other")]
    for log, seed in zip(logs, ("7", "7", "8"), strict=True):
        done = run(program, "--seed", seed, "--ops", "2000", "--log", log, tmp_path)
        assert done.status == 0, done.text
    first, second, other = (log.read_text() for log in logs)
    assert first == second and len(first.splitlines()) == 2001
    assert first != other


def test_a_run_json_is_a_log(program: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    run(program, "--ops", "1000", "--round-ops", "1000", "--log", first, tmp_path)
    output = "KTAP version 1\n1..1\n" + first.read_text() + "# fsx-aio end\n# 5 wait 3\n"
    recorded = tmp_path / "run.json"
    recorded.write_text(json.dumps({"results": [{"output": output}]}, indent=1))
    done = run(program, "--replay", recorded, "--log", again, tmp_path)
    assert done.status == 0, done.text
    # Each round ends with a comparison of its own.
    assert again.read_text() == first.read_text() + "# 1000 verify\n"


def test_a_log_that_was_cut_is_refused(program: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(program, "--ops", "100", "--round-ops", "100", "--log", log, tmp_path)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:40] + lines[50:]))
    done = run(program, "--replay", log, tmp_path)
    assert done.status == 1 and "operation 49 comes after 39 others" in done.text


def test_bytes_of_somebody_else_are_found_and_told(program: Path, tmp_path: Path) -> None:
    file, log, saved = tmp_path / "file", tmp_path / "log", tmp_path / "output"
    head = "align=1 memalign=1 size=1048576 length=65536 depth=64 direct=0"
    ops = ["write 0 65536 0001", "wait 0", "read 5 65000 1f2e", "wait 2"]
    lines = [f"# fsx-aio log 1 key=1 {head}", *(f"# {n} {op}" for n, op in enumerate(ops))]
    log.write_text("".join(f"{line}\n" for line in lines))
    with meddling(file):
        done = run(program, "--replay", log, "--seconds", "30", file)
    assert done.status == 1 and "not ok 1" in done.text
    assert "# wrong bytes: " in done.text and " 58 58" in done.text
    # Nobody meddles now.
    saved.write_text(done.text)
    assert run(program, "--replay", saved, tmp_path).status == 0
