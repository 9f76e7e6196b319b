# SPDX-License-Identifier: GPL-2.0-only
"""Orders as packets, and the parcels that these name."""

from collections.abc import Mapping
from pathlib import Path

from harness import inputs, parcel, tree
from harness.executors import Order
from harness.executors.packet import Packet
from harness.model import Base, Kind


class Packing:
    """Orders as packets, and what those name: parcels of this machine's cache."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bases: dict[str, Base] = {}
        self._inputs: dict[tuple[str, ...], inputs.Inputs] = {}

    def of(self, order: Order, *, matrix: str) -> Packet:
        """The packet of a task. What the project holds now is what all tasks of the matrix get."""
        task = order.task
        argv, trees = self._trees(order.argv, task.base)
        elsewhere = tuple(path for path in _values(argv, "--kconfig") if "/" in path)
        if elsewhere not in self._inputs:
            self._inputs[elsewhere] = inputs.keep(self._root, elsewhere)
        kept = self._inputs[elsewhere]
        built = task.kind is Kind.BUILD
        return Packet(
            argv=_renamed(argv, "--kconfig", kept.fragments),
            cpus=1 if built else order.cpus,
            matrix=matrix,
            inputs=kept.name,
            trees=trees,
            kernels=task.kernels,
            sends=task.kernels if built else (),
        )

    def have(self, name: str) -> None:
        """Make the parcel where it can be made; HostError else."""
        for base in list(self._bases.values()):
            if parcel.base(base.commit) == name:
                parcel.keep_base(base)

    def _trees(self, argv: tuple[str, ...], commit: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command line with a tree's name for its path, which is this machine's."""
        if not commit:
            return argv, {}
        (name,) = _values(argv, "--tree")
        if commit not in self._bases:
            self._bases[commit] = tree.resolve(name, commit)
        base = self._bases[commit]
        return _renamed(argv, "--tree", {name: base.name}), {base.name: commit}


def _values(argv: tuple[str, ...], option: str) -> list[str]:
    return [value for word, value in zip(argv, argv[1:], strict=False) if word == option]


def _renamed(argv: tuple[str, ...], option: str, names: Mapping[str, str]) -> tuple[str, ...]:
    before = ("", *argv)
    pairs = zip(before, argv, strict=False)
    return tuple(names.get(word, word) if last == option else word for last, word in pairs)
