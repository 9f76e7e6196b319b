# SPDX-License-Identifier: GPL-2.0-only
"""harness/kunit.py against the kernel's own kunit_parser.py, on the logs that lie beside it.

No guest: the tool and its logs come from the tree, which only tests here may expect to have.
"""

import contextlib
import importlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import kunit, tree
from harness.git import Git

WHERE = "tools/testing/kunit"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """The module of the tree, and the directory of its logs."""
    base = tree.resolve("6.12")
    top = tmp_path_factory.mktemp("kunit")
    done = Git(base.mirror).run("archive", base.commit, WHERE)
    assert done.status == 0, done.complaint
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(top, filter="data")
    sys.path.insert(0, str(top / WHERE))
    try:
        yield importlib.import_module("kunit_parser"), top / WHERE / "test_data"
    finally:
        sys.path.remove(str(top / WHERE))


def theirs(parser: Any, text: str) -> dict[str, int] | None:
    """What the kernel's tool counts; None where it ends in an exception of its own."""
    lines = io.StringIO(text, newline=None).readlines()
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            found = parser.parse_run_tests(lines).counts
        except ValueError as error:
            assert "going past EOF" in str(error)
            return None
    names = {"pass": found.passed, "fail": found.failed, "skip": found.skipped}
    return {**names, "crash": found.crashed, "error": found.errors}


def ours(text: str) -> dict[str, int]:
    return kunit.count(io.StringIO(text, newline="\n")).counts


def stamped(text: str, caller: str = "") -> str:
    return "".join(
        f"[{n / 1000:12.6f}]{caller} {line}\n" for n, line in enumerate(text.splitlines())
    )


def cuts(text: str) -> Iterator[str]:
    """The text up to every line and up to every 97th character."""
    at = 0
    for line in text.splitlines(keepends=True):
        yield text[:at]
        at += len(line)
    for at in range(0, len(text), 97):
        yield text[:at]


def test_every_log_of_test_data(tool: tuple[Any, Path]) -> None:
    parser, logs = tool
    names = sorted(logs.glob("*.log"))
    assert len(names) > 15
    raised = compared = 0
    for path in names:
        text = path.read_text(errors="backslashreplace")
        counts = theirs(parser, text)
        assert counts is not None
        for dressed in (text, text.replace("\n", "\r\n"), stamped(text), stamped(text, "[   T1]")):
            assert ours(dressed) == counts, path.name
        for variant in (text, text.replace("\n", "\r\n"), stamped(text)):
            for part in cuts(variant):
                expected = theirs(parser, part)
                if expected is None:
                    raised += 1
                    ours(part)
                    continue
                compared += 1
                assert ours(part) == expected, (path.name, part[-200:])
    assert compared > 100 * raised


def test_several_logs_in_one_stream(tool: tuple[Any, Path]) -> None:
    parser, logs = tool
    for one in sorted(logs.glob("test_is_test_passed-*.log")):
        text = one.read_text()
        alone = theirs(parser, text)
        assert alone is not None
        if not any(alone[name] for name in ("pass", "fail", "skip")):
            continue
        assert ours(text + text) == {name: 2 * number for name, number in alone.items()}, one.name
