# SPDX-License-Identifier: GPL-2.0-only
"""What a result depends on: two results of one context may be counted together."""

import functools
from collections.abc import Iterable
from pathlib import Path

from harness import cache, proc
from harness.model import Cell, Kernel, Mount, Test

_RECIPE = 1  # raise it when guests change in a way that tests may notice


@functools.cache
def _qemu() -> list[object]:
    """What changes with QEMU's binary."""
    path = Path(proc.find("qemu-system-x86_64")).resolve()
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def of(
    test: Test,
    kernel: Kernel,
    mounts: Iterable[Mount],
    *,
    cell: Cell,
    agent: Path,
    accel: str,
    kind: str,
) -> str:
    """The digest of kernel, test and guest. `mounts` are what the guest sees of the suites and of
    their modules, whose directories are named by their content; empty for a program of the host,
    which may be another one tomorrow."""
    if cell.commands:
        return ""
    spec = cell.guest
    return cache.digest(
        _RECIPE,
        kernel.image_digest,
        [(mount.guest, str(mount.host)) for mount in mounts],
        (test.name, test.argv, test.cwd, test.isolation, test.server, test.expect_splat),
        (test.timeout_s, cell.timeout_s, cell.env, cell.tests if test.isolation != "test" else ()),
        (spec.cpus, spec.memory_mib, spec.cmdline, spec.gdb, spec.qemu),
        (str(agent), accel, kind, _qemu()),
    )
