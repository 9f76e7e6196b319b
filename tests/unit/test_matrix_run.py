# SPDX-License-Identifier: GPL-2.0-only
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ExitCode, HostError, UsageError
from harness.executors import Capacity, Finished, Order, Progress
from harness.matrix import record, summary
from harness.matrix.past import Past
from harness.matrix.record import MatrixRecord, Told
from harness.matrix.run import MatrixRun, State, resumable
from harness.model import Ended, Kind, Task


class Stub:
    """An executor whose tasks end at once, in turn, as `ends` says (exit 0 where it does not)."""

    def __init__(
        self, ends: Mapping[str, int] | None = None, *, cpus: int = 2, lives: int | None = None
    ) -> None:
        self.capacity = Capacity(cpus=cpus, memory_mib=1 << 20)
        self.orders: list[Order] = []
        self.most = 0
        self._ends = ends or {}
        self._queue: list[Order] = []
        self._lives = lives

    resumes = True

    def has(self, kernel: str) -> bool:
        return False

    def start(self, order: Order) -> None:
        self.orders.append(order)
        self._queue.append(order)
        self.most = max(self.most, len(self._queue))

    def wait(self, timeout_s: float) -> list[Finished]:
        if self._lives is not None:
            self._lives -= 1
            if self._lives < 0:
                raise KeyboardInterrupt
        order = self._queue.pop(0)
        name = order.task.name
        document: dict[str, Any] = {"cached": False} if order.task.kind is Kind.BUILD else {}
        return [
            Finished(task=name, exit=self._ends.get(name, 0), duration_s=2.0, document=document)
        ]

    def progress(self) -> Mapping[str, Progress]:
        return {}

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def plan() -> list[Task]:
    kernels = [
        Task(name=f"k{n}", kind=Kind.BUILD, argv=("build", str(n)), group="g") for n in (1, 2)
    ]
    cells = [
        Task(
            name=f"6.12/s/{kernel.name}/{guest}",
            kind=Kind.TEST,
            argv=("run", kernel.name, guest),
            needs=(kernel.name,),
        )
        for kernel in kernels
        for guest in ("one", "two")
    ]
    return [*kernels, *cells]


def run(
    executor: Stub, tasks: Sequence[Task], deadline_s: float | None = None
) -> tuple[ExitCode, Told]:
    with MatrixRecord.new(tasks, {"file": "m.yaml", "select": ""}) as made:
        code = MatrixRun(made, executor, (), record.load(made.path)).run(deadline_s)
    return code, record.load(made.path)


def test_all_of_a_plan_ends_and_is_recorded() -> None:
    executor = Stub()
    code, told = run(executor, plan())
    assert code == told.exit == ExitCode.OK
    assert set(told.ended) == {task.name for task in plan()} and not told.begun
    assert sorted(order.task.name for order in executor.orders) == sorted(told.ended)
    assert executor.most == 2
    assert summary.totals(told).built == 2


def test_the_exit_status_is_the_worst_of_the_cells() -> None:
    ends = {"k1": 12, "6.12/s/k1/one": 12, "6.12/s/k2/one": 1}
    code, told = run(Stub(ends), plan())
    assert code == ExitCode.BUILD
    assert told.ended["6.12/s/k2/one"].exit == 1
    assert set(told.ended) == {task.name for task in plan()}  # a build that fails stops nothing


def test_an_exit_status_that_nobody_knows_is_a_bug() -> None:
    code, _ = run(Stub({"6.12/s/k2/one": 139}), plan())
    assert code == ExitCode.BUG


@pytest.mark.parametrize("lives", range(1, 6))
def test_an_interrupted_matrix_goes_on_without_running_anything_twice(lives: int) -> None:
    first, second = Stub(lives=lives), Stub()
    with MatrixRecord.new(plan(), {}) as made, pytest.raises(KeyboardInterrupt):
        MatrixRun(made, first, (), record.load(made.path)).run()
    told = record.load(made.path)
    assert told.exit is None and len(told.ended) == lives
    assert set(told.begun) == {o.task.name for o in first.orders} - set(told.ended)
    with MatrixRecord(made.path) as made:
        assert MatrixRun(made, second, (), resumable(told)).run() == ExitCode.OK
    after = record.load(made.path)
    assert set(after.ended) == {task.name for task in plan()} and after.exit == 0
    again = {order.task.name for order in second.orders}
    assert not again & set(told.ended)
    for order in second.orders:
        went_on = order.task.kind is Kind.TEST and order.task.name in told.begun
        assert ("--resume" in order.argv) == went_on
        assert after.ended[order.task.name].resumed == (order.task.name in told.begun)


