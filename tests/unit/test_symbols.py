# SPDX-License-Identifier: GPL-2.0-only
"""Frames are placed with an object of our own, compiled as kbuild does it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cache, image, proc, slot, symbols, tree
from harness.model import Base, Frame, Kernel, Position
from harness.recompile import command
from tests.unit import fakes

SOURCE = """\
static inline __attribute__((always_inline)) void inner(void)
{
	__asm__ volatile("planted: nop");
}

int leaf(int x);

int outer(int x)
{
	if (x)
		inner();
	return leaf(x) + 1;
}
"""
KEY = "0123456789ab"


@pytest.fixture
def base(tmp_path: Path) -> Base:
    linux = fakes.write_kernel(tmp_path / "linux")
    (linux / "fs/aio.c").write_text(SOURCE)
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "base"]):
        fakes.git(linux, *words)
    return tree.resolve(str(linux))


@pytest.fixture
def built(base: Base, tmp_path: Path, request: pytest.FixtureRequest) -> symbols.Built:
    """A kernel with one object, and its O= in a slot."""
    with slot.take(base, base.tree) as taken:
        objects = taken.objects(KEY)
        (objects / "fs").mkdir(parents=True)
        compiler = str(getattr(request, "param", "gcc"))
        if not all(shutil.which(word) for word in compiler.split()):
            pytest.skip(f"{compiler} is not installed")
        words = f"{compiler} -Wp,-MMD,fs/.aio.o.d -O2 -DX='\"a$(pound)\"' -c -o fs/aio.o"
        compile_line = f"{words} {taken.source}/fs/aio.c"
        done = proc.run(["sh", "-c", compile_line.replace("$(pound)", "#")], cwd=objects)
        assert not done.status, done.complaint
        line = f"savedcmd_fs/aio.o := {compile_line} ; ./tools/objtool/objtool fs/aio.o\n\nrest"
        (objects / "fs/.aio.o.cmd").write_text(line)
        proc.check(proc.run(["ar", "rcT", "vmlinux.a", "fs/aio.o"], cwd=objects), "ar")
    config = tmp_path / "kernel/config"
    config.parent.mkdir()
    config.write_text("CONFIG_X=y\n")
    kernel = Kernel(key="k", release="6.12", tree=base.tree, dir=config.parent, cached=True)
    return symbols.Built(base=base, kernel=kernel, objects=KEY, touched=frozenset())


def planted() -> Frame:
    """As a trace prints where `planted` is."""
    (found,) = cache.root().glob(f"slots/*/obj/{KEY}/fs/aio.o")
    table = image.functions(found, 10)
    (outer,), (label,) = table["outer"], table["planted"]
    return Frame(
        function="outer", offset=label.start - outer.start, size=outer.size + 3, exact=True
    )


@pytest.mark.parametrize("built", ["gcc", "ccache gcc", "clang"], indirect=True)
def test_a_frame_is_placed_with_what_is_inlined_there(built: symbols.Built) -> None:
    frame = planted()
    found = symbols.decode([frame], built)
    assert not found.why
    placed = found.places[frame]
    assert (placed.file, placed.line) == ("fs/aio.c", 11)
    assert placed.inlines == (Position(function="inner", file="fs/aio.c", line=3),)


def test_a_return_address_is_of_the_call_before_it(built: symbols.Built) -> None:
    frame = planted()
    after = replace(frame, offset=frame.offset + 1, exact=False)  # a nop is one byte
    assert symbols.decode([after], built).places[after].inlines[0].line == 3


def test_the_build_is_left_as_it_was(built: symbols.Built) -> None:
    objects = next(cache.root().glob(f"slots/*/obj/{KEY}"))
    before = {path: path.stat().st_mtime_ns for path in objects.rglob("*")}
    symbols.decode([planted()], built)
    assert {path: path.stat().st_mtime_ns for path in objects.rglob("*")} == before


def test_what_has_no_place_says_why(built: symbols.Built) -> None:
    frame = planted()
    other = replace(frame, size=frame.size + 4096)
    module = replace(frame, module="mod")
    unknown = replace(frame, function="nowhere")
    found = symbols.decode([other, module, unknown], built)
    assert found.why == {
        other: "fs/aio.o has another one",
        module: "mod is not of this run",
        unknown: "no object has it",
    }
    assert not found.places


def test_a_module_of_a_suite_has_its_own_lines(built: symbols.Built, tmp_path: Path) -> None:
    frame = replace(planted(), module="my_mod")
    copy = tmp_path / "modules/.tmp-x/build"
    copy.mkdir(parents=True)
    (copy / "my-mod.c").write_text(SOURCE)
    files = tmp_path / "modules/key"
    files.mkdir()
    argv = ["gcc", "-g1", "-O2", "-c", "-o", str(files / "my-mod.ko"), str(copy / "my-mod.c")]
    proc.check(proc.run(argv), "gcc")
    found = symbols.decode([frame], replace(built, modules=(("guest-tests/area/mods", files),)))
    placed = found.places[frame]
    assert (placed.file, placed.line) == ("guest-tests/area/mods/my-mod.c", 11)


def test_a_function_that_is_new_is_looked_for_in_the_files_of_the_series(
    built: symbols.Built,
) -> None:
    frame = planted()
    objects = next(cache.root().glob(f"slots/*/obj/{KEY}"))
    (objects / "vmlinux.a").unlink()
    found = symbols.decode([frame], replace(built, touched=frozenset({"fs/aio.c"})))
    assert found.places[frame].line == 11


def test_objects_that_are_gone_are_no_error(built: symbols.Built) -> None:
    frame = planted()
    found = symbols.decode([frame], replace(built, objects="another"))
    assert found.why == {frame: "no free slot has the objects of this kernel"}
    assert len(list(cache.root().glob("slots/*"))) == 1


def test_a_source_that_does_not_compile_is_no_error(built: symbols.Built) -> None:
    frame = planted()
    source = next(cache.root().glob("slots/*/tree/fs/aio.c"))
    source.write_text("broken")
    assert "does not compile again" in symbols.decode([frame], built).why[frame]


def test_debug_information_is_used_where_the_kernel_has_it(
    built: symbols.Built, base: Base
) -> None:
    frame = planted()
    built.kernel.config.write_text("CONFIG_X=y\nCONFIG_DEBUG_INFO=y\n")
    with slot.take(base, base.tree) as taken:
        argv = ["gcc", "-g", "-O2", "-c", "-o", str(built.kernel.vmlinux)]
        done = proc.run([*argv, str(taken.source / "fs/aio.c")], cwd=taken.objects(KEY))
        proc.check(done, "gcc")
    placed = symbols.decode([frame], replace(built, objects="another")).places[frame]
    assert (placed.file, placed.line) == ("fs/aio.c", 11)


def test_the_command_is_the_compilers_alone() -> None:
    recorded = (
        "cmd_fs/aio.o := ccache clang -Wp,-MMD,fs/.aio.o.d -flto=thin -g -DX='\"a b\"' -c "
        "-o fs/aio.o /src/fs/aio.c ; ./objtool fs/aio.o"
    )
    assert command(recorded, Path("/out.o")) == [
        *("ccache", "clang", '-DX="a b"', "-c", "-o", "/out.o", "/src/fs/aio.c", "-g1", "-w")
    ]
    assert command("cmd_x.o := ld -r -o x.o y.o", Path("/o")) == []
    assert command("nothing", Path("/o")) == []


def test_places_are_read_from_the_innermost_out() -> None:
    lines = "0x0000000000000d45\ninner\n/a/b.h:12 (discriminator 3)\nouter\n/a/c.c:7\n0x1\n??\n??:?"
    assert list(image.read_places(lines.splitlines())) == [
        (
            0xD45,
            (
                Position(function="inner", file="/a/b.h", line=12),
                Position(function="outer", file="/a/c.c", line=7),
            ),
        ),
        (1, (Position(function="??"),)),
    ]
