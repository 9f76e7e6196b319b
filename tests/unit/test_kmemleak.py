# SPDX-License-Identifier: GPL-2.0-only
"""What kmemleak finds is charged to the test that allocated it, by the time, and to no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import journal, kmemleak, recorded
from harness.execution import Execution, Target
from harness.history import History
from harness.model import (
    Cell,
    Command,
    CommandResult,
    Kernel,
    Outcome,
    Residue,
    Rounds,
    Series,
)
from harness.record import Record
from tests.unit.test_execution import Answers, Guests, Quiet, one

DATA = Path(__file__).parents[1] / "data"


def report(function: str, jiffies: int, *, age: str = "") -> str:
    """As mm/kmemleak.c of 6.12 writes it; with an age as that of 6.1 does."""
    return f"""\
unreferenced object 0xffff888003d8a{jiffies % 1000:03} (size 192):
  comm "iocb", pid 71, jiffies {jiffies}{age}
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
    01 00 00 00 00 00 00 00 e8 a3 d8 03 80 88 ff ff  ................
  backtrace (crc 8a2c9c3e):
    kmem_cache_alloc_noprof+0x1a6/0x240
    {function}+0x23/0x90
    __x64_sys_io_submit+0x6f/0x150
    do_syscall_64+0x3d/0xc0
