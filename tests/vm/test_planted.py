# SPDX-License-Identifier: GPL-2.0-only
"""What the report says of a bug is where the bug is.

tests/data/planted has patches that apply on top of patches/aio-poll and each plant one bug that the
kernel notices. The message says what has to be found: `Kind:` of the splat, `Function:` and `Line:`
(as it stands in the sources) of the bug, `Test:` that meets it, and `Run:` how to run it. Each
costs the build of one file and a boot.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness import recorded
from harness.blame import edits
from harness.report import text
from tests.vm.conftest import REPO, Harness

PLANTED = sorted((REPO / "tests/data/planted").glob("*.patch"))
ALL = bool(os.environ.get("HARNESS_ALL_PLANTED"))
FILE = "fs/aio.c"
TELLING = {"warning"}  # what each change runs


def said(message: str, key: str) -> str:
    found = re.search(rf"^{key}: (.+)$", message, re.MULTILINE)
    assert found is not None, key
    return found[1]


def line_of(message: str, source: str) -> int:
    """The line number, in the patched file, of an added line."""
    numbers, number = [], 0
    for line in message.partition("\n+++ ")[2].splitlines()[1:]:
        if hunk := edits(line):
            number = hunk[0].new
            continue
        if line[:1] == "+" and line[1:].strip() == source:
            numbers.append(number)
        number += line[:1] != "-"
    (only,) = numbers
    return only


def positions(splat: Any) -> list[tuple[str, str, int, str]]:
    """What the report says of the guilty frame and what is inlined there."""
    guilty = next(f for f in splat["frames"] if plain(f["function"]) == splat["function"])
    every = [guilty, *guilty["inlines"]]
    return [(plain(one["function"]), one["file"], one["line"], one["patch"]) for one in every]


def plain(function: str) -> str:
    return function.partition(".")[0]


def test_ten_are_planted() -> None:
    assert len(PLANTED) >= 10 and {path.stem for path in PLANTED} >= TELLING


@pytest.mark.parametrize("patch", PLANTED, ids=lambda path: path.stem)
def test_is_named(harness: Harness, patch: Path) -> None:
    if patch.stem not in TELLING and not ALL:
        pytest.skip(f"{patch.stem} is left out: set HARNESS_ALL_PLANTED=1 to run all")
    message = patch.read_text()
    words = shlex.split(said(message, "Run"))
    code, run = harness(
        *("run", "--series", f"aio-poll,{patch}", "--suite", "aio-poll", *words),
        *("--append", "oops=panic"),
    )
    assert code == 1
    first = next(result for result in run["results"] if result["splats"])
    assert first["test"] == said(message, "Test")
    splat = first["splats"][0]
    assert splat["kind"] == said(message, "Kind")
    assert not splat["undecoded"]
    at = line_of(message, said(message, "Line"))
    subject = said(message, r"Subject: \[PATCH\] aio").replace(" ", "-")
    wanted = (said(message, "Function"), FILE, at)
    (patch_named,) = [one[3] for one in positions(splat) if one[:3] == wanted]
    slug = re.sub(r"^\d+-|\.patch$", "", patch_named)
    assert slug and f"aio-{subject}".startswith(slug)
    shown = text.render(recorded.load(Path(run["run_dir"])).run)
    assert f"during {first['test']}" in shown and f"{FILE}:{at}  <- " in shown
