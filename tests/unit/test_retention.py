# SPDX-License-Identifier: GPL-2.0-only
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from harness import cache, recorded, retention
from harness.cli import main
from harness.errors import ExitCode
from harness.history import History
from harness.model import Outcome
from harness.record import Record
from harness.retention import Wish
from tests import runs

DAY_S = 86400.0


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(stamp: str, size: int = 0, kind: str = "runs") -> Path:
    """A run of that day, of about so many bytes."""
    made = runs.write(cache.runs(kind), [runs.result("s/a", Outcome.PASS)], exit_code=0).directory
    (made / "more").write_bytes(b"x" * size)
    place = made.with_name(f"{stamp}T000000Z{made.name[16:]}")
    made.rename(place)
    return place


def test_what_is_old_goes_and_the_history_keeps_it() -> None:
    old, boot, new = run("20200101"), run("20200102", kind="boots"), run("20990101")
    gone = retention.collect(Wish(older_s=DAY_S))
    assert [entry.path for entry in gone] == [old, boot]
    assert not old.exists() and not boot.exists() and new.exists()
    with History() as history:
        assert {one.run for one in history.of_test("s/a", 9)} == {old.name, new.name}


def test_the_oldest_go_until_the_rest_fits() -> None:
    made = [run(f"2020010{day}", 1 << 20) for day in range(1, 6)]
    gone = retention.collect(Wish(limit_bytes=int(2.5 * (1 << 20))))
    assert [entry.path for entry in gone] == made[:3]
    assert [path.exists() for path in made] == [False, False, False, True, True]


def test_the_newest_stay_however_old_or_large() -> None:
    made = [run(f"2020010{day}", 1 << 20) for day in range(1, 4)]
    retention.collect(Wish(older_s=0, limit_bytes=0, keep=2))
    assert [path.exists() for path in made] == [False, True, True]


def test_a_dry_run_removes_nothing() -> None:
    old = run("20200101")
    run("20200102")
    assert [entry.path for entry in retention.collect(Wish(older_s=0), dry_run=True)] == [old]
    assert old.exists()


WRITER = """
    import sys
    from harness import cache
    from harness.record import Record
    with Record(cache.runs(), series="s", base="b", kconfig="k") as record:
        print(record.path, flush=True)
        sys.stdin.read()
"""


def test_a_run_that_goes_on_is_spared_until_its_process_is_gone() -> None:
    argv = [sys.executable, "-c", textwrap.dedent(WRITER)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=runs.__file__[:-14]
    ) as writer:
        assert writer.stdout is not None
        place = Path(writer.stdout.readline().strip())
        assert retention.in_use(place)
        assert not retention.collect(Wish(older_s=0, limit_bytes=0, keep=0))
        assert place.exists()
        writer.send_signal(signal.SIGKILL)
    assert not retention.in_use(place)
    assert [e.path for e in retention.collect(Wish(older_s=0, keep=0))] == [place]
    assert not place.exists()


def test_two_collectors_and_a_writer_are_in_nobodys_way() -> None:
    for day in range(1, 9):
        run(f"2020010{day}")
    failed: list[BaseException] = []

    def collect() -> None:
        try:
            for _ in range(5):
                retention.collect(Wish(older_s=DAY_S, keep=0))
                recorded.recent()
        except BaseException as error:  # noqa: BLE001 (shown below)
            failed.append(error)

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    with Record(cache.runs(), series="s", base="b", kconfig="k") as record:
        for thread in threads:
            thread.join()
        assert record.path.exists()
    assert not failed
    assert [entry.path for entry in retention.entries()] == [record.path]


def test_the_command_wants_to_know_what_is_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    old = run("20200101")
    run("20990101")
    assert main(["runs", "gc"]) == ExitCode.USAGE
    assert main(["runs", "gc", "--older", "-1"]) == ExitCode.USAGE
    assert main(["runs", "gc", "--size", "large"]) == ExitCode.USAGE
    assert "--size=large is not a size" in capsys.readouterr().err
    assert main(["runs", "gc", "--older", "30", "--dry-run"]) == ExitCode.OK
    assert str(old) in capsys.readouterr().out and old.exists()
    assert main(["runs", "gc", "--older", "30"]) == ExitCode.OK
    assert "removed 1 run directories" in capsys.readouterr().out and not old.exists()
