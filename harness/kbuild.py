# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own `make`, with the objects outside of the sources."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cache, kconfig, proc, toolchain
from harness.errors import KconfigError
from harness.git import Git
from harness.model import Kconfig
from harness.toolchain import Toolchain

_CONFIG_S = 300.0
_NEEDS_BZIMAGE = {
    f"CONFIG_{name}=y" for name in ("RANDOMIZE_BASE", "KASAN", "KMSAN", "KCSAN", "GCOV_PROFILE_ALL")
}
COMPILER = re.compile(
    r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?P<what>fatal error|error|warning): "
)
"""The first line of what a compiler says of a place."""
_PLACE = re.compile(r"^([^\s:]+):\d+:(?:\d+:)? ")
_OTHER_ERRORS = ("undefined reference to", "ERROR: modpost", "*** ", "ld: ", "error:")

# What a .config depends on, beside what was asked for and the compiler: the Kconfig files, the
# scripts that they run, what tinyconfig merges, and who starts it all.
_CONFIGURING = re.compile(
    r"(?:.*/)?Kconfig[^/]*|scripts/.*|(?:arch/[^/]+|kernel)/configs/.*|(?:arch/[^/]+/)?Makefile"
)

# What the build of a module reads of O=, beside .config and the symbols: generated headers, the
# linker script, and the programs that go over each object.
_FOR_MODULES = (
    "include/config",
    "include/generated",
    "arch/x86/include/generated",
    "scripts/module.lds",
    "scripts/basic/fixdep",
    "scripts/genksyms/genksyms",
    "scripts/mod/modpost",
    "tools/objtool/objtool",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kbuild:
    """Sources in a slot, an O= directory and a toolchain.

    `base` is the tree's name in errors, `lock` the slot's descriptor, which what runs here keeps
    open.
    """

    base: str
    slot: Path
    source: Path
    objects: Path
    tools: Toolchain
    lock: int

    def command(self, *targets: str) -> list[str]:
        """The make command for `targets`."""
        return [
            "make",
            "-C",
            str(self.source),
            f"O={self.objects}",
            f"-j{toolchain.jobs()}",
            *self.tools.make_arguments(),
            *targets,
        ]

    def environment(self) -> dict[str, str]:
        """What to add to the environment of that command."""
        return toolchain.environment(self.slot)

    def run(self, *targets: str) -> str:
        """Make what takes seconds; returns make's output. KconfigError with its last lines when
        it fails."""
        done = proc.run(
            self.command(*targets),
            env=self.environment(),
            timeout_s=_CONFIG_S,
            keep_fds=(self.lock,),
        )
        said = f"{done.text}\n{done.complaint}"
        if done.status:
            lines = tuple(said.splitlines()[-8:])
            raise KconfigError(f"make {' '.join(targets)} failed on {self.base}", lines=lines)
        return said

    @property
    def config(self) -> Path:
        """The .config."""
        return self.objects / ".config"

    def image_name(self) -> str:
        """What is built to be booted, make's target and the file's name: vmlinux where QEMU can
        start it (PVH), as packing and unpacking a bzImage is a second of each build and a fifth
        of each boot. Not with what instruments the first C code of that way, which runs before
        there is a shadow to write to, nor with KASLR: only unpacking moves a kernel."""
        symbols = set(self.config.read_text().splitlines())
        plain = "CONFIG_PVH=y" in symbols
        return "vmlinux" if plain and not symbols & _NEEDS_BZIMAGE else "bzImage"

    def configure(self, wanted: Kconfig) -> None:
        """Make a new .config: the file or tinyconfig, the fragments over it, olddefconfig."""
        self.objects.mkdir(parents=True, exist_ok=True)
        self.config.unlink(missing_ok=True)
        if wanted.config_file:
            self.config.write_text(wanted.config_file.text)
        else:
            self.run("tinyconfig")
        with self.config.open("a") as file:
            file.write(kconfig.merge(wanted))
        self.run("olddefconfig")

    def relative(self, line: str) -> str:
        """A line of make's, paths as the tree has them; ccache makes the compiler say them
        relative to O=."""
        for prefix in (str(self.source), os.path.relpath(self.source, self.objects)):
            line = line.replace(f"{prefix}/", "")
        return line

    def keep_for_modules(self, directory: Path) -> None:
        """After the image and modules_prepare: make `directory` an O= for modules outside of the
        tree, some megabytes that do without this one's objects.

        Symbols are those of vmlinux: the kernel's own modules are neither built nor exported.
        """
        directory.mkdir()
        shutil.copyfile(self.config, directory / ".config")
        shutil.copyfile(self.objects / "vmlinux.symvers", directory / "Module.symvers")
        for name in _FOR_MODULES:
            source, target = self.objects / name, directory / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)


def is_read_to_configure(path: str) -> bool:
    """Whether a file of the tree has a say in what a .config becomes."""
    return _CONFIGURING.fullmatch(path) is not None


def configured_by(mirror: Path, tree: str) -> str:
    """A digest of all such files of a tree object: trees that share it configure alike."""
    entries = Git(mirror).out("ls-tree", "-r", "-z", tree).split("\0")
    return cache.digest([one for one in entries if is_read_to_configure(one.partition("\t")[2])])


def without_place(warning: str) -> str:
    """A warning by its file and its words: the same one, wherever in the file it is now."""
    return _PLACE.sub(r"\1: ", warning)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why make ended: the compiler's first error with the source lines below it, and the file it
    is in; else the lines that look most like a reason, and no file."""

    file: str
    lines: tuple[str, ...]


def failure(lines: Sequence[str]) -> Failure:
    """What make's whole output says of its failure."""
    for number, line in enumerate(lines):
        found = COMPILER.match(line)
        if found is None or found["what"] == "warning":
            continue
        shown = [line]
        for after in lines[number + 1 : number + 4]:
            if not re.match(r"^\s+(\d+ )?\s*\|", after):
                break
            shown.append(after)
        return Failure(file=found["file"], lines=tuple(shown))
    errors = [line for line in lines if any(mark in line for mark in _OTHER_ERRORS)]
    return Failure(file="", lines=tuple(errors[:5] or lines[-5:]))
