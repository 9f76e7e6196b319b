# SPDX-License-Identifier: GPL-2.0-only
"""Options that say where a matrix runs and who may look on, and what they stand for."""

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness import project
from harness.errors import HostError, UsageError

_SERVED = "127.0.0.1:8000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Where the tasks of a matrix run, and what browsers are shown, if anything."""

    executor: Any
    live: Any


def add_options(made: argparse.ArgumentParser) -> None:
    """Those of `harness matrix` and `harness nightly`."""
    made.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of this Dask scheduler, as tcp://host:8786 (docs/cluster.md)",
    )
    made.add_argument(
        "--store",
        metavar="DIR|URL",
        help="with --scheduler: a store that all workers see, as /nfs/harness or s3://bucket/name",
    )
    made.add_argument(
        "--serve",
        nargs="?",
        const=_SERVED,
        metavar="ADDRESS:PORT",
        help="show the report, and what runs now, to browsers until the end "
        f"(without a value at {_SERVED}; port 0: one that is free)",
    )
    made.add_argument(
        "--token",
        help="with --serve: what each request needs, where others reach the address; "
        "$HARNESS_TOKEN, which `ps` does not show, is the better place for it",
    )


def words(arguments: argparse.Namespace) -> Iterator[str]:
    """What says where it runs, for a command that goes on with it."""
    for option, value in (("--scheduler", arguments.scheduler), ("--store", arguments.store)):
        if value:
            yield from (option, shlex.quote(value))


def check(arguments: argparse.Namespace) -> None:
    """UsageError for options that do not go together."""
    if arguments.store and not arguments.scheduler:
        raise UsageError("--store goes with --scheduler", hint="here all kernels are in the cache")
    if arguments.token is not None and arguments.serve is None:
        raise UsageError("--token goes with --serve")


@contextlib.contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[Any]:
    """What browsers are shown for the length of a block; None where nobody asked for it."""
    secret = os.environ.pop("HARNESS_TOKEN", "")  # nothing that is started needs to have it
    if arguments.serve is None:
        yield None
        return
    from harness.matrix import serve
    from harness.matrix.live import Live

    live = Live()
    with serve.serving(serve.place(arguments.serve, arguments.token or secret), live) as url:
        print(f"harness: {url}", file=sys.stderr)
        yield live


@contextlib.contextmanager
def executing(arguments: argparse.Namespace) -> Iterator[Any]:
    """Where tasks run: here, or on the workers of a scheduler."""
    if not arguments.scheduler:
        from harness.executors.local import Local

        with Local(arguments.slots) as executor:
            yield executor
        return
    try:
        from harness.executors import dask, link
    except ImportError as error:
        raise HostError(
            f"--scheduler wants Dask: {error}", hint="pip install 'harness[cluster]'"
        ) from None
    made = dask.DaskExecutor(
        arguments.scheduler, root=project.root(), store=arguments.store or "", cpus=arguments.slots
    )
    if link.is_open(arguments.scheduler):
        print(
            f"harness: warning: {arguments.scheduler} is open: whoever reaches it runs programs on"
            " all workers; tls:// is not (docs/cluster.md)",
            file=sys.stderr,
        )
    with made as there:
        room = there.capacity
        print(
            f"harness: {room.machines} workers, {room.cpus} threads at {arguments.scheduler}",
            file=sys.stderr,
        )
        yield there
