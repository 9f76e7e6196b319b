# SPDX-License-Identifier: GPL-2.0-only
"""Which kernels a cell looks at: base, each patch, tip; pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.model import Cell, Patch, Step


def of(cell: Cell) -> tuple[Step, ...]:
    """The steps of a cell, each ahead of the one before, so that the build goes forward."""
    patches = cell.stack.patches
    base = Step(label="base", stack=replace(cell.stack, name="base", patches=()))
    if not patches:
        return (base,)
    if not cell.each_patch:
        tip = Step(label="tip", stack=cell.stack)
        return (base, tip) if cell.with_base else (tip,)
    *names, last = _names(patches)
    between = [
        Step(label=f"{number:04}", stack=replace(cell.stack, patches=patches[:number]), patch=name)
        for number, name in enumerate(names, 1)
    ]
    return (base, *between, Step(label="tip", stack=cell.stack, patch=last))


def _names(patches: Sequence[Patch]) -> list[str]:
    """The patches' file names, with their numbers where two series of a stack have the same."""
    stems = [Path(patch.name).name.removesuffix(".patch") for patch in patches]
    count = Counter(stems)
    return [
        stem if count[stem] == 1 else f"{number:04}-{stem}" for number, stem in enumerate(stems, 1)
    ]