def test_a_matrix_that_ended_is_not_gone_on_with() -> None:
    _, told = run(Stub(), plan())
    with pytest.raises(UsageError, match="came to its end"):
        resumable(told)


def test_two_are_not_at_work_in_one_matrix() -> None:
    with (
        MatrixRecord.new(plan(), {}) as made,
        pytest.raises(HostError, match="another harness is at work in"),
    ):
        MatrixRecord(made.path)


def test_a_run_that_ended_unseen_is_taken(tmp_path: Path) -> None:
    task = plan()[2]
    with MatrixRecord.new(plan(), {}) as made:
        made.begin(task, 1)
    told = record.load(made.path)
    _recorded(tmp_path, task, told.begun[task.name], code=1)
    executor, looker = Stub(), Looker()
    with MatrixRecord(made.path) as made:
        MatrixRun(made, executor, (looker,), told).run()
    assert task.name not in {order.task.name for order in executor.orders}
    assert looker.tasks[0] == f"{task.name} ends"
    ended = record.load(made.path).ended[task.name]
    assert ended.exit == 1 and ended.counts == {"fail": 1} and ended.duration_s == 2.0
    assert ended.boots == 1 and ended.cached == 1 and ended.built == 0


@pytest.mark.parametrize(("code", "when"), [(None, "now"), (130, "now"), (0, "2001")])
def test_a_run_that_did_not_end_or_is_older_is_not_taken(
    tmp_path: Path, code: int | None, when: str
) -> None:
    task = plan()[2]
    with MatrixRecord.new(plan(), {}) as made:
        made.begin(task, 1)
    told = record.load(made.path)
    since = told.begun[task.name]
    _recorded(tmp_path, task, since if when == "now" else f"{when}{since[4:]}", code=code)
    executor = Stub()
    with MatrixRecord(made.path) as made:
        MatrixRun(made, executor, (), told).run()
    assert task.name in {order.task.name for order in executor.orders}


def _recorded(tmp_path: Path, task: Task, time: str, *, code: int | None) -> None:
    directory = tmp_path / "state/harness/runs/20990101T000000Z-s-6.12-base-beef"
    directory.mkdir(parents=True)
    later = (datetime.fromisoformat(time) + timedelta(seconds=2)).isoformat()
    events: list[dict[str, Any]] = [
        {"event": "cell", "cell": {"stack": {"name": "s"}, "tree": "6.12"}, "argv": task.argv},
        {
            "event": "kernel",
            "label": "tip",
            "key": "k",
            "release": "6.12",
            "tree": "t",
            "dir": "/nowhere",
            "cached": True,
            "warnings": [],
        },
        {"event": "boot", "boot": 1},
    ]
    if code is not None:
        events.append({"event": "finish", "exit": code})
        document = {"run_dir": str(directory), "results": [{"outcome": "fail"}]}
        (directory / "run.json").write_text(json.dumps(document))
    for number, event in enumerate(events):
        event |= {"schema": 1, "time": time if number == 0 else later}
    lines = [json.dumps(event) + "\n" for event in events]
    (directory / "journal.jsonl").write_text("".join(lines))


def test_a_deadline_leaves_out_what_has_no_time() -> None:
    code, told = run(Stub(), plan(), deadline_s=30)
    assert code == ExitCode.NOTHING_RAN
    assert set(told.left_out) == {task.name for task in plan()}
    shown = list(summary.lines(told))
    assert sum("left out: no time" in line for line in shown) == 4


def test_a_journal_that_breaks_off_is_read_to_there() -> None:
    with MatrixRecord.new(plan(), {}) as made:
        made.end(Ended(task="k1", exit=0, duration_s=1.0))
    with (made.path / "journal.jsonl").open("a") as journal:
        journal.write('{"event": "end", "task": "k')
    told = record.load(made.path)
    assert set(told.ended) == {"k1"} and len(told.tasks) == 6


def test_what_took_long_is_expected_to() -> None:
    _, told = run(Stub(), plan())
    past = Past([told.directory])
    assert past.expect(plan()[2]).expected_s == 2.0 and past.expect(plan()[2]).known
    other = Task(name="6.1/s/k1/one", kind=Kind.TEST, argv=("run", "elsewhere"))
    assert past.expect(other).expected_s == 2.0 and not past.expect(other).known
    strange = Task(name="k9", kind=Kind.BUILD, argv=("build", "9"), group="other")
    assert past.expect(strange).expected_s == 2.0


def test_what_was_interrupted_or_the_host_s_fault_says_nothing_of_time() -> None:
    _, told = run(Stub(dict.fromkeys([task.name for task in plan()], 20)), plan())
    assert Past([told.directory]).expect(plan()[2]).expected_s == 60.0


