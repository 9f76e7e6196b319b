# SPDX-License-Identifier: GPL-2.0-only
"""The values that flow between the rooms. No I/O here."""

from harness.model.guest import (
    GUEST_MOUNTS,
    Command,
    CommandResult,
    Contents,
    Disk,
    GuestSpec,
    Loss,
    Mount,
)
from harness.model.matrix import AXES, Ended, Kind, MatrixCell, Shape, Task
from harness.model.metric import Better, Comparison, Metric
from harness.model.run import (
    Cell,
    Mark,
    Outcome,
    Reruns,
    Result,
    Rounds,
    Row,
    Run,
    Settled,
    Stage,
    Step,
    Subtest,
    Tally,
    Test,
    Verdict,
)
from harness.model.source import Base, Fragment, Kconfig, Kernel, Patch, Series
from harness.model.splat import Frame, Position, Splat, splat_of

SCHEMA = 1
"""Version that every JSON document and journal line carries."""

__all__ = [
    "AXES",
    "Base",
    "Better",
    "Cell",
    "Command",
    "CommandResult",
    "Comparison",
    "Contents",
    "Disk",
    "Ended",
    "Fragment",
    "Frame",
    "GUEST_MOUNTS",
    "GuestSpec",
    "Kconfig",
    "Kernel",
    "Kind",
    "Loss",
    "Mark",
    "MatrixCell",
    "Metric",
    "Mount",
    "Outcome",
    "Patch",
    "Position",
    "Reruns",
    "Result",
    "Rounds",
    "Row",
    "Run",
    "SCHEMA",
    "Series",
    "Settled",
    "Shape",
    "Splat",
    "Stage",
    "Step",
    "Subtest",
    "Tally",
    "Task",
    "Test",
    "Verdict",
    "splat_of",
]
