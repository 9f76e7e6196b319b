# SPDX-License-Identifier: GPL-2.0-only
"""A scheduler and workers of Dask as processes of their own, each with its own cache, and a tree
whose Makefile does what a kernel's does, in no time."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import ahead, cli, tree
from harness.cli import cell, parser
from harness.executors.dask import DaskExecutor
from harness.model import Kind, Task
from tests.unit import fakes
from tests.unit.conftest import _own_directories  # noqa: F401  for all tests here

REPO = Path(__file__).parents[2]
START_S = 60.0
MAKEFILE = """
olddefconfig:
\t@:
bzImage:
\t@echo $$PPID >>%(builds)s
\t@while [ -e %(waits)s ]; do sleep 0.05; done
\t@! grep -q KILLER $(O)/.config || kill -9 $$(cat $$TEST_WORKER)
\t@mkdir -p $(O)/arch/x86/boot $(O)/include/config
\t@cp $(O)/.config $(O)/arch/x86/boot/bzImage
\t@touch $(O)/vmlinux
\t@echo 6.12.7 > $(O)/include/config/kernel.release
"""


@dataclass(kw_only=True)
class Cluster:
    """A scheduler at `address`, workers by their names with their caches."""

    place: Path
    address: str = ""
    scheduler: "subprocess.Popen[bytes] | None" = None
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def cache(self, worker: str) -> Path:
        return self.place / worker / "cache/harness"

    def said(self) -> str:
        """By all of them."""
        logs = sorted(self.place.glob("*/log"))
        return "\n".join(f"== {one.parent.name}\n{one.read_text()}" for one in logs)


@contextlib.contextmanager
def cluster(
    place: Path, *, workers: Sequence[str] = ("a", "b", "c"), env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """One with a thread in each worker. `env` has Dask's configuration."""
    made = Cluster(place=place)
    with contextlib.ExitStack() as stack:
        told = place / "scheduler.json"
        protocol = (env or {}).get("DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME", "tcp")
        words = ["--host", f"{protocol}://127.0.0.1", "--port", "0", "--scheduler-file", str(told)]
        words += ["--dashboard-address", "127.0.0.1:0"]
        made.scheduler = _start(stack, made, "scheduler", ["scheduler", *words], env or {})
        deadline = time.monotonic() + START_S
        while not made.address:
            assert time.monotonic() < deadline, made.said()
            with contextlib.suppress(OSError, ValueError):
                made.address = json.loads(told.read_text())["address"]
            time.sleep(0.05)
        for name in workers:
            words = ["--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            words += ["--host", "127.0.0.1"]
            command = ["worker", made.address, *words, "--local-directory", str(place / name)]
            made.workers[name] = _start(stack, made, name, command, env or {})
        yield made


def _start(
    stack: contextlib.ExitStack,
    made: Cluster,
    name: str,
    words: Sequence[str],
    env: Mapping[str, str],
) -> "subprocess.Popen[bytes]":
    own = made.place / name
    own.mkdir(parents=True, exist_ok=True)
    log = stack.enter_context((own / "log").open("wb"))
    # What of the client's the workers must not need.
    outer = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    inner = {
        "PYTHONPATH": str(REPO),
        "TEST_WORKER": str(own / "pid"),
        **{f"XDG_{kind.upper()}_HOME": str(own / kind) for kind in ("cache", "state", "config")},
    }
    dask = Path(sys.executable).with_name("dask")
    process = subprocess.Popen(
        [str(dask), *words], stdout=log, stderr=log, env={**outer, **env, **inner}, cwd=own
    )
    (own / "pid").write_text(str(process.pid))
    stack.callback(process.wait, 30)
    stack.callback(process.kill)
    return process


@contextlib.contextmanager
def executor(there: Cluster, root: Path, *, store: str = "") -> Iterator[DaskExecutor]:
    """One that all workers have come to."""
    with DaskExecutor(there.address, root=root, store=store) as made:
        deadline = time.monotonic() + START_S
        while made.capacity.machines < len(there.workers):
            assert time.monotonic() < deadline, there.said()
            time.sleep(0.1)
        yield made


@dataclass(kw_only=True)
class Project:
    """A project and a tree. `builds` has a line for each kernel that was made, and while `waits`
    is there none comes to its end."""

    root: Path
    linux: Path
    builds: Path
    waits: Path

    def task(self, name: str, kind: Kind, *settings: str, needs: Sequence[str] = ()) -> Task:
        """A task that builds the kernel of some settings, whatever its kind."""
        words = ("build", "--tree", str(self.linux))
        argv = (*words, *(word for one in settings for word in ("--set", one)))
        made = cli.build().parse_args(list(argv))
        parser.settle(made)
        wanted = cell.from_arguments(made)
        (needed,) = ahead.kernels(wanted, self.root, self.root / "log")
        return Task(
            name=name,
            kind=kind,
            argv=argv,
            needs=tuple(needs),
            group="g" if kind is Kind.BUILD else "",
            base=tree.resolve(str(self.linux)).commit,
            kernels=(needed.identity.key,),
        )

    def built(self) -> int:
        """How many kernels were made."""
        return len(self.builds.read_text().splitlines()) if self.builds.exists() else 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(
        root=tmp_path / "project",
        linux=tmp_path / "linux",
        builds=tmp_path / "builds",
        waits=tmp_path / "waits",
    )
    (made.root / "kconfigs").mkdir(parents=True)
    for name in ("base", "guest"):
        (made.root / f"kconfigs/{name}.config").write_text(f"# Help: {name}\n")
    fakes.commit_kernel(made.linux)
    rules = MAKEFILE % {"builds": made.builds, "waits": made.waits}
    (made.linux / "Makefile").write_text(fakes.BUILDABLE + rules)
    fakes.git(made.linux, "commit", "-q", "-am", "builds")
    monkeypatch.setenv("HARNESS_PROJECT", str(made.root))
    return made


def wait_for(true: Callable[[], object], there: Cluster) -> None:
    """Until it is."""
    deadline = time.monotonic() + START_S
    while not true():
        assert time.monotonic() < deadline, there.said()
        time.sleep(0.05)
