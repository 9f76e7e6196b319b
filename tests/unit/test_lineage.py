# SPDX-License-Identifier: GPL-2.0-only
from datetime import timedelta
from pathlib import Path

import pytest

from harness import apply_bisect, lineage, tree
from harness.errors import HostError, UsageError
from harness.git import Git
from harness.model import Patch, Series
from tests.unit import fakes
from tests.unit.histories import Edits, Stream
from tests.unit.test_tree import tarball

CULPRIT = 7
STACK = Series(
    name="s", patches=(Patch(name="one", data=fakes.patch("line 10", "LINE 10", at=10)),)
)


def render(path: str, edits: Edits) -> bytes:
    old = "line 9\n"
    return fakes.AIO.replace(old, "changed\n" if CULPRIT in edits else old).encode()


@pytest.fixture
def linux(tmp_path: Path) -> tuple[Path, dict[int, str]]:
    """Ten commits after the first, of which 4 and 5 are a branch that 8 merges."""
    repository = fakes.commit_kernel(tmp_path / "linux")
    stream = Stream(render=render, onto=fakes.quick_git(repository, "rev-parse", "HEAD"))
    for parents in ((0,), (1,), (2,), (1,), (4,), (3,), (6,), (7, 5), (8,), (9,)):
        stream.commit(parents, "fs/aio.c" if len(parents) == 1 else "")
    hashes = stream.write(repository)
    fakes.quick_git(repository, "tag", "-a", "-m", "x", "v1", hashes[3])
    return repository, hashes


def missing(mirror: Path, commit: str) -> list[str]:
    wanted = ("rev-list", "--objects", "--missing=print", commit)
    return [line for line in Git(mirror).out(*wanted).splitlines() if line.startswith("?")]


def test_a_checkout_has_its_own_history(linux: tuple[Path, dict[int, str]]) -> None:
    repository, hashes = linux
    span = lineage.span(str(repository), "v1")
    assert (span.good, span.bad) == (hashes[3], hashes[10])
    assert span.base.commit == hashes[10]
    older = lineage.span(str(repository), "v1", "main~1")
    assert (older.bad, older.base.commit) == (hashes[9], hashes[9])


@pytest.mark.parametrize("filters", ["true", "false"])
def test_the_history_of_a_url_is_fetched(linux: tuple[Path, dict[int, str]], filters: str) -> None:
    repository, hashes = linux
    fakes.quick_git(repository, "config", "uploadpack.allowFilter", filters)
    url = f"file://{repository}"
    span = lineage.span(url, "v1")
    assert (span.good, span.bad) == (hashes[3], hashes[10])
    assert bool(missing(span.base.mirror, span.bad)) == (filters == "true")
    found = apply_bisect.find(span, STACK)
    assert found is not None and found.commit == hashes[CULPRIT]
    assert (tree.resolve(url).mirror / "shallow").exists(), "the tree's own mirror stays as it was"
    # What is here is not fetched again, and a short hash will do.
    (repository / ".git").rename(repository / "gone")
    mirror = span.base.mirror
    assert lineage._commit(mirror, url, hashes[3][:12]) == hashes[3]  # noqa: SLF001


def test_more_is_fetched_where_a_branch_is_older(
    linux: tuple[Path, dict[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 left at 1, which is a minute older than what is fetched at first."""
    repository, hashes = linux
    margins = (timedelta(0), timedelta(minutes=5))
    monkeypatch.setattr(lineage, "_MARGINS", margins[:1])
    mirror = lineage.span(f"file://{repository}", hashes[3]).base.mirror
    assert hashes[4] in (mirror / "shallow").read_text()
    monkeypatch.setattr(lineage, "_MARGINS", margins)
    lineage.span(f"file://{repository}", hashes[3])
    cut = mirror / "shallow"
    assert not cut.exists() or hashes[4] not in cut.read_text()


def test_a_url_that_has_no_such_commit(linux: tuple[Path, dict[int, str]]) -> None:
    with pytest.raises(HostError, match="cannot fetch v9 of file:"):
        lineage.span(f"file://{linux[0]}", "v9")


def test_ends_that_changed_places(linux: tuple[Path, dict[int, str]]) -> None:
    repository, hashes = linux
    for place in (str(repository), f"file://{repository}"):
        with pytest.raises(UsageError, match=f"{hashes[9][:12]} is no ancestor") as caught:
            lineage.span(place, hashes[9], hashes[3])
        assert "have they changed places?" in caught.value.hint


def test_ends_on_two_branches(linux: tuple[Path, dict[int, str]]) -> None:
    repository, hashes = linux
    with pytest.raises(UsageError, match="is no ancestor of") as caught:
        lineage.span(str(repository), hashes[5], hashes[3])
    assert hashes[1][:12] in caught.value.hint


def test_a_commit_that_a_checkout_does_not_have(linux: tuple[Path, dict[int, str]]) -> None:
    with pytest.raises(UsageError, match="finds no commit v9"):
        lineage.span(str(linux[0]), "v9")


def test_a_shallow_checkout_says_that_it_is(
    linux: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    repository, hashes = linux
    shallow = tmp_path / "shallow"
    fakes.quick_git(tmp_path, "clone", "-q", "--depth=2", f"file://{repository}", str(shallow))
    with pytest.raises(UsageError, match="finds no commit") as caught:
        lineage.span(str(shallow), hashes[3])
    assert f"git -C {shallow} fetch --unshallow" in caught.value.hint
    assert lineage.span(str(shallow), hashes[9]).good == hashes[9]


def test_a_tarball_has_no_history(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no history: it was imported"):
        lineage.span(str(tarball(tmp_path)), "v1")
