# SPDX-License-Identifier: GPL-2.0-only
"""Series as quilt directories: patches/<name>/{series,series.yaml,*.patch} (docs/series.md)."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError
from harness.model import Patch, Series

_KEYS = {"title", "thread", "bases", "kconfigs", "suites", "fails-on-base"}
_HUNK = re.compile(rb"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
_FILE = re.compile(rb"^(?:---|\+\+\+) (?:\"?)([^\t\n\"]+)", re.MULTILINE)


def names(root: Path) -> tuple[str, ...]:
    """The series of a project, sorted."""
    found = (root / "patches").glob("*/series.yaml")
    return tuple(sorted(path.parent.name for path in found))


def load(root: Path, name: str, base: str | None = None) -> Series:
    """The series `name`, with its patches for the tree `base` (default: its first base).

    Patches come from patches/<name>/<base>/ where that has a `series` file, else from
    patches/<name>/. UsageError for an unknown name, an unknown key, a missing patch.
    """
    directory = root / "patches" / name
    if not (directory / "series.yaml").is_file():
        known = names(root)
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
        raise UsageError(f"no series named {name} in {root / 'patches'}", hint=hint)
    about = _load_yaml(directory / "series.yaml")
    bases = _strings(about, "bases", directory / "series.yaml")
    base = base or (bases[0] if bases else None)
    own = directory / base if base else directory
    quilt = own if (own / "series").is_file() else directory
    return Series(
        name=name,
        title=str(about.get("title", "")),
        thread=str(about.get("thread", "")),
        patches=tuple(_read_quilt(quilt)),
        bases=bases,
        kconfigs=_strings(about, "kconfigs", directory / "series.yaml"),
        suites=_strings(about, "suites", directory / "series.yaml"),
        fails_on_base=_expectations(about, directory / "series.yaml"),
    )


def stack(parts: tuple[Series, ...]) -> Series:
    """Several series applied one after another, named a+b; the empty one for no parts."""
    if len(parts) == 1:
        return parts[0]
    return Series(
        name="+".join(part.name for part in parts) or "base",
        title="; ".join(part.title for part in parts),
        patches=tuple(patch for part in parts for patch in part.patches),
        bases=parts[0].bases if parts else (),
        kconfigs=tuple(dict.fromkeys(k for part in parts for k in part.kconfigs)),
        suites=tuple(dict.fromkeys(s for part in parts for s in part.suites)),
        fails_on_base={t: why for part in parts for t, why in part.fails_on_base.items()},
    )


def touched(patch: Patch) -> frozenset[str]:
    """The files that a patch changes, as paths in the tree."""
    files = set()
    for name in _FILE.findall(patch.data):
        path = name.decode(errors="replace").strip()
        if path != "/dev/null":
            files.add("/".join(path.split("/")[patch.strip :]))
    return frozenset(files)


def hunk_at(patch: Patch, file: str, line: int) -> int | None:
    """The number (from 1) of the hunk of `file` whose old side begins at `line`."""
    for section in re.split(rb"^(?=--- )", patch.data, flags=re.MULTILINE):
        if file not in touched(Patch(name=patch.name, data=section, strip=patch.strip)):
            continue
        starts = [int(found[1]) for found in _HUNK.finditer(section)]
        if line in starts:
            return starts.index(line) + 1
    return None


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(path.read_text())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {error}") from None
    if about is None:
        about = {}
    if not isinstance(about, dict):
        raise UsageError(f"{path}: expected `key: value` lines")
    for key in about:
        if key not in _KEYS:
            close = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(_KEYS))}"
            line = _line_of(path, str(key))
            raise UsageError(f"{path}:{line}: unknown key {key}", hint=hint)
    return about


def _line_of(path: Path, key: str) -> int:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith((f"{key}:", f'"{key}"', f"'{key}'", f"{key} ")):
            return number
    return 1


def _strings(about: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = about.get(key) or []
    if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
        raise UsageError(f"{path}:{_line_of(path, key)}: {key} must be a list of names")
    for item in value:
        if not isinstance(item, str):
            raise UsageError(
                f"{path}:{_line_of(path, key)}: {key}: {item} is read as a number",
                hint=f'write "{item}" in quotes',
            )
    return tuple(value)


def _expectations(about: dict[str, Any], path: Path) -> dict[str, str]:
    value = about.get("fails-on-base") or {}
    if not isinstance(value, dict):
        line = _line_of(path, "fails-on-base")
        raise UsageError(f"{path}:{line}: fails-on-base must map a test to a text of its failure")
    return {str(test): str(text or "") for test, text in value.items()}


def _read_quilt(directory: Path) -> Iterator[Patch]:
    listing = directory / "series"
    try:
        lines = listing.read_text().splitlines()
    except FileNotFoundError:
        raise UsageError(f"{listing} is missing: it lists the patches in order") from None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        strip = 1
        for option in words[1:]:
            if not re.fullmatch(r"-p\d+", option):
                raise UsageError(f"{listing}:{number}: unknown option {option}")
            strip = int(option[2:])
        try:
            data = (directory / words[0]).read_bytes()
        except OSError as error:
            raise UsageError(f"{listing}:{number}: {words[0]}: {error.strerror}") from None
        yield Patch(name=words[0], data=data, strip=strip)
