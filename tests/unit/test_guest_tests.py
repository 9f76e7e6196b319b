# SPDX-License-Identifier: GPL-2.0-only
import shutil
from pathlib import Path

import pytest

from harness import proc
from harness.errors import BuildError, UsageError
from harness.model import Disk
from harness.suites.guest_tests import GuestTests, names, parse_settings

MAKEFILE = "all:\n\tcp good.sh $(OUTPUT)/\nprint-tests:\n\t@echo good.sh\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    area = tmp_path / "guest-tests/area"
    area.mkdir(parents=True)
    (tmp_path / "guest-tests/lib").mkdir()
    (area / "Makefile").write_text(MAKEFILE)
    (area / "good.sh").write_text("#!/bin/sh\n")
    (area / "config").write_text("# Help: for a test\nCONFIG_AIO=y\n")
    (area / "settings").write_text("timeout=20\ngood.sh.timeout=5\n")
    return tmp_path


def test_a_suite_is_planned(root: Path, tmp_path: Path) -> None:
    suite = GuestTests(root, "area")
    prepared = suite.prepare(tmp_path / "log")
    assert names(root) == ("area",)
    assert [(t.name, t.timeout_s) for t in prepared.tests] == [("area/good.sh", 5.0)]
    assert prepared.tests[0].argv == ("/run/harness/tests/area/good.sh",)
    assert (prepared.mounts[0].host / "good.sh").exists()
    assert suite.fragments[0].name == "guest-tests/area/config"


def test_equal_sources_are_compiled_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = GuestTests(root, "area").prepare(tmp_path / "log")
    monkeypatch.setattr(proc, "spawn", None)
    assert GuestTests(root, "area").prepare(tmp_path / "log") == first


def test_a_changed_library_compiles_again(root: Path, tmp_path: Path) -> None:
    first = GuestTests(root, "area").prepare(tmp_path / "log")
    (root / "guest-tests/lib/aio.h").write_text("int x;\n")
    assert GuestTests(root, "area").prepare(tmp_path / "log") != first


def test_a_program_that_does_not_compile_is_told(root: Path, tmp_path: Path) -> None:
    (root / "guest-tests/area/Makefile").write_text("all:\n\t@echo x.c:1: error: bad >&2; false\n")
    with pytest.raises(BuildError, match="guest-tests/area does not compile") as caught:
        GuestTests(root, "area").prepare(tmp_path / "log")
    assert caught.value.lines[0] == "x.c:1: error: bad"


def with_modules(root: Path, directory: str) -> Path:
    """The suite's directory, its Makefile naming one of modules."""
    area = root / "guest-tests/area"
    text = f"TEST_GEN_MODS_DIR := {directory}\nprint-modules:\n\t@echo $(TEST_GEN_MODS_DIR)\n"
    (area / "Makefile").write_text(MAKEFILE + text)
    return area


def test_modules_are_found_where_the_tests_start(root: Path, tmp_path: Path) -> None:
    assert GuestTests(root, "area").prepare(tmp_path / "log").modules is None
    area = with_modules(root, "test_modules")
    (area / "test_modules").mkdir()
    (area / "test_modules/Makefile").write_text("obj-m := first.o\n")
    prepared = GuestTests(root, "area").prepare(tmp_path / "log")
    assert prepared.modules is not None
    assert prepared.modules.name == "guest-tests/area/test_modules"
    assert prepared.modules.sources == area / "test_modules"
    assert prepared.modules.places == ("/run/harness/tests/area/test_modules",)
    # The guest mounts it there.
    assert (prepared.mounts[0].host / "test_modules").is_dir()


def test_a_misspelt_directory_of_modules_is_named(root: Path, tmp_path: Path) -> None:
    with_modules(root, "modlues")
    with pytest.raises(UsageError, match="TEST_GEN_MODS_DIR: no modlues/Makefile"):
        GuestTests(root, "area").prepare(tmp_path / "log")


def test_a_module_among_the_tests_is_sent_to_its_place(root: Path, tmp_path: Path) -> None:
    lib = Path(__file__).parents[2] / "guest-tests/lib/lib.mk"
    shutil.copyfile(lib, root / "guest-tests/lib/lib.mk")
    area = root / "guest-tests/area"
    (area / "Makefile").write_text("obj-m := first.o\ninclude ../lib/lib.mk\n")
    with pytest.raises(BuildError) as caught:
        GuestTests(root, "area").prepare(tmp_path / "log")
    assert "obj-m goes into the Makefile of TEST_GEN_MODS_DIR" in caught.value.lines[0]