"""


def ran(first: int, last: int) -> Residue:
    return Residue(jiffies_from=first, jiffies_to=last)


def test_the_time_tells_who_allocated() -> None:
    text = "".join(report(f"f{number}", number) for number in (50, 100, 149, 160, 200, 210, 260))
    charged = kmemleak.charge(kmemleak.parse(text), [ran(100, 150), ran(200, 250)])
    titles = {n: [splat.title for splat in splats] for n, splats in charged.of.items()}
    assert titles == {
        0: ["memory leak in f100", "memory leak in f149"],
        1: ["memory leak in f200", "memory leak in f210"],
    }
    assert [splat.title for splat in charged.boot] == ["memory leak in f50"]
    assert [splat.title for splat in charged.stray] == [
        "memory leak in f160",
        "memory leak in f260",
    ]


def test_both_forms_are_read() -> None:
    (new,) = kmemleak.parse(report("f", 7))
    (old,) = kmemleak.parse(report("f", 7, age=" (age 13.110s)"))
    assert (new.pid, new.jiffies, new.splat.kind) == (71, 7, "kmemleak")
    assert (old.pid, old.jiffies, old.splat.function) == (71, 7, "f")
    assert new.splat.fingerprint == old.splat.fingerprint
    assert not new.splat.line_from, "it is in no console"


def test_a_jiffy_that_two_share_is_the_later_ones() -> None:
    charged = kmemleak.charge(kmemleak.parse(report("f", 150)), [ran(100, 150), ran(150, 200)])
    assert list(charged.of) == [1]


def test_what_is_leaked_again_and_again_is_one_splat_that_says_so() -> None:
    text = "".join(report("f", 100 + number) for number in range(16)) + report("g", 120)
    charged = kmemleak.charge(kmemleak.parse(text), [ran(100, 150)])
    first, second = charged.of[0]
    assert (first.function, second.function) == ("f", "g")
    assert first.text[-1] == "and 15 more that were allocated there"
    assert "more that" not in second.text[-1]


@pytest.mark.parametrize("text", ["", "nothing\n", "unreferenced object 0xffff (size 8):\n"])
def test_what_says_nothing_is_nothing(text: str) -> None:
    assert kmemleak.parse(text) == ()


class Leaky(Answers):
    """A guest whose second test leaks, and that says so when it is asked."""

    found = report("f", 250) + report("g", 90) + report("h", 320)

    def run(self, command: Command, on_output: Any = None) -> CommandResult:
        number = int(command.argv[0][-1])
        return CommandResult(status=0, residue=ran(100 * number, 100 * number + 90))

    def find_leaks(self) -> bytes:
        return self.found.encode()


class Source(Guests):
    def boot(self, *args: Any, **more: Any) -> Any:
        made = super().boot(*args, **more)
        made.gen = self._leaky(made.gen)
        return made

    def _leaky(self, guests: Any) -> Any:
        for _, number in guests:
            yield Leaky(self._answer), number


def run(tmp_path: Path, names: list[str], **cell: Any) -> tuple[Execution, Path]:
    kernel = Kernel(key="k", release="r", tree="t", dir=tmp_path / "kernel", cached=True)
    kernel.config.parent.mkdir(parents=True)
    kernel.config.write_text("CONFIG_DEBUG_KMEMLEAK=y\n")
    guests, watch = Source(lambda _: CommandResult(status=0), "snapshot"), Quiet()
    looks: Any = watch
    with Record(tmp_path / "runs", series="s", base="b", kconfig="k") as record:
        made = Execution(
            Cell(stack=Series(name="s"), tree="t", **{"parallel": 1, **cell}),
            Target(label="tip", kernel=kernel),
            guests,
            record=record,
            watch=looks,
        )
        made.run([one(name) for name in names])
    return made, record.path


def test_a_leak_fails_its_test_and_no_other(tmp_path: Path) -> None:
    made, _ = run(tmp_path, ["a/1", "a/2", "a/3"])
    told = [(result.test, result.outcome, result.detail) for result in made.results]
    assert told == [
        ("a/1", Outcome.PASS, ""),
        ("a/2", Outcome.FAIL, "kmemleak: memory leak in f"),
        ("a/3", Outcome.FAIL, "kmemleak: memory leak in h"),
    ]
    (splat,) = made.results[1].splats
    assert (splat.test, splat.phase, splat.boot) == ("a/2", "test", 1)
    kinds = [(splat.title, splat.phase) for splat in made.stray if splat.kind == "kmemleak"]
    assert kinds == [("memory leak in g", "boot")]


def test_whoever_reads_the_run_sees_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = run(tmp_path, ["a/1", "a/2"])
    assert [one.outcome for one in recorded.load(path).results] == [Outcome.PASS, Outcome.FAIL]
    results, stray = recorded.results_of(path, "tip")
    assert [one.outcome for one in results] == [Outcome.PASS, Outcome.FAIL]
    assert [splat.function for splat in results[1].splats] == ["f"]
    assert made.stray == list(stray)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with History() as history:
        history.add(path)
        told = {entry.test: entry.outcome for entry in history.of_test("a/*", 10)}
    assert told == {"a/1": "pass", "a/2": "fail"}


def test_a_run_that_was_killed_before_it_looked_keeps_its_results(tmp_path: Path) -> None:
    _, path = run(tmp_path, ["a/1", "a/2"])
    lines = (path / "journal.jsonl").read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "amended")
    (path / "journal.jsonl").write_text("".join(lines[:at]))
    assert [one.outcome for one in recorded.load(path).results] == [Outcome.PASS, Outcome.PASS]


def test_a_leak_is_bad_enough_to_stop(tmp_path: Path) -> None:
    made, _ = run(tmp_path, ["a/1", "a/2"], rounds=Rounds(count=5, until_fail=True))
    rounds = {result.round for result in made.results}
    assert rounds == {1, 2}, "it is found when the guest goes, as the next round begins"


def test_the_last_amendment_counts() -> None:
    events = [
        {"event": "result", "test": "t", "kernel": "tip", "outcome": "pass", "known_from": "r"},
        {"event": "result", "test": "t", "kernel": "base", "outcome": "pass"},
        {"event": "amended", "test": "t", "kernel": "tip", "outcome": "skip"},
        {"event": "amended", "test": "t", "kernel": "tip", "outcome": "fail"},
    ]
    told = [one["outcome"] for one in journal.amended(events) if one["event"] == "result"]
    assert told == ["fail", "pass"]


def test_a_jiffy_that_two_share_is_the_one_of_that_name() -> None:
    close = [ran(100, 150), ran(150, 200)]
    text = report("f", 150).replace('comm "', 'comm "x')
    (leak,) = kmemleak.parse(text)
    for programs, number in (
        ([leak.comm, "other"], 0),
        (["other", leak.comm], 1),
        (["other", "another"], 1),
        ([], 1),
    ):
        assert list(kmemleak.charge([leak], close, programs).of) == [number]
    later = [ran(100, 148), ran(150, 200)]
    between = kmemleak.charge(kmemleak.parse(report("f", 149)), later, [leak.comm, leak.comm])
    assert (list(between.of), len(between.stray)) == ([], 1)
