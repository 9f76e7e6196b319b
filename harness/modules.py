# SPDX-License-Identifier: GPL-2.0-only
"""A suite's kernel modules, built for one kernel outside of its tree, cached by content."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import cache, kbuild, proc, slot
from harness.errors import BuildError
from harness.kbuild import Kbuild
from harness.model import Base, Kernel
from harness.suites import Modules
from harness.toolchain import Toolchain

_BUILD_S = 600.0
# For the frames of a report (symbols.py): in so few files they cost nothing.
_LINES = "KCFLAGS=-g1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What modules are built for: a kernel that was built with `modules`, the base and the
    compiler that it is of, and its name in errors."""

    base: Base
    kernel: Kernel
    tools: Toolchain
    name: str


def find_or_build(wanted: Modules, target: Target, build_log: Path) -> Path:
    """A directory with the .ko files of `wanted` for that kernel.

    Equal sources for an equal kernel are built once, in a copy, with the O= that the kernel keeps
    and the sources of a slot. `build_log` gets make's whole output when something is built.
    BuildError with the compiler's first error, placed in the suite.
    """
    content = [
        (str(path.relative_to(wanted.sources)), path.read_bytes())
        for path in sorted(wanted.sources.rglob("*"))
        if path.is_file()
    ]
    final = (
        target.kernel.dir / "modules" / cache.digest(_LINES, content)
    )  # gone when the kernel goes
    if cache.hold(final):
        return final
    with (
        slot.take(target.base, target.kernel.tree) as taken,
        cache.building(final) as work,
    ):
        copy = work / "build"
        shutil.copytree(wanted.sources, copy)
        _make(wanted, target, taken, copy, build_log)
        for module in copy.rglob("*.ko"):
            module.rename(work / module.name)
        shutil.rmtree(copy)
        if not any(work.iterdir()):
            raise BuildError(f"{wanted.name}: make made no module", hint="obj-m in its Makefile")
    return final


def _make(wanted: Modules, target: Target, taken: slot.Slot, copy: Path, build_log: Path) -> None:
    work = Kbuild(
        base=target.base.name,
        slot=taken.dir,
        source=taken.source,
        objects=target.kernel.kbuild,
        tools=target.tools,
        lock=taken.lock,
    )
    done = proc.run(
        work.command(_LINES, f"M={copy}", "modules"),
        env=work.environment(),
        timeout_s=_BUILD_S,
        keep_fds=(taken.lock,),
    )
    said = done.stdout + done.stderr
    with build_log.open("ab") as file:
        file.write(said)
    if not done.status:
        return
    if b"No space left on device" in said:
        raise proc.disk_full("make")
    lines = said.decode(errors="replace").replace(f"{copy}/", f"{wanted.name}/").splitlines()
    raise BuildError(
        f"{wanted.name} does not compile for {target.name}",
        lines=kbuild.failure([work.relative(line) for line in lines]).lines,
        log=build_log,
    )
