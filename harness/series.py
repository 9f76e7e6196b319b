# SPDX-License-Identifier: GPL-2.0-only
"""Series as quilt directories: patches/<name>/{series,series.yaml,*.patch} (docs/series.md)."""

import bz2
import difflib
import gzip
import itertools
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import diff, yamlfile
from harness.errors import UsageError
from harness.model import Patch, Series

_KEYS = {"title", "thread", "base-commit", "after", "bases"}
_KEYS |= {"kconfigs", "suites", "fails-on-base"}
_PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}


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
    return read(directory, base)


def read(directory: Path, base: str | None = None) -> Series:
    """The quilt directory `directory`, wherever it is; it needs a `series` file, no series.yaml.

    Patches for the tree `base` come from <directory>/<base>/ where that has a `series` file.
    """
    yaml_path = directory / "series.yaml"
    about = yamlfile.load(yaml_path, _KEYS) if yaml_path.is_file() else {}
    bases = _strings(about, "bases", yaml_path)
    base = base or (bases[0] if bases else None)
    own = directory / base if base and "/" not in base else directory
    patches = tuple(_read_quilt(own if (own / "series").is_file() else directory))
    return Series(
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", directory.absolute().name) or "quilt",
        title=str(about.get("title", "")),
        thread=str(about.get("thread", "")),
        patches=patches,
        after=_strings(about, "after", yaml_path),
        bases=bases,
        kconfigs=_strings(about, "kconfigs", yaml_path),
        suites=_strings(about, "suites", yaml_path),
        fails_on_base=_expectations(about, yaml_path, base),
        base_commit=str(about.get("base-commit") or "") or base_commit(patches),
    )


def base_commit(patches: tuple[Patch, ...]) -> str:
    """What the first `base-commit:` trailer in the patches says, or empty."""
    return next(filter(None, (diff.base_commit(patch.data) for patch in patches)), "")


def with_below(root: Path, parts: Sequence[Series], base: str | None = None) -> list[Series]:
    """The series with those of `root` before them that they go after, each once."""
    found: list[Series] = []

    def add(part: Series, above: tuple[str, ...]) -> None:
        for name in part.after:
            if name in (*above, part.name):
                circle = " after ".join((*above, part.name, name))
                raise UsageError(f"series {name} goes after itself: {circle}")
            if all(name != one.name for one in (*found, *parts)):
                add(load(root, name, base), (*above, part.name))
        found.append(part)

    for part in parts:
        add(part, ())
    return found


def pick(parts: Sequence[Series], text: str) -> list[Series]:
    """The series with some of their patches: `1,3-5`, by number over all of them; `0` for none.
    UsageError for what is no such list, and for numbers that there are not."""
    total = sum(len(part.patches) for part in parts)
    wanted: set[int] = set()
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word.strip())
        if match is None:
            raise UsageError(f"--pick {text} is no list of patches", hint="as 1,3-5, or 0 for none")
        wanted |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    if beyond := sorted(number for number in wanted if number > total):
        raise UsageError(f"--pick {text}: there is no patch {beyond[0]}, only {total} of them")
    numbers = itertools.count(1)
    return [
        replace(part, patches=tuple(one for one in part.patches if next(numbers) in wanted))
        for part in parts
    ]


def stack(parts: Sequence[Series]) -> Series:
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
        base_commit=parts[0].base_commit if parts else "",
        note="; ".join(part.note for part in parts if part.note),
    )


def touched(patch: Patch) -> frozenset[str]:
    """The files that a patch changes, as paths in the tree."""
    return diff.touched([patch])


def hunk_at(patch: Patch, file: str, line: int) -> int | None:
    """The number (from 1) of the hunk of `file` whose old side begins at `line`."""
    for one in diff.files(patch.data, patch.strip):
        if file in one.paths and line in one.hunks:
            return one.hunks.index(line) + 1
    return None


def read_file(path: Path) -> bytes:
    """A patch's or a mailbox's bytes, unpacked where it is compressed (gzip, bzip2, xz).

    UsageError when it cannot be read.
    """
    try:
        return unpacked(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def unpacked(data: bytes) -> bytes:
    """Bytes, decompressed when they begin as gzip, bzip2 or xz do."""
    for magic, module in _PACKED.items():
        if data.startswith(magic):
            try:
                return module(data)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise UsageError(f"a compressed patch is damaged: {error}") from None
    return data


def _strings(about: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = about.get(key) or []
    if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
        raise UsageError(f"{path}:{yamlfile.line_of(path, key)}: {key} must be a list of names")
    for item in value:
        if not isinstance(item, str):
            raise UsageError(
                f"{path}:{yamlfile.line_of(path, key)}: {key}: {item} is read as a number",
                hint=f'write "{item}" in quotes',
            )
    return tuple(value)


def _expectations(about: dict[str, Any], path: Path, base: str | None) -> dict[str, str]:
    """test -> text; a text may be a map of bases to texts, for those bases only."""
    value = about.get("fails-on-base") or {}
    if not isinstance(value, dict):
        line = yamlfile.line_of(path, "fails-on-base")
        raise UsageError(f"{path}:{line}: fails-on-base must map a test to a text of its failure")
    found: dict[str, str] = {}
    for test, text in value.items():
        names = _full_names(str(test), about.get("suites") or ())
        if not isinstance(text, dict):
            found |= dict.fromkeys(names, str(text or ""))
        elif strange := [key for key in text if key not in about.get("bases", ())]:
            line = yamlfile.line_of(path, "fails-on-base")
            raise UsageError(
                f"{path}:{line}: fails-on-base: {test}: {strange[0]} is none of the bases"
            )
        elif base in text:
            found |= dict.fromkeys(names, str(text[base]))
    return found


def _full_names(test: str, suites: Sequence[str]) -> list[str]:
    """suite/test: a suite of another series in the stack may have a test of the same name."""
    return [test] if "/" in test else [f"{suite}/{test}" for suite in suites] or [test]


def _read_quilt(directory: Path) -> Iterator[Patch]:
    listing = directory / "series"
    try:
        lines = listing.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        raise UsageError(f"{listing} is missing: it lists the patches in order") from None
    for number, line in enumerate(lines, 1):
        where = f"{listing}:{number}"
        if (entry := _entry(line, where)) is None:
            continue
        name, strip = entry
        if name.startswith("/") or ".." in name.split("/"):
            raise UsageError(f"{where}: {name} is outside of the directory")
        try:
            data = unpacked((directory / name).read_bytes())
        except OSError as error:
            raise UsageError(f"{where}: {name}: {error.strerror or error}") from None
        yield Patch(name=name, data=diff.unix(data), strip=strip)


def _entry(line: str, where: str) -> tuple[str, int] | None:
    """Name and -p level of one line of a `series` file; None for none, or one guarded away.

    Guards are words in front of the name, as in SUSE's series files. No guard is ever selected
    here, so `+x` takes the patch out and `-x` leaves it in.
    """
    words = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].split()
    guards = list(itertools.takewhile(lambda word: word[0] in "+-", words))
    name, *options = words[len(guards) :] or [""]
    if not name or any(guard.startswith("+") for guard in guards):
        return None
    strip = 1
    for option in options:
        if not re.fullmatch(r"-p\d+", option):
            raise UsageError(f"{where}: unknown option {option}")
        strip = int(option[2:])
    return name, strip
