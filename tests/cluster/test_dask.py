# SPDX-License-Identifier: GPL-2.0-only
"""Tasks on workers that have nothing but the package: content travels, what is lost runs again."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import journal
from harness.errors import ExitCode, HostError
from harness.executors import Finished, Order
from harness.executors.dask import DaskExecutor
from harness.matrix import record
from harness.matrix.record import MatrixRecord, Told
from harness.matrix.run import MatrixRun
from harness.model import Kind, Task
from tests.cluster.conftest import Project, executor
from tests.cluster.machines import Cluster, cluster, wait_for


def run(on: DaskExecutor, tasks: Sequence[Task]) -> Told:
    """All of them to their ends."""
    with MatrixRecord.new(tasks, {}) as made:
        MatrixRun(made, on, (), record.load(made.path)).run()
    ends = [one["task"] for one in journal.read(made.path) if one["event"] == "end"]
    assert sorted(ends) == sorted(task.name for task in tasks), "each ends once"
    return record.load(made.path)


def test_a_kernel_is_built_once_and_fetched_by_all_others(
    project: Project, shared: Cluster
) -> None:
    first = project.task("kernel", Kind.BUILD)
    cells = [project.task(f"c{n}", Kind.TEST, needs=["kernel"]) for n in range(9)]
    with executor(shared, project.root) as on:
        assert not on.has(first.kernels[0])
        told = run(on, [first, *cells])
        assert on.has(first.kernels[0])
    assert {one.exit for one in told.ended.values()} == {ExitCode.OK}, told.ended
    assert len({one.worker for one in told.ended.values()}) == 3
    assert project.built() == 1
    for worker in shared.workers:
        assert (shared.cache(worker) / "kernels" / first.kernels[0] / "kernel.json").is_file()
    assert not (Path(project.root).parent / "xdg-cache/harness/kernels").exists(), "not here"


def test_an_answer_that_is_lost_with_its_worker_comes_from_another(
    project: Project, tmp_path: Path
) -> None:
    task = project.task("c", Kind.TEST, "CONFIG_N=1")
    with (
        cluster(tmp_path / "cluster", workers=("a", "b")) as there,
        executor(there, project.root) as on,
    ):
        on.start(Order(task=task, argv=task.argv, cpus=1, log=tmp_path / "log"))
        wait_for(lambda: not on._ended.empty(), there)  # and nobody has asked for it
        (first,) = [name for name in there.workers if there.cache(name).joinpath("inputs").exists()]
        there.workers[first].kill()
        there.workers[first].wait()
        found: list[Finished] = []

        def has_come() -> bool:
            found.extend(on.wait(0.1))
            return bool(found)

        wait_for(has_come, there)
    assert [(one.exit, one.error) for one in found] == [(ExitCode.OK, "")]
    assert project.built() == 2


def test_a_worker_that_cannot_begin_gets_no_more(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "cluster"
    (place / "a").mkdir(parents=True)
    (place / "a/cache").touch()  # where its cache would be
    cells = [project.task(f"c{n}", Kind.TEST, f"CONFIG_N={n % 2}") for n in range(5)]
    with (
        cluster(place, workers=("a", "b")) as there,
        executor(there, project.root) as on,
    ):
        told = run(on, cells)
    assert {one.exit for one in told.ended.values()} == {ExitCode.OK}, told.ended
    assert len({one.worker for one in told.ended.values()}) == 1


def test_what_cannot_be_packed_is_an_error_of_its_own(project: Project, shared: Cluster) -> None:
    good = project.task("good", Kind.TEST)
    bad = replace(good, name="bad", argv=(*good.argv, "--kconfig", "/there/is/none.config"))
    with executor(shared, project.root) as on:
        told = run(on, [bad, good])
    assert told.ended["good"].exit == ExitCode.OK
    assert told.ended["bad"].exit == ExitCode.HOST and "none.config" in told.ended["bad"].error


def test_what_kills_two_workers_is_an_error_and_its_neighbours_are_not(
    project: Project, tmp_path: Path
) -> None:
    """Each worker has two threads, so that others are beside it when it kills the first."""
    cells = [project.task(f"c{n}", Kind.TEST, f"CONFIG_N={n}") for n in range(5)]
    cells.insert(0, project.task("bad", Kind.TEST, "CONFIG_KILLER=y"))
    with cluster(tmp_path / "cluster", threads=2) as there:
        with executor(there, project.root) as on:
            told = run(on, cells)
        assert sum(one.poll() is None for one in there.workers.values()) == 1
    others = dict(told.ended)
    bad = others.pop("bad")
    assert bad.exit == ExitCode.HOST and "died while they ran it" in bad.error
    assert len(bad.lost) == len(set(bad.lost)) == 2
    assert {one.exit for one in others.values()} == {ExitCode.OK}, others
    assert max(len(one.lost) for one in others.values()) <= 1, "beside it at most the first time"


def test_what_a_lost_worker_had_runs_elsewhere(project: Project, tmp_path: Path) -> None:
    cells = [project.task(f"c{n}", Kind.TEST, f"CONFIG_N={n}") for n in range(6)]
    project.waits.touch()
    with (
        cluster(tmp_path / "cluster") as there,
        executor(there, project.root) as on,
        MatrixRecord.new(cells, {}) as made,
    ):
        matrix = MatrixRun(made, on, (_Killer(project, there),), record.load(made.path))
        assert matrix.run() == ExitCode.OK
    told = record.load(made.path)
    ends = [one["task"] for one in journal.read(made.path) if one["event"] == "end"]
    assert sorted(ends) == sorted(task.name for task in cells)
    lost = [one for one in told.ended.values() if one.lost]
    assert len(lost) == 1 and len(lost[0].lost) == 1
    assert lost[0].worker and lost[0].worker not in lost[0].lost
    assert project.built() == 7


class _Nothing:
    """Somebody who looks on, and away."""

    def begun(self, *_: object) -> None: ...

    def ended(self, *_: object) -> None: ...

    def look(self, *_: object) -> None: ...


class _Killer(_Nothing):
    """Kills a worker when all have begun, and lets the others end."""

    def __init__(self, project: Project, there: Cluster) -> None:
        self._project = project
        self._there = there

    def look(self, *_: object) -> None:
        if self._project.built() == 3 and self._project.waits.exists():
            victim = self._there.workers["b"]
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            self._project.waits.unlink()


def test_who_stops_waiting_has_the_processes_killed(project: Project, shared: Cluster) -> None:
    cells = [project.task(f"c{n}", Kind.TEST, f"CONFIG_N={n}") for n in range(3)]
    project.waits.touch()
    with (
        executor(shared, project.root) as on,
        MatrixRecord.new(cells, {}) as made,
        pytest.raises(KeyboardInterrupt),
    ):
        MatrixRun(made, on, (_Interrupts(project),), record.load(made.path)).run()
    pids = project.builds.read_text().split()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), shared)
    assert not record.load(made.path).ended


class _Interrupts(_Nothing):
    def __init__(self, project: Project) -> None:
        self._project = project

    def look(self, *_: object) -> None:
        if self._project.built() == 3:
            raise KeyboardInterrupt


def test_a_lost_scheduler_costs_nothing_that_has_ended(
    project: Project, shared: Cluster, tmp_path: Path
) -> None:
    cells = [project.task(f"c{n}", Kind.TEST, f"CONFIG_N={n}") for n in range(6)]
    with MatrixRecord.new(cells, {}) as made:
        with (
            cluster(tmp_path / "cluster", workers=("a",)) as there,
            executor(there, project.root) as on,
            pytest.raises(HostError, match="scheduler"),
        ):
            MatrixRun(made, on, (_Beheads(there),), record.load(made.path)).run()
        before = set(record.load(made.path).ended)
        assert before and len(before) < len(cells)
        with executor(shared, project.root) as on:
            code = MatrixRun(made, on, (), record.load(made.path)).run()
    assert code == ExitCode.OK
    events = list(journal.read(made.path))
    assert sorted(one["task"] for one in events if one["event"] == "end") == [
        task.name for task in cells
    ]
    again = events[[one["event"] for one in events].index("end") :]
    assert not before & {one["task"] for one in again if one["event"] == "begin"}


class _Beheads(_Nothing):
    """Kills the scheduler when the first task has ended."""

    def __init__(self, there: Cluster) -> None:
        self._there = there

    def ended(self, *_: object) -> None:
        assert self._there.scheduler is not None
        self._there.scheduler.kill()
