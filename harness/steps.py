# SPDX-License-Identifier: GPL-2.0-only
"""Which kernels a cell looks at: base, each patch, tip; pure."""

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
    tip = Step(label="tip", stack=cell.stack, patch=_stem(patches[-1]))
    between = [
        Step(
            label=f"{number:04}",
            stack=replace(cell.stack, patches=patches[:number]),
            patch=_stem(patches[number - 1]),
        )
        for number in range(1, len(patches))
    ]
    return (base, *between, tip)


def _stem(patch: Patch) -> str:
    return Path(patch.name).name.removesuffix(".patch")
