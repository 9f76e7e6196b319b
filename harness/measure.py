# SPDX-License-Identifier: GPL-2.0-only
"""Tests whose figures are compared: run on base and patched in turn, one guest at a time.

In turn, as a host gets slower and faster over minutes: what ran side by side in time can be
compared. One guest at a time, as two would share the host's processors and disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from harness.execution import Execution
from harness.model import Result, Test
from harness.stages import Stages


class Runs(Protocol):
    """What is asked of an Execution."""

    @property
    def results(self) -> list[Result]:
        """All so far."""
        ...

    def run_again(self, tests: Sequence[Test], *, alone: bool = False) -> None:
        """Each once more, in a round of its own."""
        ...


def measure(
    tests: Sequence[Test],
    labels: Sequence[str],
    executions: Mapping[str, Execution],
    stages: Stages,
) -> None:
    """Run each test as often as it wants on each of `labels`, the order of which is turned round
    each time; once, where there is one kernel only. A test that fails is run no more: reruns find
    out what that is."""
    with stages.stage("measure") as said:
        count = sample(tests, labels, executions)
        said.append(f"{count} runs of {len(tests)} test{'s' * (len(tests) > 1)}, in turn")


def sample(tests: Sequence[Test], labels: Sequence[str], executions: Mapping[str, Runs]) -> int:
    """As measure(), without a stage; returns how many runs there were."""
    ran, order = 0, list(labels)
    left = [replace(test, samples=1) for test in tests] if len(labels) < 2 else list(tests)
    for number in range(1, max((test.samples for test in tests), default=0) + 1):
        for label in order:
            executions[label].run_again(left, alone=True)
            ran += len(left)
        failed = {
            one.test for label in labels for one in executions[label].results if one.outcome.bad
        }
        left = [test for test in left if test.samples > number and test.name not in failed]
        order.reverse()
        if not left:
            break
    return ran
