# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import apply, cache, disuse, proc, slot, stock, tree
from harness.disuse import Wish
from harness.errors import ApplyError
from harness.model import Base, Patch, Series
from tests.unit import fakes


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return tree.resolve(str(fakes.commit_kernel(tmp_path / "linux")))


def stack(*data: bytes) -> Series:
    patches = tuple(Patch(name=f"{n:04}.patch", data=one) for n, one in enumerate(data, 1))
    return Series(name="s", patches=patches)


FIRST = fakes.patch("line 10", "LINE 10", at=10)
SECOND = fakes.patch("line 30", "LINE 30", at=30)


def test_a_series_gives_the_tree_that_git_am_gives(tmp_path: Path, base: Base) -> None:
    applied = apply.apply(base, stack(FIRST, SECOND))
    for data in (FIRST, SECOND):
        done = proc.run(["git", "apply", "-"], cwd=tmp_path / "linux", feed=data)
        proc.check(done, "git apply")
    fakes.git(tmp_path / "linux", "commit", "-q", "-am", "both")
    assert applied == fakes.git(tmp_path / "linux", "rev-parse", "HEAD^{tree}")


def test_the_second_time_starts_no_process(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    first = apply.apply(base, stack(FIRST))
    monkeypatch.setattr(proc, "spawn", None)
    assert apply.apply(base, stack(FIRST)) == first


def test_a_failing_hunk_is_named(base: Base) -> None:
    two_hunks = FIRST + SECOND.partition(b"+++ b/fs/aio.c\n")[2].replace(b"line 31", b"other")
    with pytest.raises(ApplyError, match=r"0001.patch does not apply .*6\.12\.7.*fs/aio.c hunk 2"):
        apply.apply(base, stack(two_hunks))


def test_a_missing_file_is_named(base: Base) -> None:
    with pytest.raises(ApplyError, match=r"0002.patch does not apply .*fs/gone.c"):
        apply.apply(base, stack(FIRST, SECOND.replace(b"fs/aio.c", b"fs/gone.c")))


NEW = b"--- /dev/null\n+++ b/fs/aio.c\n@@ -0,0 +1 @@\n+new\n"


@pytest.mark.parametrize("here", [{}, {"aio.c": "another\n"}, {"aio.c": fakes.AIO}])
def test_the_current_directory_does_not_matter(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: dict[str, str]
) -> None:
    directory = tmp_path / "here/fs"
    directory.mkdir(parents=True)
    for name, text in here.items():
        (directory / name).write_text(text)
    monkeypatch.chdir(directory.parent)
    with pytest.raises(ApplyError, match=r"0001.patch does not apply .*fs/aio.c: already exists"):
        apply.apply(base, stack(NEW))
    assert {path.name: path.read_text() for path in directory.iterdir()} == here


def test_already_applied_is_its_own_answer(base: Base) -> None:
    with pytest.raises(ApplyError, match=r"0002.patch is already applied"):
        apply.apply(base, stack(FIRST, FIRST))


def test_no_patch_at_all_is_said_so(base: Base) -> None:
    with pytest.raises(ApplyError, match=r"0001.patch"):
        apply.apply(base, stack(b"just words\n"))


def times(taken: slot.Slot) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in taken.source.rglob("*") if p.is_file()}


def test_a_slot_touches_only_what_differs(base: Base) -> None:
    applied = apply.apply(base, stack(FIRST))
    with slot.take(base, base.tree) as taken:
        before = times(taken)
    with slot.take(base, applied) as taken:
        after = times(taken)
        assert b"LINE 10" in (taken.source / "fs/aio.c").read_bytes()
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed == {"aio.c"}


def test_two_at_once_get_two_slots(base: Base) -> None:
    with slot.take(base, base.tree) as one, slot.take(base, base.tree) as two:
        assert one.dir != two.dir
    with slot.take(base, base.tree) as again:
        assert again.dir in (one.dir, two.dir)


def test_the_slot_with_the_objects_is_taken_first(base: Base) -> None:
    applied = apply.apply(base, stack(FIRST))
    with slot.take(base, base.tree) as one, slot.take(base, applied) as two:
        two.objects("key").mkdir(parents=True)
    with slot.take(base, base.tree, "key") as again:
        assert again.dir == two.dir != one.dir


def test_a_slot_left_in_the_middle_is_mended(base: Base) -> None:
    """As after SIGKILL during the checkout: files changed, others added, index locked."""
    with slot.take(base, base.tree) as taken:
        pass
    (taken.dir / "held").unlink()
    (taken.dir / "index.lock").touch()
    (taken.source / "fs/aio.c").write_text("half")
    (taken.source / "stray.c").write_text("left by a patch")
    (taken.source / "Kconfig").unlink()
    with slot.take(base, base.tree) as mended:
        assert mended.dir == taken.dir
        assert (mended.source / "fs/aio.c").read_text() == fakes.AIO
        assert (mended.source / "Kconfig").exists()
        assert not (mended.source / "stray.c").exists()


def test_an_edited_slot_is_mended(base: Base) -> None:
    applied = apply.apply(base, stack(FIRST))
    with slot.take(base, base.tree) as taken:
        (taken.source / "fs/aio.c").write_text("somebody looked closer")
    with slot.take(base, applied) as mended:
        assert "LINE 10" in (mended.source / "fs/aio.c").read_text()


def test_a_slot_in_use_stays(base: Base) -> None:
    with slot.take(base, base.tree) as one:
        with slot.take(base, base.tree):
            pass
        gone = disuse.collect(Wish(limit_bytes=0)).gone
        assert [entry.part for entry in gone if entry.part == "slots"] == ["slots"]
        assert one.source.is_dir()
        assert [entry.in_use for entry in stock.entries("slots")] == [True]
    assert [entry.in_use for entry in stock.entries("slots")] == [False]


def test_only_a_slot_that_has_the_objects_is_borrowed(base: Base) -> None:
    with slot.borrow(base, base.tree, "key") as none:
        assert none is None
    assert not (cache.root() / "slots").exists()
    with slot.take(base, base.tree) as taken:
        taken.objects("key").mkdir(parents=True)
        with slot.borrow(base, base.tree, "key") as other:
            assert other is None, "it is in use"
    assert len(list((cache.root() / "slots").iterdir())) == 1
    with slot.borrow(base, base.tree, "key") as found:
        assert found is not None and found.dir == taken.dir


def test_a_borrowed_slot_is_given_back_as_it_was(base: Base) -> None:
    patched = apply.apply(base, stack(FIRST))
    with slot.take(base, base.tree) as taken:
        taken.objects("key").mkdir(parents=True)
        before = times(taken)
    with slot.borrow(base, patched, "key") as lent:
        assert lent is not None and b"LINE 10" in (lent.source / "fs/aio.c").read_bytes()
    with slot.take(base, base.tree) as again:
        assert again.dir == taken.dir and times(again) == before
        assert b"LINE 10" not in (again.source / "fs/aio.c").read_bytes()
    with slot.take(base, patched) as moved:
        assert b"LINE 10" in (moved.source / "fs/aio.c").read_bytes()
