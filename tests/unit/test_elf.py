# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import elf, proc
from harness.errors import HostError

SOURCE = """
struct entry { int address, file; unsigned short line, flags; };
__attribute__((section("__bug_table"), used)) struct entry bugs[] = { { 1, 2, %d, 4 } };
int twice(int x);
int twice(int x) { return %s; }
"""


def compiled(place: Path, line: int, body: str, *options: str) -> Path:
    place.mkdir()
    (place / "a.c").write_text(SOURCE % (line, body))
    argv = ["gcc", "-O1", "-c", "-o", str(place / "a.o"), str(place / "a.c"), *options]
    proc.check(proc.run(argv), "gcc")
    return place / "a.o"


def test_the_same_program_has_the_same_digest(tmp_path: Path) -> None:
    first = elf.digest(compiled(tmp_path / "1", 7, "2 * x"))
    assert elf.digest(compiled(tmp_path / "2", 70, "2 * x /* moved */")) == first
    assert elf.digest(compiled(tmp_path / "3", 7, "3 * x")) != first


def test_a_note_is_no_part_of_it(tmp_path: Path) -> None:
    made = []
    for number in (1, 2):
        object_ = compiled(tmp_path / str(number), 7, "2 * x")
        linked = object_.with_suffix(".so")
        identity = f"-Wl,--build-id=0x0{number}"
        argv = ["gcc", "-shared", "-nostdlib", identity, "-o", str(linked), str(object_)]
        proc.check(proc.run(argv), "gcc")
        made.append(linked)
    assert made[0].read_bytes() != made[1].read_bytes()
    assert elf.digest(made[0]) == elf.digest(made[1])


def test_what_is_no_elf_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("#!/bin/sh\n")
    with pytest.raises(HostError, match="x is no ELF file"):
        elf.digest(tmp_path / "x")
