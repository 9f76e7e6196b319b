# SPDX-License-Identifier: GPL-2.0-only
"""Modules of a suite, on a tree whose Makefile does what a kernel's does, in no time."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import kernel, modules, proc, tree
from harness.errors import BuildError
from harness.model import Base, Fragment, Kconfig, Kernel, Series
from harness.suites import Modules
from harness.toolchain import Toolchain
from tests.unit import fakes

# A kernel's Makefile in little: `modules` compiles what obj-m names, with a header of O=, and
# writes into M= alone.
MAKEFILE = (
    fakes.BUILDABLE
    + """
olddefconfig:
bzImage:
\t@mkdir -p $(O)/arch/x86/boot $(O)/include/config
\t@touch $(O)/vmlinux $(O)/vmlinux.symvers $(O)/arch/x86/boot/bzImage
\t@echo 6.12.7 > $(O)/include/config/kernel.release
modules_prepare:
\t@mkdir -p $(O)/include/generated
\t@echo '#define RELEASE 61207' > $(O)/include/generated/autoconf.h
ifdef M
include $(M)/Makefile
modules: $(obj-m:.o=.ko)
%.ko:
\t@test -e $(O)/Module.symvers
\t$(CC) -include $(O)/include/generated/autoconf.h -c $(M)/$*.c -o $(M)/$@
endif
"""
)
TOOLS = Toolchain()


def build_kernel(tmp_path: Path, symbol: str = "AIO") -> tuple[Base, Kernel]:
    linux = tmp_path / "linux"
    if not linux.exists():
        fakes.commit_kernel(linux)
        (linux / "Makefile").write_text(MAKEFILE)
        fakes.git(linux, "commit", "-q", "-am", "builds")
    base = tree.resolve(str(linux))
    built = kernel.find_or_build(
        base,
        Series(name="base"),
        Kconfig(defaults=(Fragment(name="base", text=f"CONFIG_{symbol}=y\n"),)),
        toolchain=TOOLS,
        build_log=tmp_path / "build.log",
        progress=lambda done, expected, what: None,
        modules=True,
    )
    return base, built


@pytest.fixture
def target(tmp_path: Path) -> modules.Target:
    base, built = build_kernel(tmp_path)
    return modules.Target(base=base, kernel=built, tools=TOOLS, name="s on 6.12")


@pytest.fixture
def wanted(tmp_path: Path) -> Modules:
    sources = tmp_path / "area/test_modules"
    sources.mkdir(parents=True)
    (sources / "Makefile").write_text("obj-m := first.o\n")
    (sources / "first.c").write_text("int release = RELEASE;\n")
    return Modules(name="guest-tests/area/test_modules", sources=sources, places=())


def test_a_module_is_built_outside_of_its_sources(
    wanted: Modules, target: modules.Target, tmp_path: Path
) -> None:
    before = sorted(wanted.sources.iterdir())
    built = modules.find_or_build(wanted, target, tmp_path / "log")
    assert [path.name for path in built.iterdir()] == ["first.ko"]
    assert sorted(wanted.sources.iterdir()) == before
    assert "first.c" in (tmp_path / "log").read_text()


def test_it_needs_nothing_of_the_objects_of_its_kernel(
    wanted: Modules, target: modules.Target, tmp_path: Path
) -> None:
    for objects in (tmp_path / "xdg-cache/harness/slots").glob("*/obj"):
        shutil.rmtree(objects)
    assert modules.find_or_build(wanted, target, tmp_path / "log").exists()


def test_equal_sources_for_an_equal_kernel_are_built_once(
    wanted: Modules, target: modules.Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = modules.find_or_build(wanted, target, tmp_path / "log")
    monkeypatch.setattr(proc, "spawn", None)
    assert modules.find_or_build(wanted, target, tmp_path / "log") == first


def test_changed_sources_and_another_kernel_build_again(
    wanted: Modules, target: modules.Target, tmp_path: Path
) -> None:
    first = modules.find_or_build(wanted, target, tmp_path / "log")
    _, other = build_kernel(tmp_path, "EPOLL")
    second = modules.find_or_build(wanted, replace(target, kernel=other), tmp_path / "log")
    (wanted.sources / "first.c").write_text("int changed;\n")
    third = modules.find_or_build(wanted, target, tmp_path / "log")
    assert len({first, second, third}) == 3


def test_an_error_is_placed_in_the_suite(
    wanted: Modules, target: modules.Target, tmp_path: Path
) -> None:
    (wanted.sources / "first.c").write_text("int fine;\nint release = RELAESE;\n")
    with pytest.raises(BuildError, match="test_modules does not compile for s on 6.12") as caught:
        modules.find_or_build(wanted, target, tmp_path / "log")
    assert caught.value.lines[0].startswith("guest-tests/area/test_modules/first.c:2:15: error: ")
    assert caught.value.log == tmp_path / "log"


def test_a_directory_without_a_module_is_told(
    wanted: Modules, target: modules.Target, tmp_path: Path
) -> None:
    (wanted.sources / "Makefile").write_text("obj-y := first.o\n")
    with pytest.raises(BuildError, match="guest-tests/area/test_modules: make made no module"):
        modules.find_or_build(wanted, target, tmp_path / "log")


def test_only_a_kernel_for_modules_keeps_what_they_need(tmp_path: Path) -> None:
    base, built = build_kernel(tmp_path)
    plain = kernel.find_or_build(
        base,
        Series(name="base"),
        Kconfig(defaults=(Fragment(name="base", text="CONFIG_AIO=y\n"),)),
        toolchain=TOOLS,
        build_log=tmp_path / "build.log",
        progress=lambda done, expected, what: None,
    )
    assert built.kbuild.is_dir() and (built.kbuild / "Module.symvers").exists()
    assert not plain.kbuild.exists() and plain.key != built.key
