# SPDX-License-Identifier: GPL-2.0-only
"""Small kernel trees for tests: real git, real patches, files in place of kernels."""

import os
import subprocess
from pathlib import Path

from harness import proc

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION =\n"
# With where every .config of ours begins; more targets go below it.
BUILDABLE = f"{MAKEFILE}\ntinyconfig:\n\t@echo CONFIG_TINY=y > $(O)/.config\n"
AIO = "".join(f"line {number}\n" for number in range(1, 41))
ENV = {
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@localhost",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@localhost",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}


def write_kernel(path: Path) -> Path:
    """An unpacked tree that looks like a kernel's."""
    (path / "fs").mkdir(parents=True)
    (path / "Makefile").write_text(MAKEFILE)
    (path / "Kconfig").write_text('config AIO\n\tbool "AIO"\n')
    (path / "Kbuild").write_text("")
    (path / "fs/aio.c").write_text(AIO)
    (path / ".gitignore").write_text("*.o\nhidden.c\n")
    (path / "hidden.c").write_text("a kernel's own .gitignore hides this\n")
    return path


def git(path: Path, *args: str) -> str:
    """git in `path`, which must succeed."""
    return proc.check(proc.run(["git", *args], cwd=path, env=ENV), "git").text


def quick_git(path: Path, *args: str) -> str:
    """git() without a guard around it, where a test needs dozens."""
    env = {**os.environ, **ENV}
    done = subprocess.run(["git", *args], cwd=path, env=env, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode().strip()


def commit_kernel(path: Path) -> Path:
    """The same tree as a repository with one commit."""
    write_kernel(path)
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-f", "-A")
    git(path, "commit", "-q", "-m", "base")
    return path


def patch(old: str, new: str, *, at: int, file: str = "fs/aio.c") -> bytes:
    """A patch of one line of AIO, with three lines of context as git writes it."""
    lines = AIO.splitlines()
    assert lines[at - 1] == old
    before, after = lines[max(0, at - 4) : at - 1], lines[at : at + 3]
    count = len(before) + 1 + len(after)
    start = at - len(before)
    body = [f" {line}" for line in before] + [f"-{old}", f"+{new}"] + [f" {x}" for x in after]
    head = f"--- a/{file}\n+++ b/{file}\n@@ -{start},{count} +{start},{count} @@\n"
    return (head + "\n".join(body) + "\n").encode()
