# SPDX-License-Identifier: GPL-2.0-only
"""Which compiler builds, and how to make it give equal images for equal sources."""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import cache, host, proc
from harness.errors import HostError, UsageError

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

_CLANG = re.compile(r"(?P<place>.*/)?clang(?P<version>-\d+)?")
_LLVM_TOOLS = ("llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-objdump", "llvm-readelf", "llvm-strip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What a kernel is built with. `cc` is the compiler's command (gcc-12, clang, a path); empty
    for gcc, or clang with `llvm`.

    `llvm` takes the linker and the other tools from LLVM too (Documentation/kbuild/llvm.rst); a
    clang named by `cc` alone is used with GNU binutils. UsageError for `llvm` with another
    compiler.
    """

    cc: str = ""
    llvm: bool = False

    def __post_init__(self) -> None:
        found = _CLANG.fullmatch(self.compiler)
        if self.llvm and (found is None or all(found.groups())):
            raise UsageError(
                f"LLVM's tools go with clang, not with {self.cc}",
                hint="name clang, clang-14 or /path/to/clang, or leave the compiler out",
            )

    @property
    def compiler(self) -> str:
        """The compiler's command."""
        return self.cc or ("clang" if self.llvm else "gcc")

    def identity(self) -> str:
        """What compiler and linker call themselves: part of every key under which something is
        built. HostError where a tool is missing.

        Asked once per installed binary and remembered by its size and time.
        """
        facts = []
        for tool in self._tools():
            path = Path(_find(tool)).resolve()
            stat = path.stat()
            facts.append([tool, str(path), stat.st_size, stat.st_mtime_ns])
        memo = cache.root() / "toolchain" / cache.digest(facts)
        with contextlib.suppress(OSError):
            text = memo.read_text()
            cache.touch(memo)
            return text
        asked = [proc.run([tool, "--version"]) for tool in self._tools()[:2]]
        text = "; ".join(answer.text.partition("\n")[0] for answer in asked)
        cache.write_whole(memo, text.encode())
        return text

    def make_arguments(self) -> list[str]:
        """Variables for a kernel's `make`: the compiler, through ccache where that is installed."""
        ccache = "ccache " if shutil.which("ccache") else ""
        own = [f"CC={ccache}{self.compiler}"]
        place, version = self._llvm_names()
        return [f"LLVM={place or version or 1}", *own] if self.llvm else own

    def _llvm_names(self) -> tuple[str, str]:
        """Where clang is, with the last slash, and its suffix: the other tools have the same."""
        found = _CLANG.fullmatch(self.compiler)
        return (found["place"] or "", found["version"] or "") if found else ("", "")

    def _tools(self) -> tuple[str, ...]:
        """Compiler, linker, and what else make will start."""
        if not self.llvm:
            return self.compiler, "ld"
        place, version = self._llvm_names()
        others = (f"{place}{tool}{version}" for tool in ("ld.lld", *_LLVM_TOOLS))
        return self.compiler, *others


def identity() -> str:
    """That of the default toolchain, which compiles the programs for guests."""
    return Toolchain().identity()


def _find(tool: str) -> str:
    try:
        return proc.find(tool)
    except HostError as error:
        if tool in ("gcc", "ld"):
            raise
        name = Path(tool).name
        package = re.sub(r"^llvm-[a-z]+", "llvm", name.replace("ld.lld", "lld"))
        hint = f"install it (Debian's package is {package}), or name another compiler"
        raise HostError(error.message, hint=hint) from None


def check_arch(name: str) -> str:
    """The architecture as we call it, x86_64; UsageError for one that cannot be built yet."""
    if name not in ("x86_64", "x86"):
        raise UsageError(f"{name} is not supported yet: only x86_64")
    return "x86_64"


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
    """How many compilers at once: `$HARNESS_JOBS`, else as many as this process may use
    processors. UsageError where that is no positive number."""
    text = os.environ.get("HARNESS_JOBS")
    if not text:
        return host.processors()
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise UsageError(f"HARNESS_JOBS={text} is not a number of jobs", hint="1 or more")
    return int(text)
