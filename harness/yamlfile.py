# SPDX-License-Identifier: GPL-2.0-only
"""YAML files that people write: a mapping with known keys, errors with file and line."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A value and where it stands: `value` is a str, a number, a bool, None, a list of Items or a
    dict of them; `where` is file:line, `key` the way to it: `guests.two.cpus`, `exclude[0]`."""

    value: Any
    where: str
    key: str

    def wrong(self, what: str, hint: str = "") -> UsageError:
        """The error that says what is wrong with it, and where."""
        return UsageError(f"{self.where}: {self.key or 'the file'}: {what}", hint=hint)

    def mapping(self, known: Collection[str] | None = None) -> "dict[str, Item]":
        """Its keys and values; UsageError for no mapping, or a key that is not `known`."""
        if not isinstance(self.value, dict):
            raise self.wrong("expected `key: value` lines")
        for name, item in self.value.items():
            if known is not None and name not in known:
                hint = _closest(name, known)
                raise UsageError(f"{item.where}: unknown key {item.key}", hint=hint)
        return dict(self.value)

    def strings(self) -> tuple[str, ...]:
        """A list of strings; UsageError for anything else."""
        if not isinstance(self.value, list):
            raise self.wrong("expected a list, as [a, b]")
        return tuple(one.string() for one in self.value)

    def string(self) -> str:
        """A string; UsageError for anything else, as a number that wants quotes."""
        if isinstance(self.value, bool | int | float):
            raise self.wrong(f"{self.value} is read as a number", hint="put it in quotes")
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("expected a name")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """A whole number in these bounds; UsageError for anything else."""
        number = self.value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise self.wrong(f"expected a number from {low} to {high}")
        return number


def tree(path: Path) -> Item:
    """All of a file, every value with its place. UsageError names file and line: no YAML, a key
    that stands there twice."""
    try:
        loader = yaml.SafeLoader(path.read_text())
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, error) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if node is None:
        return Item(value={}, where=f"{path}:1", key="")
    return _item(node, path, "", loader)


def _item(node: yaml.Node, path: Path, key: str, loader: yaml.SafeLoader) -> Item:
    where = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Item] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            inner = f"{key}.{name}" if key else name
            made = _item(value_node, path, inner, loader)
            place = f"{path}:{name_node.start_mark.line + 1}"
            made = Item(value=made.value, where=place, key=inner)
            if name in found:
                raise made.wrong("stands there twice")
            found[name] = made
        return Item(value=found, where=where, key=key)
    if isinstance(node, yaml.SequenceNode):
        items = [_item(one, path, f"{key}[{n}]", loader) for n, one in enumerate(node.value)]
        return Item(value=items, where=where, key=key)
    try:
        value = loader.construct_object(node)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, error) from None
    return Item(value=value, where=where, key=key)


def _not_yaml(path: Path, error: yaml.MarkedYAMLError) -> UsageError:
    mark = error.problem_mark
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    return UsageError(f"{where}: not YAML: {error.problem}")


def _closest(key: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"


def load(path: Path, known: Collection[str]) -> dict[str, Any]:
    """The mapping in `path` as plain values, empty for an empty file. UsageError names file and
    line: no YAML, no mapping, a key that is not `known`."""
    top = tree(path)
    if not isinstance(top.value, dict):
        raise UsageError(f"{path}: expected `key: value` lines")
    return {key: _plain(item) for key, item in top.mapping(known).items()}


def line_of(path: Path, key: str) -> int:
    """The line (from 1) where a top-level key stands."""
    found = tree(path).mapping().get(key)
    return int(found.where.rpartition(":")[2]) if found is not None else 1


def _plain(item: Item) -> Any:
    if isinstance(item.value, dict):
        return {key: _plain(one) for key, one in item.value.items()}
    if isinstance(item.value, list):
        return [_plain(one) for one in item.value]
    return item.value
