# SPDX-License-Identifier: GPL-2.0-only
"""The tests of a suite find what breaks its series.

tests/data/broken/SERIES has patches that apply on top of patches/SERIES and each break one thing,
which the message says. Each costs the build of one file and a boot. In the message `Fails: GLOB`
says which of the suite's tests find it, and `Run: ...` is for the command line where one processor
and the suites of the series do not show it.
"""

import os
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.vm.conftest import REPO, Harness

BROKEN = REPO / "tests/data/broken"
ALL = bool(os.environ.get("HARNESS_ALL_BROKEN"))

# Run by default: a race, the second queue, a queue that is freed. Each fails in seconds.
TELLING = {
    "aio-poll/wakeup-lost-in-submit",
    "aio-poll/second-queue-forgotten",
    "aio-poll/pollfree-stays-on-queue",
}


def variants() -> list[Path]:
    return sorted(BROKEN.glob("*/*.patch"))


def name(path: Path) -> str:
    """SERIES/VARIANT: two series may have a variant of the same name."""
    return f"{path.parent.name}/{path.stem}"


def test_the_telling_ones_are_there() -> None:
    assert {name(path) for path in variants()} > TELLING


@pytest.mark.parametrize("patch", variants(), ids=name)
def test_is_caught(harness: Harness, patch: Path) -> None:
    if name(patch) not in TELLING and not ALL:
        pytest.skip(f"{name(patch)} is left out: set HARNESS_ALL_BROKEN=1 to run all")
    words = [
        "--series",
        f"{patch.parent.name},{patch}",
        "--fail-fast",
        "--jobs",
        "1",
        "--timeout",
        "60",
    ]
    message = patch.read_text()
    if asked := re.search(r"^Run: (.+)$", message, re.MULTILINE):
        words += shlex.split(asked[1])
    finders = re.search(r"^Fails: (.+)$", message, re.MULTILINE)
    assert finders is not None
    # A task that dies with a lock held leaves a guest that only time would end.
    code, run = harness("run", *words, "--append", "oops=panic")
    (bad,) = [result for result in run["results"] if result["outcome"] != "pass"]
    assert code == 1 and bad["outcome"] != "error"
    assert fnmatch(bad["test"].partition("/")[2], finders[1]), bad
