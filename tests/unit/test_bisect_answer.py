# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import proc
from harness.bisect import commits
from harness.errors import HostError


def git(repo: Path, *words: str, date: str = "2024-02-03T04:05:06+01:00") -> str:
    env = {
        "GIT_AUTHOR_NAME": "Ann Author",
        "GIT_AUTHOR_EMAIL": "ann@example.com",
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": "Carl",
        "GIT_COMMITTER_EMAIL": "carl@example.com",
        "GIT_COMMITTER_DATE": "2024-03-01T00:00:00+00:00",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    argv = ["git", "-C", str(repo), *words]
    return proc.check(proc.run(argv, env=env), " ".join(words)).text


def commit(repo: Path, name: str, lines: int, subject: str) -> str:
    (repo / name).write_text("".join(f"{n}\n" for n in range(lines)))
    git(repo, "add", name)
    git(repo, "commit", "-q", "-m", f"{subject}\n\nSigned-off-by: nobody")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = tmp_path / "linux"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    commit(made, "a.c", 3, "root: begin")
    return made


def test_what_is_said_of_a_commit(repo: Path) -> None:
    made = commit(repo, "b.c", 2, 'aio: say "no" to <b>')
    about = commits.about(repo / ".git", made)
    assert (about.commit, about.author) == (made, "Ann Author <ann@example.com>")
    assert about.date == "2024-02-03T04:05:06+01:00"  # the author's, not when it was applied
    assert about.fixes == f'Fixes: {made[:12]} ("aio: say "no" to <b>")'
    assert about.diffstat == ("b.c | 2 ++", "1 file changed, 2 insertions(+)")


def test_of_a_commit_without_parent_it_is_all_of_it(repo: Path) -> None:
    about = commits.about(repo / ".git", git(repo, "rev-parse", "HEAD"))
    assert about.diffstat[0] == "a.c | 3 +++"


def test_of_a_merge_it_is_what_it_brought(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "side.c", 1, "side: one")
    commit(repo, "side.c", 4, "side: two")
    git(repo, "checkout", "-q", "main")
    commit(repo, "main.c", 5, "main: go on")
    git(repo, "merge", "-q", "--no-ff", "-m", "Merge side", "side")
    about = commits.about(repo / ".git", git(repo, "rev-parse", "HEAD"))
    assert about.subject == "Merge side"
    assert about.diffstat == ("side.c | 4 ++++", "1 file changed, 4 insertions(+)")


def test_a_commit_of_many_files_is_told_in_a_few_lines(repo: Path) -> None:
    for number in range(60):
        (repo / f"f{number}.c").write_text("x\n")
    git(repo, "add", ".")
    about = commits.about(repo / ".git", commit(repo, "z.c", 1, "tree: all of it"))
    assert len(about.diffstat) < 25
    assert about.diffstat[-1].startswith("61 files changed")


def test_an_empty_commit_has_no_diffstat(repo: Path) -> None:
    git(repo, "commit", "-q", "--allow-empty", "-m", "empty: nothing")
    assert commits.about(repo / ".git", git(repo, "rev-parse", "HEAD")).diffstat == ()


def test_a_commit_that_is_gone_is_an_error(repo: Path) -> None:
    with pytest.raises(HostError):
        commits.about(repo / ".git", "1" * 40)
