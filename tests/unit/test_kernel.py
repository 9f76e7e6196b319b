# SPDX-License-Identifier: GPL-2.0-only
"""What a build says, on a tree whose Makefile does what a kernel's does, in no time."""

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cache, kernel, tree
from harness.errors import BuildError, KconfigError, UsageError
from harness.model import Fragment, Kconfig, Kernel, Patch, Series
from harness.toolchain import Toolchain
from tests.unit import fakes

# tinyconfig, olddefconfig and bzImage as a kernel's Makefile has them; the sources lie where the
# compiler of a real build names them from O=, which is what ccache makes of absolute paths.
MAKEFILE = (
    fakes.BUILDABLE
    + """
olddefconfig:
\t@sed -i /CONFIG_DROPPED/d $(O)/.config
bzImage:
\t@mkdir -p $(O)/arch/x86/boot $(O)/include/config
\t@[ $(O)/aio.o -nt fs/aio.c ] || { echo '  CC      fs/aio.o'; \\
\t\tcd $(O) && $(CC) -Wall -c ../../tree/fs/aio.c -o aio.o; }
\t@[ ! -e $(O)/kill ] || { echo half >$(O)/arch/x86/boot/bzImage; kill -9 $$PPID; }
\t@[ -e $(O)/arch/x86/boot/bzImage ] || echo whole >$(O)/arch/x86/boot/bzImage
\t@touch $(O)/vmlinux
\t@echo 6.12.7 > $(O)/include/config/kernel.release
vmlinux: bzImage
\t@rm $(O)/arch/x86/boot/bzImage
\t@cp $(O)/aio.o $(O)/vmlinux
"""
)
DEFAULT = Toolchain()
GOOD = "int first;\n\nint second;\n"


def build(
    tmp_path: Path,
    new: str,
    fragment: str = "CONFIG_AIO=y\n",
    *,
    start: str = "",
    tools: Toolchain = DEFAULT,
) -> Kernel:
    """Build a tree with a one-line patch of fs/aio.c that says `new`."""
    linux = tmp_path / "linux"
    if not linux.exists():
        fakes.commit_kernel(linux)
        (linux / "Makefile").write_text(MAKEFILE)
        (linux / "fs/aio.c").write_text(GOOD)
        fakes.git(linux, "commit", "-q", "-am", "builds")
    diff = (
        f"--- a/fs/aio.c\n+++ b/fs/aio.c\n@@ -1,3 +1,3 @@\n int first;\n-\n+{new}\n int second;\n"
    )
    stack = Series(name="s", patches=(Patch(name="0001-x.patch", data=diff.encode()),))
    return kernel.find_or_build(
        tree.resolve(str(linux)),
        stack,
        Kconfig(
            config_file=Fragment(name="whole", text=start) if start else None,
            defaults=(Fragment(name="base", text=fragment),),
        ),
        toolchain=tools,
        build_log=tmp_path / "build.log",
        progress=lambda done, expected, what: None,
    )


