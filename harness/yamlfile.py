# SPDX-License-Identifier: GPL-2.0-only
"""YAML files that people write: a mapping with known keys, errors with file and line."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError


def load(path: Path, known: Collection[str]) -> dict[str, Any]:
    """The mapping in `path`, empty for an empty file. UsageError names file and line: no YAML, no
    mapping, a key that is not `known`."""
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected `key: value` lines")
    for key in value:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            raise UsageError(f"{path}:{line_of(path, str(key))}: unknown key {key}", hint=hint)
    return value


def line_of(path: Path, key: str) -> int:
    """The line (from 1) where a top-level key stands."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith((f"{key}:", f'"{key}"', f"'{key}'", f"{key} ")):
            return number
    return 1
