# SPDX-License-Identifier: GPL-2.0-only
"""The agent's program: compiled from our C source once per compiler, and its speed here."""

from dataclasses import dataclass
from pathlib import Path

from harness import cache, proc, toolchain
from harness.errors import BuildError

_SOURCE = Path(__file__).parent.parent / "agent/agent.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`dir` holds the static program `agent`; `calibration_us` is how many microseconds its
    calibration takes on this host."""

    dir: Path
    calibration_us: int


def build() -> Agent:
    """The agent, from the cache or compiled now. BuildError without a static libc."""
    key = cache.digest(toolchain.identity(), _SOURCE.read_bytes())
    final = cache.root() / "agent" / key
    if not (final / "calibration").exists():
        with cache.building(final) as work:
            command = ["gcc", "-std=gnu11", "-static", "-O2", "-Wall", "-o", str(work / "agent")]
            done = proc.run([*command, str(_SOURCE)])
            if done.status:
                raise BuildError(
                    "the guest's agent does not compile",
                    hint="a static C library is needed; ci/bootstrap installs it",
                    lines=tuple(done.complaint.splitlines()[:5]),
                )
            (work / "calibration").write_text(proc.run([str(work / "agent"), "--calibrate"]).text)
    return Agent(dir=final, calibration_us=int((final / "calibration").read_text()))
