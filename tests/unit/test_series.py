# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import series
from harness.errors import UsageError
from harness.model import Patch, Series
from tests.unit import fakes

YAML = 'title: "A title"\nbases: ["6.12", "6.1"]\nsuites: [x]\nfails-on-base:\n  t: EINVAL\n'


def write(root: Path, name: str = "s", yaml: str = YAML, listing: str = "one.patch\n") -> Path:
    directory = root / "patches" / name
    directory.mkdir(parents=True)
    (directory / "series.yaml").write_text(yaml)
    (directory / "series").write_text(listing)
    for patch in ("one.patch", "two.patch"):
        (directory / patch).write_bytes(fakes.patch("line 10", "LINE 10", at=10))
    return directory


def test_the_series_file_gives_order_and_strip(tmp_path: Path) -> None:
    write(tmp_path, listing="# first\n\ntwo.patch -p0 # why\none.patch\n")
    found = series.load(tmp_path, "s")
    assert [(p.name, p.strip) for p in found.patches] == [("two.patch", 0), ("one.patch", 1)]
    assert found.bases == ("6.12", "6.1")
    assert found.fails_on_base == {"x/t": "EINVAL"}


def test_a_base_may_have_patches_of_its_own(tmp_path: Path) -> None:
    own = write(tmp_path) / "6.1"
    own.mkdir()
    (own / "series").write_text("old.patch\n")
    (own / "old.patch").write_bytes(b"")
    assert [p.name for p in series.load(tmp_path, "s", "6.1").patches] == ["old.patch"]
    assert [p.name for p in series.load(tmp_path, "s", "6.12").patches] == ["one.patch"]


def test_a_test_may_fail_on_some_bases_only(tmp_path: Path) -> None:
    about = 'title: x\nbases: ["6.12", "6.1"]\nfails-on-base:\n  t: {"6.1": hangs}\n  u: EINVAL\n'
    write(tmp_path, yaml=about)
    assert series.load(tmp_path, "s").fails_on_base == {"u": "EINVAL"}
    assert series.load(tmp_path, "s", "6.1").fails_on_base == {"t": "hangs", "u": "EINVAL"}
    write(tmp_path, "wrong", yaml=about.replace('{"6.1"', '{"6.2"'))
    with pytest.raises(UsageError, match=r"yaml:3: fails-on-base: t: 6\.2 is none of the bases"):
        series.load(tmp_path, "wrong")


def test_what_a_series_goes_after_is_put_below_it(tmp_path: Path) -> None:
    for name, after in (("a", "[]"), ("b", "[a]"), ("c", "[a, b]"), ("x", "[y]"), ("y", "[x]")):
        write(tmp_path, name, yaml=f"title: x\nafter: {after}\n")

    def below(*names: str) -> list[str]:
        parts = [series.load(tmp_path, name) for name in names]
        return [part.name for part in series.with_below(tmp_path, parts)]

    assert below("a") == ["a"]
    assert below("c") == ["a", "b", "c"]
    assert below("b", "c") == ["a", "b", "c"]
    assert below("a", "b") == ["a", "b"]
    with pytest.raises(UsageError, match="series x goes after itself: x after y after x"):
        below("x")


def test_an_unknown_series_is_named_with_a_close_one(tmp_path: Path) -> None:
    write(tmp_path, "aio-poll")
    with pytest.raises(UsageError, match="no series named aio-pol ") as caught:
        series.load(tmp_path, "aio-pol")
    assert caught.value.hint == "did you mean aio-poll?"


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("title: x\ntitel: y\n", r"series.yaml:2: unknown key titel"),
        ("title: [x\n", r"series.yaml:\d+: not YAML"),
        ("- x\n", r"expected `key: value`"),
        ("title: x\nbases: [6.12]\n", r"series.yaml:2: bases: 6.12 is read as a number"),
        ("suites: aio\n", r"series.yaml:1: suites must be a list"),
        ("fails-on-base: [a]\n", r"series.yaml:1: fails-on-base must map"),
    ],
)
def test_a_wrong_yaml_is_placed(tmp_path: Path, yaml: str, said: str) -> None:
    write(tmp_path, yaml=yaml)
    with pytest.raises(UsageError, match=said):
        series.load(tmp_path, "s")


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ("one.patch\ngone.patch\n", r"series:2: gone.patch: No such file"),
        ("one.patch --fuzz\n", r"series:1: unknown option --fuzz"),
    ],
)
def test_a_wrong_listing_is_placed(tmp_path: Path, listing: str, said: str) -> None:
    write(tmp_path, listing=listing)
    with pytest.raises(UsageError, match=said):
        series.load(tmp_path, "s")


def test_a_stack_is_named_and_ordered(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, name)
    both = series.stack((series.load(tmp_path, "a"), series.load(tmp_path, "b")))
    assert both.name == "a+b"
    assert len(both.patches) == 2
    assert series.stack(()).name == "base"


def test_touched_files_and_hunks() -> None:
    patch = Patch(name="p", data=fakes.patch("line 10", "x", at=10))
    assert series.touched(patch) == {"fs/aio.c"}
    assert series.hunk_at(patch, "fs/aio.c", 7) == 1
    assert series.hunk_at(patch, "fs/aio.c", 8) is None
    added = b"--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+x\n"
    assert series.touched(Patch(name="p", data=added)) == {"fs/new.c"}


@pytest.mark.parametrize("name", series.names(Path(__file__).parents[2]))
def test_the_shipped_series_are_well_formed(name: str) -> None:
    root = Path(__file__).parents[2]
    shipped = series.load(root, name)
    assert shipped.title and shipped.thread and shipped.bases and shipped.suites
    for base in shipped.bases:
        own = series.load(root, name, base)
        assert own.base_commit
        assert own.patches and all(series.touched(patch) for patch in own.patches)


def test_some_patches_of_series_by_number_over_all_of_them() -> None:
    def made(name: str, *patches: str) -> Series:
        return Series(name=name, patches=tuple(Patch(name=one, data=b"") for one in patches))

    parts = [made("a", "1", "2", "3"), made("b", "4", "5")]

    def picked(text: str) -> list[list[str]]:
        return [[one.name for one in part.patches] for part in series.pick(parts, text)]

    assert picked("1,3-4") == [["1", "3"], ["4"]]
    assert picked("0") == [[], []]
    assert picked("5, 2") == [["2"], ["5"]]
    for text, words in (("6", "no patch 6, only 5"), ("x", "no list"), ("1-", "no list")):
        with pytest.raises(UsageError, match=words):
            series.pick(parts, text)
