# SPDX-License-Identifier: GPL-2.0-only
"""What the README of a reproducer says. Text only."""

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.model import Base, Kernel
from harness.repro.cell import Wanted, outcome
from harness.repro.material import Material
from harness.toolchain import PINNED

_WIDTH = 90


def base_text(base: Base | None) -> str:
    """base.txt: the tree below the patches."""
    if base is None:
        return "The run ended before it knew its base.\n"
    lines = [
        f"name:    {Path(base.name).name}",
        f"version: {base.version}",
        f"commit:  {base.commit}",
        f"tree:    {base.tree}",
    ]
    if base.imported:
        lines += textwrap.wrap(
            "The commit is an import of the harness's own: nobody else has it. The files are those"
            f" of linux-{base.version}.tar.xz of kernel.org, or of whatever the run had under"
            " that name; the tree's digest is git's and can be compared.",
            _WIDTH,
        )
    return "\n".join(lines) + "\n"


def text(made: Material, seeds: Mapping[str, str]) -> str:
    """The whole README."""
    parts = [*_head(made.wanted, made.kernel), *_run(made.wanted), *_result(made.wanted)]
    parts += [*_seeds(made, seeds), *_build(made)]
    return "\n".join(parts) + "\n"


def _wrapped(*sentences: str) -> str:
    return textwrap.fill(" ".join(sentences), _WIDTH, break_on_hyphens=False) + "\n"


def _head(wanted: Wanted, kernel: Kernel) -> Iterator[str]:
    run = wanted.run.run
    count = len(wanted.patches)
    on = f"with {count} patch{'es' * (count != 1)} of {run.series}" if count else "unpatched"
    yield f"{wanted.test.name} on {kernel.release}, {on}\n"
    yield _wrapped(
        f"One test of the run {run.directory.name} of `harness`, with all that it needs: kernel,"
        " root and program. `harness` itself is not needed."
    )


def _run(wanted: Wanted) -> Iterator[str]:
    yield "To run it:\n\n    ./run.sh\n"
    if wanted.hosted:
        yield _wrapped(
            "It wants vng (virtme-ng), QEMU and a POSIX shell. Its guest has the files of the"
            " machine that it runs on, read-only, so what else the program reads has to be there;"
            " the program itself is in program/."
        )
    else:
        yield _wrapped(
            "It wants QEMU (qemu-system-x86_64), a POSIX shell and coreutils, some megabytes in"
            " $TMPDIR and no privileges; nothing is written here but console.log. `command` is what"
            " the guest does and may be edited; the beginning of run.sh has the variables that it"
            " heeds (ACCEL=kvm, TIMEOUT=S, KERNEL=FILE, ...)."
        )
    yield _wrapped(
        "Its standard output is the test's and its exit status too; 123: the test ended with 0,"
        " but the kernel reported something; 124: no end in time; 125: the guest died, did not come"
        " up, or there is none. `git bisect run` takes these as they are meant, if a guest that"
        " dies is not what you look for."
    )


def _result(wanted: Wanted) -> Iterator[str]:
    result = wanted.result
    yield f"In the run (result.json): {outcome(result)}\n"
    for splat in result.splats if result else ():
        yield f"    {splat.kind}: {splat.title}\n"
    if wanted.test.expect_splat:
        yield _wrapped(f"The kernel has to report: {', '.join(wanted.test.expect_splat)}.")
    if wanted.before:
        yield _wrapped(
            f"There the guest had run {', '.join(wanted.before[-5:])} before it"
            f"{' (and others)' * (len(wanted.before) > 5)}. Here it is alone in a guest that has"
            " just booted; what depends on them does not show."
        )
    for note in wanted.notes:
        yield _wrapped(f"Mind: {note}.")


def _seeds(made: Material, seeds: Mapping[str, str]) -> Iterator[str]:
    if seeds:
        said = ", ".join(f"{name}={value}" for name, value in seeds.items())
        yield _wrapped(f"Random numbers: {said} (seed), as in the run; set in `command`.")


def _build(made: Material) -> Iterator[str]:
    wanted, kernel = made.wanted, made.kernel
    base = wanted.run.base
    version = base.version if base else "VERSION"
    variables = " \\\n        ".join(f"{key}={shlex.quote(value)}" for key, value in PINNED.items())
    tools = f" CC={wanted.cell.cc}" if wanted.cell.cc else ""
    tools += " LLVM=1" if wanted.cell.llvm else ""
    yield f"To build the kernel again, from the sources that base.txt names, in linux-{version}/:\n"
    if wanted.patches:
        yield "    while read -r patch level; do patch $level <../patches/$patch; done \\"
        yield "        <../patches/series"
    yield f"    mkdir ../build && cp ../config ../build/.config\n    env {variables} \\"
    yield f"        make O=../build{tools} olddefconfig {kernel.boots}"
    image = "vmlinux" if kernel.boots == "vmlinux" else f"arch/x86/boot/{kernel.boots}"
    yield f"    cd .. && KERNEL=build/{image} ./run.sh\n"
