# SPDX-License-Identifier: GPL-2.0-only
"""Times of commands that take turns, so that a busy machine is as unkind to all of them."""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import proc


@dataclass(frozen=True)
class Times:
    """Seconds of one thing, a value a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, in seconds."""
        if len(self.values) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.values, n=4)
        return (third - first) / 2


def interleaved(what: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Times]:
    """What each of the callables returns, in seconds, round by round; one round before counts
    for nothing, as it fills the caches."""
    found: dict[str, list[float]] = {name: [] for name in what}
    for number in range(rounds + 1):
        for name, measure in what.items():
            seconds = measure()
            if number:
                found[name].append(seconds)
    return {name: Times(tuple(values)) for name, values in found.items()}


def wall(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> float:
    """Wall time of a command, which has to end well."""
    started = time.monotonic()
    status = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=1200,
        env={**proc.environment(), **(env or {})},
        cwd=cwd,
    ).returncode
    if status:
        raise SystemExit(f"{' '.join(argv[:4])} ended with {status}")
    return time.monotonic() - started
