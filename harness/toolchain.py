# SPDX-License-Identifier: GPL-2.0-only
"""Which compiler builds, and how to make it give equal images for equal sources."""

import os
import shutil
from pathlib import Path

from harness import cache, proc

# Whatever make would put into the image of the moment, the user or the machine. A timestamp
# before 1980 upsets some initramfs tools; this one is the age of the branch, roughly.
PINNED = {
    "KBUILD_BUILD_TIMESTAMP": "Mon Jan  1 00:00:00 UTC 2024",
    "KBUILD_BUILD_USER": "harness",
    "KBUILD_BUILD_HOST": "harness",
    "KBUILD_BUILD_VERSION": "1",
    "LOCALVERSION": "",
    "LC_ALL": "C",
    "TZ": "UTC",
}


def identity() -> str:
    """What `gcc` and `ld` call themselves: part of every key under which something is built.

    Asked once per installed binary and remembered by its size and time.
    """
    facts = []
    for tool in ("gcc", "ld"):
        path = Path(proc.find(tool)).resolve()
        stat = path.stat()
        facts.append([str(path), stat.st_size, stat.st_mtime_ns])
    memo = cache.root() / "toolchain" / cache.digest(facts)
    try:
        return memo.read_text()
    except OSError:
        pass
    first = [proc.run([tool, "--version"]).text.partition("\n")[0] for tool in ("gcc", "ld")]
    text = "; ".join(first)
    cache.write_whole(memo, text.encode())
    return text


def make_arguments() -> list[str]:
    """Variables for a kernel's `make`: the compiler, through ccache where that is installed."""
    return ["CC=ccache gcc"] if shutil.which("ccache") else ["CC=gcc"]


def environment(slot: Path) -> dict[str, str]:
    """The pinned build identity, and ccache told that slots are interchangeable."""
    return {
        **PINNED,
        "CCACHE_DIR": os.environ.get("CCACHE_DIR", str(cache.root() / "ccache")),
        "CCACHE_BASEDIR": str(slot),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "5G",
    }


def jobs() -> int:
    """How many compilers at once: as many as this process may use processors."""
    return len(os.sched_getaffinity(0))