@pytest.fixture(params=["relative", "absolute"], autouse=True)
def _paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilers name the sources relative to O= (under ccache) or absolutely."""
    if request.param == "absolute":
        text = MAKEFILE.replace("../../tree/fs/aio.c", "$(CURDIR)/fs/aio.c")
        monkeypatch.setitem(globals(), "MAKEFILE", text)


def test_vmlinux_is_what_boots_where_it_can(tmp_path: Path) -> None:
    pvh = "CONFIG_AIO=y\nCONFIG_PVH=y\n"
    plain = build(tmp_path, "int a;", pvh)
    assert plain.image == plain.dir / "vmlinux"
    for symbol in ("RANDOMIZE_BASE", "KASAN"):
        packed = build(tmp_path, "int a;", f"{pvh}CONFIG_{symbol}=y\n")
        assert packed.image == packed.dir / "bzImage"
    assert not (plain.dir / "bzImage").exists()
    assert build(tmp_path, "int a;", pvh).boots == "vmlinux"
    other = build(tmp_path, "int b;", pvh)
    assert other.image_digest != plain.image_digest
    assert kernel.latest_image() == other.image


def test_a_kernel_is_built_and_found_again(tmp_path: Path) -> None:
    first = build(tmp_path, "int third;")
    assert (first.release, first.cached, first.warnings) == ("6.12.7", False, ())
    shutil.rmtree(tmp_path / "linux")
    assert build(tmp_path, "int third;").cached


def test_a_tree_is_configured_again_only_for_what_has_a_say_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    linux = tmp_path / "linux"
    build(tmp_path, "int third;")
    for file, configured in (
        ("fs/other.c", False),
        ("fs/Kconfig.binfmt", True),
        ("scripts/gcc-version.sh", True),
        ("fs/other.c", False),
        ("arch/x86/configs/tiny.config", True),
        ("Documentation/kbuild/Kconfig/x.rst", False),
    ):
        path = linux / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as opened:
            opened.write("more\n")
        fakes.git(linux, "add", "-f", file)
        fakes.git(linux, "commit", "-q", "-m", "change")
        caplog.clear()
        assert not build(tmp_path, "int third;").cached
        assert ("configuring" in caplog.messages) == configured, file


def test_what_a_killed_make_left_half_written_is_made_again(tmp_path: Path) -> None:
    build(tmp_path, "int third;")
    (objects,) = (cache.root() / "slots").glob("*/obj/*")
    (objects / "arch/x86/boot/bzImage").unlink()
    (objects / "kill").touch()
    with pytest.raises(BuildError, match="make ended with 137"):
        build(tmp_path, "int fourth;")
    assert (objects / "arch/x86/boot/bzImage").read_text() == "half\n"
    (objects / "kill").unlink()
    built = build(tmp_path, "int fourth;")
    assert built.image.read_text() == "whole\n"


def test_the_first_error_names_the_patch_that_touches_the_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="fs/aio.c is touched by 0001-x.patch") as caught:
        build(tmp_path, "int third")
    assert caught.value.lines[0].startswith("fs/aio.c:")
    assert "error: " in caught.value.lines[0]
    assert caught.value.log == tmp_path / "build.log"


def test_warnings_in_the_files_of_the_series_are_kept(tmp_path: Path) -> None:
    (warning,) = build(tmp_path, "static int unused;").warnings
    assert warning.startswith("fs/aio.c:2:") and "unused" in warning


def test_warnings_of_what_is_not_compiled_again_are_kept(tmp_path: Path) -> None:
    first = build(tmp_path, "static int unused;")
    (tmp_path / "linux/notes").write_text("nothing to compile\n")
    fakes.git(tmp_path / "linux", "add", "notes")
    fakes.git(tmp_path / "linux", "commit", "-q", "-m", "notes")
    again = build(tmp_path, "static int unused;")
    assert "CC" not in (tmp_path / "build.log").read_text()
    assert again.tree != first.tree and again.warnings == first.warnings
    assert build(tmp_path, "int used;").warnings == ()


def test_a_warning_in_a_header_goes_with_what_includes_it(tmp_path: Path) -> None:
    header = tmp_path / "linux/fs/inline.h"
    build(tmp_path, "int first_build;")
    header.write_text("static inline int f(int x) { int unused; return x; }\n")
    fakes.git(tmp_path / "linux", "add", "fs/inline.h")
    fakes.git(tmp_path / "linux", "commit", "-q", "-m", "header")
    (warning,) = build(tmp_path, '#include "inline.h"').warnings
    assert "inline.h:1:" in warning and "unused" in warning
    assert build(tmp_path, "int without;").warnings == ()


def test_a_warning_is_known_by_its_words(tmp_path: Path) -> None:
    first = build(tmp_path, "static int unused;")
    words = first.warnings[0].replace("fs/aio.c:2:", "fs/aio.c:222:")
    new = "fs/aio.c:3:1: warning: another one"
    moved = replace(first, warnings=(words, new, new.replace("aio.c", "pipe.c")))
    assert kernel.added_warnings(first, moved) == moved.warnings[1:]
    assert kernel.added_warnings(moved, first) == ()


def test_a_symbol_that_does_not_survive_is_named(tmp_path: Path) -> None:
    with pytest.raises(KconfigError, match="CONFIG_DROPPED: base asks for y, .* says n"):
        build(tmp_path, "int third;", fragment="CONFIG_AIO=y\nCONFIG_DROPPED=y\n")


def test_a_whole_config_is_where_the_build_starts(tmp_path: Path) -> None:
    tiny = build(tmp_path, "int third;")
    whole = build(tmp_path, "int third;", start="CONFIG_WHOLE=m\nCONFIG_DROPPED=y\n")
    assert tiny.config.read_text() == "CONFIG_TINY=y\nCONFIG_AIO=y\n"
    assert whole.config.read_text() == "CONFIG_WHOLE=m\nCONFIG_AIO=y\n"
    assert not whole.cached and whole.tree == tiny.tree


def test_another_compiler_makes_another_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "bin/gcc-99"
    own.parent.mkdir()
    own.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n[ "$1" != --version ] || exec echo gcc-99\n'
        f'exec {shutil.which("gcc")} "$@"\n'
    )
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:{os.environ['PATH']}")
    usual = build(tmp_path, "int third;")
    other = build(tmp_path, "int third;", tools=Toolchain(cc="gcc-99"))
    assert other.key != usual.key and not other.cached
    assert "-c " in (tmp_path / "calls").read_text()
    assert build(tmp_path, "int third;", tools=Toolchain(cc="gcc-99")).cached


def test_nonsense_in_the_environment_ends_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "much")
    with pytest.raises(UsageError, match="HARNESS_CACHE_SIZE=much"):
        build(tmp_path, "int third;")
