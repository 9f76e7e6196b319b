# SPDX-License-Identifier: GPL-2.0-only
"""git as the rooms use it: on explicit directories, blind to the user's configuration."""

from pathlib import Path

from harness import cache, proc

_GIT_S = 600.0  # an import of a whole kernel takes 15 s on the reference machine
_IDENTITY = {
    "GIT_AUTHOR_NAME": "harness",
    "GIT_AUTHOR_EMAIL": "harness@localhost",
    "GIT_AUTHOR_DATE": "1970-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "harness",
    "GIT_COMMITTER_EMAIL": "harness@localhost",
    "GIT_COMMITTER_DATE": "1970-01-01T00:00:00Z",
}


class Git:
    """git on a mirror: explicit directories, no hooks, no configuration of the user's.

    What it writes goes into `objects` where that is given, in place of the mirror.
    """

    def __init__(
        self,
        mirror: Path,
        *,
        index: Path | None = None,
        work: Path | None = None,
        objects: Path | None = None,
        lock: int = -1,
    ) -> None:
        cache.hold(mirror)
        self._argv = ["git", f"--git-dir={mirror}", "-c", "gc.auto=0", "-c", "core.hooksPath="]
        if work is not None:
            self._argv.append(f"--work-tree={work}")
        self._work = work
        self._env = {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        if index is not None:
            self._env["GIT_INDEX_FILE"] = str(index)
        if objects is not None:
            self._env["GIT_OBJECT_DIRECTORY"] = str(objects)
            self._env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(mirror / "objects")
        self._keep = (lock,) if lock >= 0 else ()

    def run(self, *args: str, feed: bytes = b"", cwd: Path | None = None) -> proc.Completed:
        """Run one git command; the caller judges its status."""
        return proc.run(
            [*self._argv, *args],
            cwd=cwd or self._work,
            env={**self._env, **_IDENTITY},
            feed=feed,
            timeout_s=_GIT_S,
            keep_fds=self._keep,
        )

    def out(self, *args: str, feed: bytes = b"") -> str:
        """Standard output of a git command that must succeed; HostError else."""
        return proc.check(self.run(*args, feed=feed), f"git {args[0]} failed").text


def init_mirror(mirror: Path) -> None:
    """Make an empty bare repository unless it is there. Kernel blobs are stored as they are:
    deflating them costs more time than the disk is worth."""
    if (mirror / "HEAD").exists():
        return
    with cache.building(mirror) as work:
        done = proc.run(["git", "init", "-q", "--bare", str(work)])
        proc.check(done, f"cannot make {mirror}")
        Git(work).out("config", "core.compression", "0")
        Git(work).out("config", "core.autocrlf", "false")
