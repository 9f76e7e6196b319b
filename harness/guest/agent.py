# SPDX-License-Identifier: GPL-2.0-only
"""The agent's program, which is the guest's init too: compiled from our C sources once per
compiler, and its speed here."""

from dataclasses import dataclass
from pathlib import Path

from harness import cache, proc, toolchain
from harness.errors import BuildError

_SOURCES = sorted((Path(__file__).parent.parent / "agent").glob("*.[ch]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`program` is static; `calibration_us` is how many microseconds its
    calibration takes on this host."""

    program: Path
    calibration_us: int


def build() -> Agent:
    """The agent, from the cache or compiled now. BuildError without a static libc."""
    content = [[path.name, path.read_bytes()] for path in _SOURCES]
    key = cache.digest(toolchain.identity(), content)
    final = cache.root() / "agent" / key
    if not cache.hold(final / "calibration"):
        with cache.building(final) as work:
            command = ["gcc", "-std=gnu11", "-static", "-O2", "-Wall", "-o", str(work / "agent")]
            done = proc.run([*command, *(str(path) for path in _SOURCES if path.suffix == ".c")])
            if done.status:
                raise BuildError(
                    "the guest's agent does not compile",
                    hint="a static C library is needed; ci/bootstrap installs it",
                    lines=tuple(done.complaint.splitlines()[:5]),
                )
            (work / "calibration").write_text(proc.run([str(work / "agent"), "--calibrate"]).text)
    calibration_us = int((final / "calibration").read_text())
    return Agent(program=final / "agent", calibration_us=calibration_us)
