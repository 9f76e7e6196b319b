# SPDX-License-Identifier: GPL-2.0-only
"""Clusters, a server of S3, and a tree whose Makefile does what a kernel's does, in no time."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from harness import ahead, cli, tree
from harness.cli import cell, parser
from harness.executors.dask import DaskExecutor
from harness.model import Kind, Task
from tests.cluster.machines import START_S, Cluster, cluster
from tests.unit import fakes
from tests.unit.conftest import _own_directories  # noqa: F401  for all tests here

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


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of a server that speaks S3."""
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    made.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]) -> Iterator[Cluster]:
    """One with three workers for all tests that break nothing."""
    with cluster(tmp_path_factory.mktemp("cluster"), env=s3) as made:
        yield made
