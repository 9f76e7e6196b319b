# SPDX-License-Identifier: GPL-2.0-only
"""ci/matrix.yaml: trees x series x kconfigs x guests -> cells (docs/matrix.md).

Every name in it is looked up, so that a nightly does not find out after hours that a fragment is
called otherwise. Errors name file, line and key.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import series, tree, yamlfile
from harness.errors import UsageError
from harness.model import AXES, MatrixCell, Shape
from harness.suites import guest_tests
from harness.yamlfile import Item

_KEYS = ("trees", "series", "kconfigs", "guests", "suites", "priority", "include", "exclude")
_SERIES_KEYS = ("suites", "priority")
_KCONFIG_KEYS = ("fragments", "set", "priority")
_GUEST_KEYS = ("cpus", "memory", "append", "priority")
_RULE_KEYS = (*AXES, "suites", "priority")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A cell that is not run, and why."""

    cell: MatrixCell
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The cells of a file, those of the highest priority first, else in its order."""

    cells: tuple[MatrixCell, ...]
    left_out: tuple[LeftOut, ...] = ()


def load(path: Path, root: Path) -> Matrix:
    """The cells of a file, whose names are those of the project `root`. UsageError for what is
    wrong with it."""
    top = yamlfile.tree(path)
    keys = top.mapping(_KEYS)
    for name in ("trees", "series", "kconfigs", "guests"):
        if name not in keys or not keys[name].value:
            raise top.wrong(f"{name} is missing or empty: a matrix has all of them")
    made = _File(keys, root)
    cells = [*made.product(), *made.included()]
    names = [cell.name for cell in cells]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise keys.get("include", top).wrong(f"{twice} is there already")
    return made.without_excluded(cells)


def select(cells: Sequence[MatrixCell], wish: str) -> tuple[MatrixCell, ...]:
    """Those that `series=aio-poll,kconfig=debug` names; all for no wish. UsageError for a key or a
    value that no cell has."""
    asked = [part.partition("=") for part in wish.split(",") if part]
    found = tuple(cells)
    for key, equals, value in asked:
        if key not in AXES or not equals:
            raise UsageError(f"--select {wish}: expected {'=, '.join(AXES)}=")
        known = dict.fromkeys(str(getattr(cell, key)) for cell in cells)
        if value not in known:
            hint = f"there are: {', '.join(known)}"
            raise UsageError(f"--select {wish}: no cell has {key}={value}", hint=hint)
        found = tuple(cell for cell in found if getattr(cell, key) == value)
    if not found:
        raise UsageError(f"--select {wish}: no cell is all of that")
    return found


class _File:
    """The parts of a file, each value checked."""

    def __init__(self, keys: Mapping[str, Item], root: Path) -> None:
        self._keys = keys
        self._suites = tuple(guest_tests.names(root))
        self._trees = self._names("trees", (*tree.KNOWN, *tree.added()), places=True)
        self._series = self._of_series(("base", *series.names(root)))
        self._fragments = [path.stem for path in (root / "kconfigs").glob("*.config")]
        self._kconfigs = {
            name: self._kconfig(item) for name, item in keys["kconfigs"].mapping().items()
        }
        self._guests = {name: self._guest(item) for name, item in keys["guests"].mapping().items()}
        self._default_suites = self._suites_of(keys)
        self._default_priority = self._priority_of(keys)

    def product(self) -> Iterator[MatrixCell]:
        """Every combination."""
        axes = (self._trees, tuple(self._series), self._kconfigs, self._guests)
        for names in itertools.product(*axes):
            yield self._cell(dict(zip(AXES, names, strict=True)))

    def included(self) -> Iterator[MatrixCell]:
        """What `include` adds: each names a cell of all four axes."""
        for item in self._list("include"):
            rule = item.mapping(_RULE_KEYS)
            missing = [axis for axis in AXES if axis not in rule]
            if missing:
                raise item.wrong(f"{', '.join(missing)} is missing: it names one cell")
            made = self._cell(self._rule(rule))
            suites = self._suites_of(rule) or made.suites
            priority = self._priority_of(rule) if "priority" in rule else made.priority
            yield replace(made, suites=suites, priority=priority)

    def without_excluded(self, cells: Sequence[MatrixCell]) -> Matrix:
        """The matrix; UsageError for a rule without a reason, or one that no cell is under."""
        left = list(cells)
        gone: list[LeftOut] = []
        for item in self._list("exclude"):
            rule = item.mapping((*AXES, "reason"))
            if "reason" not in rule:
                raise item.wrong("reason is missing: say why")
            reason = rule.pop("reason").string()
            if not rule:
                raise item.wrong("names nothing to exclude")
            wanted = self._rule(rule)
            hit = [c for c in left if all(getattr(c, key) == v for key, v in wanted.items())]
            if not hit:
                raise item.wrong("excludes nothing: no cell is left that is like this")
            gone += [LeftOut(cell=cell, reason=reason) for cell in hit]
            left = [cell for cell in left if cell not in hit]
        order = sorted(left, key=lambda cell: -cell.priority)
        return Matrix(cells=tuple(order), left_out=tuple(gone))

    def _cell(self, names: Mapping[str, str]) -> MatrixCell:
        fragments, settings, first = self._kconfigs[names["kconfig"]]
        shape, second = self._guests[names["guest"]]
        suites, third = self._series[names["series"]]
        return MatrixCell(
            **names,
            fragments=fragments,
            settings=settings,
            shape=shape,
            suites=suites or self._default_suites,
            priority=self._default_priority + first + second + third,
        )

    def _rule(self, rule: Mapping[str, Item]) -> dict[str, str]:
        """The axes that a rule names, each with one of its values."""
        values = {
            "tree": self._trees,
            "series": tuple(self._series),
            "kconfig": tuple(self._kconfigs),
            "guest": tuple(self._guests),
        }
        found = {}
        for key in (key for key in AXES if key in rule):
            found[key] = rule[key].string()
            if found[key] not in values[key]:
                hint = f"there are: {', '.join(values[key])}"
                raise rule[key].wrong(f"no {key} {found[key]}", hint=hint)
        return found

    def _of_series(self, known: Sequence[str]) -> dict[str, tuple[tuple[str, ...], int]]:
        """Their suites and priorities: none where they are a plain list."""
        item = self._keys["series"]
        if not isinstance(item.value, dict):
            return dict.fromkeys(self._names("series", known), ((), 0))
        found = {}
        for name, about in item.mapping().items():
            if name not in known:
                raise about.wrong(f"{name} is not known", hint=f"there are: {', '.join(known)}")
            keys = about.mapping(_SERIES_KEYS) if about.value is not None else {}
            found[name] = self._suites_of(keys), self._priority_of(keys)
        return found

    def _kconfig(self, item: Item) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        about = item.mapping(_KCONFIG_KEYS) if item.value is not None else {}
        fragments = about["fragments"].strings() if "fragments" in about else ()
        for name in fragments:
            if name not in self._fragments and not ("/" in name and Path(name).is_file()):
                hint = f"there are: {', '.join(sorted(self._fragments))}"
                raise about["fragments"].wrong(f"no fragment {name} in kconfigs/", hint=hint)
        settings = about["set"].strings() if "set" in about else ()
        if bad := next((text for text in settings if "=" not in text), None):
            raise about["set"].wrong(f"{bad} is no SYMBOL=value")
        return fragments, settings, self._priority_of(about)

    def _guest(self, item: Item) -> tuple[Shape, int]:
        about = item.mapping(_GUEST_KEYS) if item.value is not None else {}
        shape = Shape(
            cpus=about["cpus"].integer(1, 256) if "cpus" in about else 1,
            memory_mib=about["memory"].integer(64, 1 << 20) if "memory" in about else 512,
            cmdline=about["append"].strings() if "append" in about else (),
        )
        return shape, self._priority_of(about)

    def _suites_of(self, keys: Mapping[str, Item]) -> tuple[str, ...]:
        found = keys["suites"].strings() if "suites" in keys else ()
        for name in found:
            if name not in self._suites:
                hint = f"there are: {', '.join(self._suites)}"
                raise keys["suites"].wrong(f"no suite {name}", hint=hint)
        return found

    def _priority_of(self, keys: Mapping[str, Item]) -> int:
        return keys["priority"].integer(-1000, 1000) if "priority" in keys else 0

    def _names(self, key: str, known: Sequence[str], *, places: bool = False) -> tuple[str, ...]:
        """A list of names of the project; with `places` paths and addresses too."""
        found = self._keys[key].strings()
        for item in self._keys[key].value:
            if item.value not in known and not (places and "/" in item.value):
                hint = f"there are: {', '.join(known)}"
                raise item.wrong(f"{item.value} is not known", hint=hint)
        if twice := next((name for name in found if found.count(name) > 1), None):
            raise self._keys[key].wrong(f"{twice} is there twice")
        return found

    def _list(self, key: str) -> list[Item]:
        item = self._keys.get(key)
        if item is None or item.value is None:
            return []
        if not isinstance(item.value, list):
            raise item.wrong("expected a list of rules, each beginning with `-`")
        return list(item.value)
