# SPDX-License-Identifier: GPL-2.0-only
import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cache, disuse, stock
from harness.cli import main
from harness.disuse import Wish
from harness.errors import ExitCode

DAY_S = 86400.0
ALL = Wish(limit_bytes=0)
HERE = Path(__file__).parents[2]


def entry(name: str, size: int = 4096, *, age_s: float = 0.0) -> Path:
    """An entry of the cache that was used so long ago."""
    path = cache.root() / name
    path.mkdir(parents=True)
    for part in ("one", "two"):
        (path / part).write_bytes(name.encode().ljust(size // 2, b"x"))
    used(path, age_s)
    return path


def used(path: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


def gone(wish: Wish, *, dry_run: bool = False) -> list[str]:
    return [one.name for one in disuse.collect(wish, dry_run=dry_run).gone]


@contextlib.contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, that has said its first line."""
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


HOLDER = """
    import sys
    from harness import cache
    place = cache.root() / "kernels/used"
    assert cache.hold(place / "one")
    print("ready", flush=True)
    for line in sys.stdin:
        print([(place / name).read_text()[:12] for name in ("one", "two")], flush=True)
"""


def test_what_another_process_holds_stays_until_that_is_gone() -> None:
    kernel = entry("kernels/used", age_s=99 * DAY_S)
    entry("kernels/other")
    with running(HOLDER) as holder:
        used(kernel, 99 * DAY_S)
        assert cache.used(kernel)
        assert [one.in_use for one in stock.entries("kernels")] == [True, False]
        assert gone(Wish(limit_bytes=0, older_s=DAY_S)) == ["kernels/other"]
        assert disuse.evict("kernels", 0) == 0
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write("look\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "['kernels/used', 'kernels/used']\n"
        holder.send_signal(signal.SIGKILL)
    assert not cache.used(kernel)
    assert gone(ALL) == ["kernels/used"]
    assert not kernel.exists()


def test_what_this_process_holds_stays_and_a_missing_one_is_not_held() -> None:
    kernel = entry("kernels/own")
    assert cache.hold(kernel / "one") and not cache.hold(kernel / "three")
    assert gone(ALL, dry_run=True) == gone(ALL) == []
    assert not cache.drop(kernel) and kernel.exists()
    assert not cache.hold(cache.root() / "kernels/none")
    assert not cache.used(cache.root() / "kernels/none")


STRESS = """
    import os, random, sys, time
    from harness import cache, disuse
    from harness.disuse import Wish
    kind, end = sys.argv[1], time.monotonic() + 2.5
    root = cache.root()
    assert not cache.used(root / "kernels/none")  # children have locks of their own all the same
    print("ready", flush=True)

    def use(key):
        place = root / "kernels" / key
        if not cache.hold(place):
            with cache.building(place) as work:
                for name in "abc":
                    (work / name).write_text(key)
            made = 1
        else:
            made = 0
        for _ in range(3):
            assert [(place / name).read_text() for name in "abc"] == [key] * 3
            time.sleep(random.random() / 300)
        os._exit(made)

    counts = [0, 0]
    while time.monotonic() < end or (sum(counts) < 9 and time.monotonic() < end + 40):
        if kind == "collect":
            counts[0] += len(disuse.collect(Wish(limit_bytes=0)).gone)
        elif kind == "evict":
            counts[0] += disuse.evict("kernels", 0)
        elif pid := os.fork():
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code in (0, 1), code
            counts[code] += 1
        else:
            try:
                use(random.choice("pqr") * 40)
            finally:
                os._exit(99)
    print(*counts, flush=True)
"""


def test_builders_users_and_collectors_at_once_see_whole_entries() -> None:
    argv = [sys.executable, "-c", textwrap.dedent(STRESS)]
    kinds = ("use", "use", "use", "collect", "evict")
    processes = [
        subprocess.Popen(
            [*argv, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE
        )
        for kind in kinds
    ]
    found, made, removed = 0, 0, 0
    for kind, process in zip(kinds, processes, strict=True):
        said, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
        assert not complaint
        one, two = map(int, said.split()[1:])
        if kind == "use":
            found, made = found + one, made + two
        else:
            removed += one
    assert found > 3 and made > 3 and removed > 3, "or nothing was tried"
    assert not list((cache.root() / "kernels").glob(".tmp*"))


def test_the_least_recently_used_go_first_whatever_was_made_first() -> None:
    made = [entry(f"kernels/{n}", 1 << 20, age_s=n * DAY_S) for n in range(1, 5)]
    states = entry("states/0", 1 << 20, age_s=2.5 * DAY_S)
    with running(HOLDER.replace("kernels/used", "kernels/4")):
        pass
    limit_bytes = sum(part.size_bytes for part in stock.look()) - int(1.5 * (1 << 20))
    assert gone(Wish(limit_bytes=limit_bytes)) == ["kernels/3", "states/0"]
    assert [path.exists() for path in (*made, states)] == [True, True, False, True, False]


def test_what_was_not_used_for_long_goes_however_small() -> None:
    entry("kernels/new", age_s=DAY_S)
    (cache.root() / "applied").mkdir()
    memo = cache.root() / "applied/memo"
    memo.write_text("a tree")
    used(memo, 31 * DAY_S)
    assert gone(ALL) == ["kernels/new"], "it takes no room"
    assert gone(Wish(older_s=30 * DAY_S), dry_run=True) == ["applied/memo"] and memo.exists()
    assert gone(Wish(older_s=30 * DAY_S)) == ["applied/memo"] and not memo.exists()


def test_what_was_used_since_the_look_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("kernels/a", "mirrors/a.git", "slots/a", "slots/a/obj/a")
    made = [entry(name) for name in names]
    other = entry("kernels/b")
    for path in (*made, other):
        used(path, 9)
    look = stock.look

    def look_and_wait() -> Any:
        found = look()
        for path in made:
            cache.touch(path)
        return found

    monkeypatch.setattr(stock, "look", look_and_wait)
    assert gone(Wish(older_s=1, limit_bytes=0)) == ["kernels/b"]
    assert all(path.exists() for path in made) and not other.exists()


def test_mirrors_and_tarballs_go_by_age_alone_with_what_tells_of_them() -> None:
    mirrors = cache.root() / "mirrors"
    mirror = entry("mirrors/6.12-0123.git", age_s=31 * DAY_S)
    other = entry("mirrors/6.1-0123.git", age_s=DAY_S)
    tarballs = cache.root() / "tarballs"
    tarballs.mkdir()
    for place in (mirror, other):
        tarball = tarballs / f"linux-{place.stem}.tar.xz"
        tarball.write_bytes(b"x" * 4096)
        used(tarball, 99 * DAY_S)
        cache.write_json(place.with_suffix(".json"), {"identity": [str(tarball), 4096, 0]})
        (place.with_suffix(".bases")).mkdir()
    (cache.root() / "applied").mkdir()
    (cache.root() / "applied/memo").write_text("a tree that lies in the mirror")
    assert gone(ALL) == []
    assert gone(Wish(older_s=30 * DAY_S)) == [
        "mirrors/6.12-0123.git",
        "tarballs/linux-6.12-0123.tar.xz",
    ]
    left = {"6.1-0123.git", "6.1-0123.json", "6.1-0123.bases", "6.12-0123.lock"}
    assert {path.name for path in mirrors.iterdir()} == left
    assert not list(cache.root().glob("applied/*")), "or its tree would be looked for"


def test_a_mirror_that_somebody_imports_stays() -> None:
    mirror = entry("mirrors/6.12-0123.git", age_s=31 * DAY_S)
    lock = cache.try_lock(mirror.with_suffix(".lock"))
    assert lock is not None
    assert gone(Wish(older_s=DAY_S)) == []
    os.close(lock)
    assert gone(Wish(older_s=DAY_S)) == ["mirrors/6.12-0123.git"]


def test_objects_go_by_their_own_use_and_before_their_slot() -> None:
    old = entry("slots/6.12-0/obj/old", age_s=9 * DAY_S)
    new = entry("slots/6.12-0/obj/new", 1 << 20, age_s=DAY_S)
    slot = entry("slots/6.12-0/tree", 1 << 20).parent
    used(slot, 20 * DAY_S)
    sizes = {one.name: one.size_bytes for one in stock.entries("slots")}
    assert sizes["slots/6.12-0/obj/old"] < 1 << 16 < sizes["slots/6.12-0"] < 1.1 * (1 << 20)
    assert gone(Wish(older_s=5 * DAY_S)) == ["slots/6.12-0/obj/old"]
    assert new.exists() and not old.exists()
    lock = cache.try_lock(slot / "lock")
    used(slot, 20 * DAY_S)
    assert lock is not None and gone(ALL) == [] and new.exists(), "a build goes on"
    os.close(lock)
    assert gone(ALL) == ["slots/6.12-0/obj/new", "slots/6.12-0"]
    assert not slot.exists() and not list(slot.parent.iterdir())


def test_what_is_being_made_is_not_taken_for_abandoned() -> None:
    final = cache.root() / "kernels/new"
    with cache.building(final) as work:
        (work / "half").touch()
        used(work, 99 * DAY_S)
        disuse.collect(ALL)
        assert (work / "half").exists()
    assert gone(ALL) == [] and (final / "half").exists(), "its maker has not used it yet"
    left = entry("kernels/.tmp-killed", age_s=2 * DAY_S)
    young = entry("kernels/.tmp-just-now")
    disuse.collect(ALL)
    assert not left.exists() and young.exists()


CLAIMER = """
    import time
    from harness import cache
    place = cache.root() / "kernels/k"
    with cache._opened().claimed("kernels/k") as mine:
        assert mine
        print("ready", flush=True)
        time.sleep(0.3)
        place.rename(place.with_name(".gone"))
"""


def test_who_finds_what_is_removed_at_that_moment_does_not_find_it() -> None:
    kernel = entry("kernels/k")
    with running(CLAIMER):
        assert kernel.exists()
        assert not cache.hold(kernel)
    assert (kernel.parent / ".gone").exists()


def test_a_lock_file_that_was_removed_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slot/lock"
    flock = fcntl.flock

    def removed_before(fd: int, how: int) -> None:
        if not (tmp_path / "gone").exists():  # by who had it, after we opened it
            path.parent.rename(tmp_path / "gone")
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    mine = cache.try_lock(path)
    assert mine is not None and os.path.samestat(os.fstat(mine), path.stat())
    assert cache.try_lock(path) is None
    os.close(mine)


def test_sizes_are_measured_once_until_the_next_use(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = entry("kernels/k", 1 << 20, age_s=60)
    (before,) = stock.entries("kernels")
    assert 1 << 20 <= before.size_bytes < 1.2 * (1 << 20)
    with monkeypatch.context() as context:
        context.setattr("harness.proc.run", lambda *_, **__: pytest.fail("measured again"))
        assert stock.entries("kernels") == (before,)
    (kernel / "one").write_bytes(b"x" * (2 << 20))
    cache.touch(kernel)
    assert stock.entries("kernels")[0].size_bytes > 2 << 20
    assert cache.hold(kernel)
    stock.look()
    (kernel / "two").write_bytes(b"x" * (4 << 20))
    assert stock.entries("kernels")[0].size_bytes > 6 << 20, "it grows while it is used"


def test_without_locks_what_was_used_lately_is_taken_for_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "fcntl", none)
    kernel = entry("kernels/new")
    entry("kernels/old", age_s=2 * DAY_S)
    assert cache.hold(kernel)
    assert gone(ALL) == ["kernels/old"] and kernel.exists()


def test_show_says_what_lies_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cache.hold(entry("kernels/a", 1 << 20))
    entry("kernels/b", 1 << 20, age_s=3 * DAY_S)
    entry("new-part/c")
    assert main(["cache", "show"]) == ExitCode.OK
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[:2] == ["kernels", "2"] and "0 min to 3 d ago" in said[1]
    assert said[2].startswith("new-part") and "10240.0 MiB" in said[3]
    assert main(["cache", "show", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    parts = {one["name"]: one for one in document["parts"]}
    assert {"kernels", "new-part"} <= set(parts) <= {"kernels", "new-part", "guard"}
    kernels = parts["kernels"]  # a guard is compiled where no test before this one did it
    assert (kernels["name"], kernels["entries"], kernels["in_use"]) == ("kernels", 2, 1)
    assert kernels["in_use_bytes"] * 2 == kernels["size_bytes"] > 2 << 20
    assert document["size_bytes"] == sum(one["size_bytes"] for one in parts.values())
    assert document["limit_bytes"] == 10 << 30 and kernels["oldest"] < kernels["newest"]


def test_gc_says_what_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = entry("kernels/a", 4 << 20, age_s=9 * DAY_S), entry("kernels/b", 4 << 20)
    assert main(["cache", "gc"]) == ExitCode.OK
    assert "removed 0 entries, 0.0 MiB" in capsys.readouterr().out
    assert main(["cache", "gc", "--older", "7d", "--dry-run"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "kernels/a" in said and "would remove 1 entries, 4.0 MiB" in said and old.exists()
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "5M")
    assert main(["cache", "gc", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in document["removed"]] == ["kernels/a"]
    assert document["freed_bytes"] + document["size_bytes"] > 8 << 20
    assert document["limit_bytes"] == 5 << 20 and not old.exists() and new.exists()
    assert cache.hold(new)
    assert main(["cache", "gc", "--size", "0"]) == ExitCode.OK
    assert "more than 0.0 MiB: the rest is in use" in capsys.readouterr().out and new.exists()


@pytest.mark.parametrize("argv", [["--older", "-1"], ["--older", "soon"], ["--size", "large"]])
def test_gc_of_what_is_no_age_and_no_size(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "gc", *argv]) == ExitCode.USAGE
    assert f"{argv[0]}={argv[1]} is not a" in capsys.readouterr().err


def test_who_lives_on_lets_go_of_what_a_block_has_held() -> None:
    kept, passing = entry("kernels/kept"), entry("kernels/passing")
    assert cache.hold(kept)
    with cache.letting_go():
        assert cache.hold(kept) and cache.hold(passing / "one") and cache.hold(passing)
        with cache.building(cache.root() / "kernels/made") as work:
            (work / "one").touch()
        with cache.letting_go():
            assert cache.hold(passing)
        with cache.held(passing):
            pass
        assert gone(ALL) == []
    assert sorted(gone(ALL)) == ["kernels/made", "kernels/passing"]
    assert kept.exists()
