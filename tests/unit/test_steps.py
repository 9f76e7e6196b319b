# SPDX-License-Identifier: GPL-2.0-only
from harness import steps
from harness.model import Cell, Patch, Series

PATCHES = tuple(Patch(name=f"x/{name}.patch", data=b"") for name in ("0001-a", "0002-b", "0001-a"))


def labels(*, patches: tuple[Patch, ...] = PATCHES, **more: bool) -> list[tuple[str, str, int]]:
    made = steps.of(Cell(stack=Series(name="s", patches=patches), tree="t", **more))  # type: ignore[arg-type]
    return [(step.label, step.patch, len(step.stack.patches)) for step in made]


def test_a_series_alone_and_beside_its_base() -> None:
    assert labels() == [("tip", "", 3)]
    assert labels(with_base=True) == [("base", "", 0), ("tip", "", 3)]
    assert labels(patches=(), with_base=True, each_patch=True) == [("base", "", 0)]


def test_each_patch_has_a_name_of_its_own() -> None:
    assert labels(with_base=True, each_patch=True) == [
        ("base", "", 0),
        ("0001", "0001-0001-a", 1),
        ("0002", "0002-b", 2),
        ("tip", "0003-0001-a", 3),
    ]
    one = labels(patches=PATCHES[:1], with_base=True, each_patch=True)
    assert one == [("base", "", 0), ("tip", "0001-a", 1)]
