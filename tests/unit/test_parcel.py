# SPDX-License-Identifier: GPL-2.0-only
"""Entries of the cache that go to another machine's, by a store that forgets nothing."""

import threading
from pathlib import Path

import pytest

from harness import cache, inputs, parcel, tree
from harness.errors import HostError
from tests.unit import fakes

NAME = "kernels/0123"


class Shelf:
    """A store in a directory. See store.Store."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def path(self, name: str) -> Path:
        return self.place / name.replace("/", "-")

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def get(self, name: str, to: Path) -> bool:
        if self.has(name):
            to.write_bytes(self.path(name).read_bytes())
        return self.has(name)

    def put(self, name: str, file: Path) -> None:
        self.path(name).write_bytes(file.read_bytes())

    def remove(self, name: str) -> None:
        self.path(name).unlink()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def kernel() -> Path:
    with cache.building(cache.root() / NAME) as work:
        (work / "kernel.json").write_text("{}")
        (work / "vmlinux").write_bytes(bytes(range(256)) * 4096)
        (work / "tool").write_text("#!/bin/sh\n")
        (work / "tool").chmod(0o755)
    return cache.root() / NAME


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine from now on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))


def never() -> bool:
    raise AssertionError("nobody is to be asked")


def test_an_entry_comes_over_whole(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = kernel()
    parcel.send(NAME, shelf)
    elsewhere(tmp_path, monkeypatch)
    assert not parcel.here(NAME)
    assert parcel.fetch(NAME, shelf, never) and parcel.fetch(NAME, shelf, never)
    come = cache.root() / NAME
    assert come != sent and (come / "vmlinux").read_bytes() == (sent / "vmlinux").read_bytes()
    assert (come / "tool").stat().st_mode & 0o100
    assert not list(cache.root().glob("**/*.lock")) and not list(cache.root().glob("*/.tmp-*"))


def test_what_nobody_has_is_asked_for(shelf: Shelf) -> None:
    assert not parcel.fetch(NAME, shelf, lambda: False)
    asked = []

    def ask() -> bool:
        asked.append(1)
        kernel()  # by whoever has the same cache
        return True

    assert parcel.fetch(NAME, shelf, ask) and asked == [1]


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "text"])
def test_a_broken_blob_is_none_and_goes(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    kernel()
    parcel.send(NAME, shelf)
    data = bytearray(shelf.path(NAME).read_bytes())
    data[len(data) // 2] ^= 0xFF
    broken = {
        "cut": bytes(data[: len(data) // 2]),
        "empty": b"",
        "flipped": bytes(data),
        "text": b"<html>not found</html>" * 100,
    }
    shelf.path(NAME).write_bytes(broken[harm])
    elsewhere(tmp_path, monkeypatch)
    assert not parcel.fetch(NAME, shelf, lambda: False)
    assert not shelf.has(NAME) and not parcel.here(NAME)
    kernel()
    parcel.send(NAME, shelf)
    assert shelf.has(NAME)


def test_a_base_is_that_commit_alone_also_for_one_who_shares_the_cache(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linux = fakes.commit_kernel(tmp_path / "linux")
    (linux / "fs/aio.c").write_text("another\n")
    fakes.git(linux, "commit", "-q", "-am", "second")
    base = tree.resolve(str(linux))
    name = parcel.base(base.commit)

    def ask() -> bool:
        """The one with the tree sends it, in a thread of its own."""

        def send() -> None:
            parcel.keep_base(base)
            parcel.send(name, shelf)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        thread.join(30)
        return not thread.is_alive()

    assert parcel.fetch(name, shelf, ask)
    elsewhere(tmp_path, monkeypatch)
    assert parcel.fetch(name, shelf, never)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    cache.write_whole(tree.config_path(), f"linux: {cache.root() / name}\n".encode())
    found = tree.resolve("linux")
    assert (found.commit, found.tree, found.version) == (base.commit, base.tree, base.version)
    assert fakes.git(cache.root() / name, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("name", ["kernels/../x", "kernels/.x", "etc/passwd", "kernels/a/b", ""])
def test_names_from_elsewhere_are_no_paths(name: str, shelf: Shelf) -> None:
    with pytest.raises(HostError, match="no name"):
        parcel.fetch(name, shelf, never)


def test_inputs_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name in ("kconfigs/base.config", "guest-tests/a/one.c", "patches/s/series"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(name)
    other = tmp_path / "mine.config"
    other.write_text("CONFIG_X=y\n")
    first = inputs.keep(root, [str(other)])
    (root / "guest-tests/a/__pycache__").mkdir()
    (root / "guest-tests/a/__pycache__/x.pyc").touch()
    assert inputs.keep(root, [str(other)]) == first
    (fragment,) = first.fragments.values()
    kept = cache.root() / first.name
    assert (kept / f"kconfigs/{fragment}.config").read_text() == "CONFIG_X=y\n"
    assert (kept / "patches/s/series").read_text() == "patches/s/series"
    assert inputs.keep(root, []).name != first.name
    (root / "guest-tests/a/one.c").chmod(0o755)
    assert inputs.keep(root, [str(other)]).name != first.name
