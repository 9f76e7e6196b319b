# SPDX-License-Identifier: GPL-2.0-only
"""Which compiler a build gets, and that compilers cannot be mistaken for each other."""

import os
from pathlib import Path

import pytest

from harness import cache, toolchain
from harness.errors import ExitCode, HostError, UsageError
from harness.toolchain import Toolchain

LLVM_TOOLS = ("llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-objdump", "llvm-readelf", "llvm-strip")
LLVM = ("clang", "ld.lld", *LLVM_TOOLS)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but stand-ins for two gccs, binutils and LLVM 14."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("gcc", "gcc-12", "ld", *LLVM, *(f"{name}-14" for name in LLVM)):
        (place / name).write_text(f"#!/bin/sh\necho {name} version\necho more\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    return place


@pytest.mark.parametrize(
    ("chosen", "identity", "arguments"),
    [
        (Toolchain(), "gcc version; ld version", ["CC=gcc"]),
        (Toolchain(cc="gcc-12"), "gcc-12 version; ld version", ["CC=gcc-12"]),
        (Toolchain(cc="clang"), "clang version; ld version", ["CC=clang"]),
        (Toolchain(llvm=True), "clang version; ld.lld version", ["LLVM=1", "CC=clang"]),
        (
            Toolchain(cc="clang-14", llvm=True),
            "clang-14 version; ld.lld-14 version",
            ["LLVM=-14", "CC=clang-14"],
        ),
    ],
)
def test_what_is_built_with(
    tools: Path, chosen: Toolchain, identity: str, arguments: list[str]
) -> None:
    assert (chosen.identity(), chosen.make_arguments()) == (identity, arguments)
    assert chosen.identity() == identity  # as it was remembered


def test_llvm_by_its_path(tools: Path) -> None:
    chosen = Toolchain(cc=f"{tools}/clang", llvm=True)
    assert chosen.make_arguments() == [f"LLVM={tools}/", f"CC={tools}/clang"]
    assert chosen.identity() == Toolchain(llvm=True).identity()


def test_ccache_is_used_where_it_is(tools: Path) -> None:
    (tools / "ccache").write_text("#!/bin/sh\n")
    (tools / "ccache").chmod(0o755)
    assert Toolchain(llvm=True).make_arguments() == ["LLVM=1", "CC=ccache clang"]


def test_two_names_of_one_program_are_not_mistaken_for_each_other(tools: Path) -> None:
    (tools / "gcc-12").unlink()
    (tools / "gcc-12").symlink_to("gcc")
    (tools / "gcc").write_text('#!/bin/sh\necho "${0##*/} version"\n')
    assert Toolchain(cc="gcc-12").identity() == "gcc-12 version; ld version"
    assert toolchain.identity() == Toolchain().identity() == "gcc version; ld version"


@pytest.mark.parametrize("cc", ["gcc", "gcc-12", "/opt/clang-14", "clang++"])
def test_llvm_goes_with_clang_only(cc: str) -> None:
    with pytest.raises(UsageError, match="LLVM's tools go with clang, not with "):
        Toolchain(cc=cc, llvm=True)


@pytest.mark.parametrize(
    ("chosen", "gone", "package"),
    [
        (Toolchain(cc="gcc-99"), "gcc-99", "gcc-99"),
        (Toolchain(llvm=True), "ld.lld", "lld"),
        (Toolchain(cc="clang-14", llvm=True), "llvm-nm-14", "llvm-14"),
    ],
)
def test_a_missing_tool_is_named(tools: Path, chosen: Toolchain, gone: str, package: str) -> None:
    (tools / gone).unlink(missing_ok=True)
    with pytest.raises(HostError, match=f"^{gone} is not installed$") as caught:
        chosen.identity()
    assert caught.value.exit_code is ExitCode.HOST
    assert f"package is {package})" in caught.value.hint


def test_architectures() -> None:
    assert toolchain.check_arch("x86") == toolchain.check_arch("x86_64") == "x86_64"
    with pytest.raises(UsageError, match="^arm64 is not supported yet: only x86_64$") as caught:
        toolchain.check_arch("arm64")
    assert caught.value.exit_code is ExitCode.USAGE


def test_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolchain.jobs() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("HARNESS_JOBS", "7")
    assert toolchain.jobs() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 2", "99999"])
def test_a_number_of_jobs_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HARNESS_JOBS", text)
    with pytest.raises(UsageError, match="HARNESS_JOBS=.* is not a number of jobs"):
        toolchain.jobs()


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 10 << 30), ("10G", 10 << 30), ("500 MiB", 500 << 20), ("4096", 4096), ("2tb", 2 << 40)],
)
def test_the_size_of_the_cache(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", text)
    assert cache.limit_bytes() == size


@pytest.mark.parametrize("text", ["G", "-1G", "10X", "1.5G", "ten"])
def test_a_size_of_the_cache_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", text)
    with pytest.raises(UsageError, match=f"HARNESS_CACHE_SIZE={text} is not a size"):
        cache.limit_bytes()