class Looker:
    """A watch that keeps what it is told."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.tasks: list[str] = []

    def begun(self, task: Task, cpus: int) -> None:
        self.tasks.append(f"{task.name} begins")

    def ended(self, task: Task, ended: Ended, state: State) -> None:
        self.tasks.append(f"{task.name} ends")
        self.states.append(state)

    def look(self, state: State) -> None:
        self.states.append(state)


def test_whoever_looks_on_sees_it_all() -> None:
    looker = Looker()
    with MatrixRecord.new(plan(), {}) as made:
        MatrixRun(made, Stub(), (looker,), record.load(made.path)).run()
    for task in plan():
        first = looker.tasks.index(f"{task.name} begins")
        assert first < looker.tasks.index(f"{task.name} ends")
    last = looker.states[-1]
    assert last.cells_ended == last.cells == 4 and not last.running and last.left_s == 0


def test_what_kept_a_processor_busy_is_known() -> None:
    tasks = [task for task in plan() if task.kind is Kind.TEST]
    with MatrixRecord.new(tasks, {}) as made:
        for task in tasks:
            made.end(Ended(task=task.name, exit=0, duration_s=100.0, cpu_s=25.0))
    past = Past([made.path])
    assert past.expect(tasks[0]).load == 0.25
    other = Task(name="6.1/s/k1/one", kind=Kind.TEST, argv=("run", "elsewhere"))
    assert past.expect(other).load == 0 and past.expect(other).expected_s == 100.0


def test_a_cell_that_somebody_interrupts_has_not_ended() -> None:
    name = "6.12/s/k1/one"
    code, told = run(Stub({name: 130}), plan())
    assert code == told.exit == ExitCode.INTERRUPTED
    assert name not in told.ended and name in told.begun
    executor = Stub()
    with MatrixRecord(told.directory) as made:
        assert MatrixRun(made, executor, (), resumable(told)).run() == ExitCode.OK
    assert [(o.task.name, o.argv[-1]) for o in executor.orders] == [(name, "--resume")]


def test_a_cell_that_dies_without_a_word_has_what_it_recorded(tmp_path: Path) -> None:
    task = plan()[2]

    class Dying(Stub):
        def start(self, order: Order) -> None:
            super().start(order)
            if order.task.name == task.name:
                _recorded(tmp_path, task, datetime.now(UTC).isoformat(), code=None)

    _, told = run(Dying({task.name: 137}), plan())
    ended = told.ended[task.name]
    assert ended.exit == ExitCode.HOST and "signal 9" in ended.error
    assert ended.run_dir.endswith("beef") and ended.boots == 1


def test_a_matrix_that_was_killed_before_its_plan_is_passed_over() -> None:
    _, told = run(Stub(), plan())
    for text in ("", '{"schema": 1, "event": "pl'):
        later = told.directory.parent / "20990101T000000Z-dead"
        later.mkdir(exist_ok=True)
        (later / "journal.jsonl").write_text(text)
        assert record.recent() == [told.directory] and record.find() == told.directory


def test_what_comes_after_a_torn_line_is_read() -> None:
    with MatrixRecord.new(plan(), {}) as made:
        pass
    with (made.path / "journal.jsonl").open("a") as journal:
        journal.write('{"event": "begin", "task": "k')
    with MatrixRecord(made.path) as again:
        again.end(Ended(task="k1", exit=0, duration_s=1.0))
    assert set(record.load(made.path).ended) == {"k1"}


def test_what_was_left_out_is_run_when_there_is_time() -> None:
    _, told = run(Stub(), plan(), deadline_s=30)
    with MatrixRecord(told.directory) as made:
        made.begin(plan()[0], 1)
    after = record.load(told.directory)
    assert after.exit is None and not after.left_out
    with MatrixRecord(told.directory) as made:
        MatrixRun(made, Stub(), (), resumable(after)).run()
    assert len(record.load(told.directory).ended) == 6


class Away(Stub):
    """An executor whose machines are gone for three waits after each task."""

    def __init__(self) -> None:
        super().__init__()
        self._there = self.capacity
        self._left = 0

    def wait(self, timeout_s: float) -> list[Finished]:
        if self._left:
            self._left -= 1
            if not self._left:
                self.capacity = self._there
            return []
        found = super().wait(timeout_s)
        if not self._queue:
            self._left = 3
            self.capacity = Capacity(cpus=0, memory_mib=0)
        return found


def test_a_matrix_whose_machines_are_gone_waits_for_others() -> None:
    code, told = run(Away(), plan())
    assert code == ExitCode.OK and set(told.ended) == {task.name for task in plan()}
