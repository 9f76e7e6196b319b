# SPDX-License-Identifier: GPL-2.0-only
"""A running guest, whichever way it was started."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.model import Command, CommandResult, Disk, GuestSpec, Loss, Mount, Splat


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A scratch disk and the file behind it."""

    disk: Disk
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """What a boot needs beside the kernel: shape, mounts, the agent's program, how long its
    calibration takes on the host in microseconds, the acceleration (kvm or tcg), the socket
    for a debugger, if any, and the scratch disks."""

    spec: GuestSpec
    mounts: tuple[Mount, ...]
    agent: Path
    calibration_us: int
    accel: str
    gdb: Path | None = None
    drives: tuple[Drive, ...] = ()


class Guest(Protocol):
    """A booted kernel that runs commands, one at a time.

    `release` is its `uname -r`; `slowness` how many times slower than the host it computes (at
    least 1), by which timeouts are scaled; `accel` is kvm or tcg; `scratch` the path of each
    scratch disk by its name.
    """

    release: str
    slowness: float
    accel: str
    scratch: dict[str, str]

    @property
    def loss(self) -> Loss | None:
        """How the guest went away, None while it is there."""
        ...

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """Run to the end, the deadline, or the guest's loss; never raises for those three."""
        ...

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        """The content of a guest file; StageError with the reason when it cannot be read."""
        ...

    def find_leaks(self) -> bytes:
        """What kmemleak finds (docs/leaks.md), as it says it, which it then forgets: takes some
        seconds. StageError where the kernel has no kmemleak or does not answer."""
        ...

    def stray_splats(self) -> tuple[Splat, ...]:
        """Splats outside of every command, with their phase: boot, between, teardown."""
        ...

    def abort(self) -> None:
        """Kill the guest, from whatever thread; it is then lost."""
        ...
