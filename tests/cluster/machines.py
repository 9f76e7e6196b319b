# SPDX-License-Identifier: GPL-2.0-only
"""A scheduler and workers of Dask as processes of their own, each with its own cache."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[2]
START_S = 60.0


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
    place: Path,
    *,
    workers: Sequence[str] = ("a", "b", "c"),
    threads: int = 1,
    env: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """One with as many threads in each worker. `env` has Dask's configuration."""
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
            words = ["--name", name, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
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


def wait_for(true: Callable[[], object], there: Cluster) -> None:
    """Until it is."""
    deadline = time.monotonic() + START_S
    while not true():
        assert time.monotonic() < deadline, there.said()
        time.sleep(0.05)