def test_an_unknown_suite_is_named(root: Path) -> None:
    with pytest.raises(UsageError, match="no suite named aera"):
        GuestTests(root, "aera")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeout=20\ntimeuot=3\n", r"settings:2: unknown key timeuot"),
        ("timeout=soon\n", r"settings:1: soon is no number of seconds"),
        ("x.timeout=-1\n", r"settings:1: -1 is no number"),
        ("x.guest=vng\n", r"unknown key x.guest"),
        ("guest=qemu\n", r"settings:1: guest is one of any, vng"),
        ("timeout\n", r"settings:1: expected key=value"),
        ("t.expect-splat=\n", r"settings:1: expect-splat wants a title"),
        ("t.expect-splat=/a(/\n", r"settings:1: /a\(/: missing \), unterminated subpattern"),
        ("\nscratch=\n", r"settings:2: scratch: nothing is no size"),
        ("scratch=large\n", r"settings:1: scratch: large is no size"),
        ("scratch=0M\n", r"settings:1: scratch: 0M is no size"),
        ("scratch=256\n", r"settings:1: scratch=256: from 1M to 1024G"),
        ("scratch=1025G\n", r"settings:1: scratch=1025G: from 1M"),
        ("scratch=1M,bps-raed=4M\n", r"settings:1: scratch: bps-raed=4M: expected one of bps-read"),
        ("scratch=1M,bps-read=1K,bps-read=4K\n", r"bps-read=4K: .*, each once"),
        ("scratch=1M,bps-read\n", r"settings:1: scratch: nothing is no size"),
        ("x.scratch=1M\n", r"settings:1: unknown key x.scratch"),
        ("samples=0\n", r"settings:1: samples is a number from 1 to 1000"),
        ("x.samples=many\n", r"settings:1: samples is a number from 1 to 1000"),
    ],
)
def test_wrong_settings_are_placed(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "settings").write_text(text)
    with pytest.raises(UsageError, match=said):
        parse_settings(tmp_path / "settings")


def test_a_scratch_disk_is_every_tests_of_its_suite(root: Path, tmp_path: Path) -> None:
    settings = root / "guest-tests/area/settings"
    assert [test.disk for test in GuestTests(root, "area").prepare(tmp_path / "log").tests] == [
        None
    ]
    settings.write_text("scratch=256M, bps-write=512K,bps-read=4000\n")
    disk = Disk(name="area", size_bytes=256 << 20, bps_read=4000, bps_write=512 << 10)
    assert [test.disk for test in GuestTests(root, "area").prepare(tmp_path / "log").tests] == [
        disk
    ]


def test_settings_of_a_test_that_is_not_there(root: Path, tmp_path: Path) -> None:
    (root / "guest-tests/area/settings").write_text("gone.timeout=3\n")
    with pytest.raises(UsageError, match="there is no test gone"):
        GuestTests(root, "area").prepare(tmp_path / "log")


@pytest.mark.parametrize("name", names(Path(__file__).parents[2]))
def test_the_shipped_settings_are_well_formed(name: str) -> None:
    suite = GuestTests(Path(__file__).parents[2], name)
    assert suite.settings.timeout_s > 0
    assert all(fragment.text.startswith("# Help: ") for fragment in suite.fragments)


def test_a_suite_and_a_test_of_it_say_how_often_they_are_measured(
    root: Path, tmp_path: Path
) -> None:
    settings = root / "guest-tests/area/settings"
    settings.write_text("samples=6\n")
    (test,) = GuestTests(root, "area").prepare(tmp_path / "log").tests
    assert test.samples == 6
    settings.write_text(f"samples=6\n{test.name.partition('/')[2]}.samples=8\n")
    (test,) = GuestTests(root, "area").prepare(tmp_path / "log").tests
    assert test.samples == 8


def test_a_test_may_expect_several_splats(tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("t.expect-splat=/in a=[fg]$/\nu.expect-splat=x\nt.expect-splat=oom: \n")
    assert parse_settings(settings).expect_splat == {"t": ("/in a=[fg]$/", "oom:"), "u": ("x",)}
