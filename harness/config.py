# SPDX-License-Identifier: GPL-2.0-only
"""Defaults that people set: harness.yaml, the user's config.yaml, the environment.

A flag wins over the environment, that over harness.yaml (in the current directory or above it,
else the project's), that over $XDG_CONFIG_HOME/harness/config.yaml.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import project
from harness.errors import UsageError

FILE = "harness.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value and where it comes from, as `harness config show` says it."""

    value: Any
    source: str


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text (a version number wants quotes)")
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d*", str(value)):
        raise ValueError("expected a number above 0")
    return int(value)


def _size(value: Any) -> str:
    if not re.fullmatch(r"[1-9]\d*[KMGT]?", str(value)):
        raise ValueError("expected a size such as 10G")
    return str(value)


def _flag(value: Any) -> bool:
    words = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
    if str(value).lower() not in words:
        raise ValueError("expected true or false")
    return words[str(value).lower()]


def _names(value: Any) -> list[str]:
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ValueError("expected a list of names")
    return [one for one in values if one]


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return str(value)

    return check


def _trees(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError("expected `name: path or URL` lines")
    return {str(name): place for name, place in value.items()}


KEYS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "tree": (_text, "kernel tree when neither --tree nor the series says"),
    "kconfig": (_names, "fragments for every kernel"),
    "accel": (_one_of("kvm", "tcg"), "how guests run; found out by default"),
    "cpus": (_number, "processors of a guest"),
    "memory": (_number, "memory of a guest in MiB"),
    "cc": (_text, "compiler"),
    "llvm": (_flag, "build with LLVM=1"),
    "output": (_text, "parent of run directories"),
    "color": (_one_of("auto", "always", "never"), "colours"),
    "jobs": (_number, "compilers at once"),
    "cache-size": (_size, "limit for kept kernels, and for all after `harness cache gc`, as 10G"),
    "trees": (_trees, "more named trees (files only)"),
}
_DEFAULTS: dict[str, Any] = {"cpus": 1, "memory": 512, "kconfig": [], "color": "auto", "trees": {}}


def variable(key: str) -> str:
    """The environment variable for a key: HARNESS_CACHE_SIZE for cache-size."""
    return "HARNESS_" + key.upper().replace("-", "_")


def user_file() -> Path:
    """`$XDG_CONFIG_HOME/harness/config.yaml`."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "harness/config.yaml"


def files() -> list[Path]:
    """The configuration files that there are, the weakest first."""
    here = Path.cwd()
    places = [directory / FILE for directory in (here, *here.parents)]
    own = next((path for path in places if path.is_file()), None)
    if own is None:
        try:
            own = project.root() / FILE
        except UsageError:
            own = None
    return [path for path in (user_file(), own) if path is not None and path.is_file()]


def load() -> dict[str, Value]:
    """What is set, by key, with its source. UsageError names file and line, or the variable."""
    values = {key: Value(value=value, source="default") for key, value in _DEFAULTS.items()}
    for path in files():
        values |= _from_file(path, values)
    for key, (check, _) in KEYS.items():
        said = os.environ.get(variable(key))
        if said and key != "trees":
            try:
                values[key] = Value(value=check(said), source=variable(key))
            except ValueError as error:
                raise UsageError(f"{variable(key)}={said}: {error}") from None
    return values


def _from_file(path: Path, before: dict[str, Value]) -> dict[str, Value]:
    from harness import yamlfile  # importing yaml takes longer than all the rest

    found = {}
    for key, raw in yamlfile.load(path, KEYS).items():
        where = f"{path}:{yamlfile.line_of(path, key)}"
        try:
            value = KEYS[key][0](raw)
        except ValueError as error:
            raise UsageError(f"{where}: {key}: {error}") from None
        if key == "trees":
            places = {n: _place(p, path.parent) for n, p in value.items()}
            value = {**before["trees"].value, **places}
        found[key] = Value(value=value, source=where)
    return found


def _place(place: str, beside: Path) -> str:
    """A tree's path counts from the file that names it."""
    return place if "://" in place else str(beside / Path(place).expanduser())


def trees() -> dict[str, str]:
    """Named trees of the configuration files: name -> path or URL."""
    return dict(load()["trees"].value)
