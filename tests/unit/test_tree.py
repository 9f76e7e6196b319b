# SPDX-License-Identifier: GPL-2.0-only
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from harness import fetch, proc, slot, tree
from harness.errors import HostError, UsageError
from harness.git import Git
from tests.unit import fakes


def snapshot(path: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below `path`, git's own included, with its time and content."""
    return {
        str(file.relative_to(path)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in path.rglob("*")
        if file.is_file()
    }


def tarball(tmp_path: Path, name: str = "linux-6.12.7", suffix: str = "xz") -> Path:
    fakes.write_kernel(tmp_path / "pack" / name)
    path = tmp_path / f"{name}.tar.{suffix}"
    proc.check(proc.run(["tar", "-caf", str(path), "-C", str(tmp_path / "pack"), name]), "tar")
    return path


def test_a_checkout_is_read_and_never_written(tmp_path: Path) -> None:
    checkout = fakes.commit_kernel(tmp_path / "linux")
    (checkout / "fs/aio.c").write_text("edited, not committed\n")
    before = snapshot(checkout)
    base = tree.resolve(str(checkout))
    with slot.take(base, base.tree) as taken:
        assert (taken.source / "fs/aio.c").read_text() == fakes.AIO
    assert base.version == "6.12.7"
    assert base.commit == fakes.git(checkout, "rev-parse", "HEAD")
    assert snapshot(checkout) == before


def test_a_directory_and_its_tarball_are_the_same_tree(tmp_path: Path) -> None:
    packed = tree.resolve(str(tarball(tmp_path)))
    unpacked = tree.resolve(str(tmp_path / "pack/linux-6.12.7"))
    assert (packed.tree, packed.commit) == (unpacked.tree, unpacked.commit)


def test_an_import_keeps_what_gitignore_hides(tmp_path: Path) -> None:
    base = tree.resolve(str(tarball(tmp_path)))
    assert "hidden.c" in Git(base.mirror).out("ls-tree", "--name-only", base.tree).split()


def test_a_changed_directory_is_another_base(tmp_path: Path) -> None:
    directory = fakes.write_kernel(tmp_path / "linux")
    first = tree.resolve(str(directory))
    (directory / "fs/aio.c").write_text("changed\n")
    assert tree.resolve(str(directory)).tree != first.tree


def test_a_tarball_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tarball(tmp_path))
    first = tree.resolve(path)
    monkeypatch.setattr(proc, "spawn", None)  # from here on no process can start
    assert tree.resolve(path) == first


@pytest.mark.parametrize(
    ("name", "said"),
    [("6.13", "no tree named 6.13"), ("./nowhere", "does not exist")],
)
def test_an_unknown_tree_is_named(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tree.resolve(name)


def test_a_directory_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kernel tree"):
        tree.resolve(str(tmp_path))


def test_a_repository_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    fakes.git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "README").write_text("hello\n")
    fakes.git(tmp_path, "add", "README")
    fakes.git(tmp_path, "commit", "-q", "-m", "x")
    with pytest.raises(UsageError, match="no kernel tree"):
        tree.resolve(str(tmp_path))


def test_names_are_added_and_removed(tmp_path: Path) -> None:
    checkout = fakes.commit_kernel(tmp_path / "linux")
    tree.add("mine", str(checkout))
    assert tree.resolve("mine").name == "mine"
    tree.remove("mine")
    with pytest.raises(UsageError, match="no tree named mine"):
        tree.resolve("mine")


def test_a_url_is_fetched(tmp_path: Path) -> None:
    checkout = fakes.commit_kernel(tmp_path / "linux")
    base = tree.resolve(f"file://{checkout}")
    assert base.commit == fakes.git(checkout, "rev-parse", "HEAD")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def kernel_org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server of ours in kernel.org's shape; gives the directory of v6.x."""
    directory = tmp_path / "www/v6.x"
    directory.mkdir(parents=True)
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HARNESS_KERNEL_ORG", f"http://127.0.0.1:{server.server_port}")
        yield directory
        server.shutdown()
        thread.join()


def publish(directory: Path, sums: dict[str, str]) -> None:
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    (directory / "sha256sums.asc").write_text(f"-----BEGIN PGP-----\n{text}")


def test_the_newest_kernel_of_a_branch_is_downloaded_and_verified(
    tmp_path: Path, kernel_org: Path
) -> None:
    data = tarball(tmp_path, "linux-6.12.10").read_bytes()
    (kernel_org / "linux-6.12.10.tar.xz").write_bytes(data)
    good = hashlib.sha256(data).hexdigest()
    publish(kernel_org, {"linux-6.12.9.tar.xz": "0" * 64, "linux-6.12.10.tar.xz": good})
    assert fetch.kernel_org("6.12").read_bytes() == data


def test_a_wrong_checksum_is_refused(kernel_org: Path) -> None:
    (kernel_org / "linux-6.12.9.tar.xz").write_bytes(b"tampered")
    publish(kernel_org, {"linux-6.12.9.tar.xz": "0" * 64})
    with pytest.raises(HostError, match="another checksum"):
        fetch.kernel_org("6.12")


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_KERNEL_ORG", "http://127.0.0.1:1")
    with pytest.raises(HostError, match=r"cannot download http://127.0.0.1:1/v6.x"):
        fetch.kernel_org("6.12")


def test_a_checkout_counts_as_its_version(tmp_path: Path) -> None:
    checkout = fakes.commit_kernel(tmp_path / "linux")
    assert tree.base_name(str(checkout)) == "6.12"
    assert tree.base_name("6.1") == "6.1"
    assert tree.base_name(str(tmp_path)) == str(tmp_path)


def test_a_slot_follows_files_that_come_go_and_change_their_kind(tmp_path: Path) -> None:
    linux = fakes.commit_kernel(tmp_path / "linux")
    (linux / "gone/deep").mkdir(parents=True)
    (linux / "gone/deep/file").write_text("1")
    (linux / "kind").write_text("a file")
    fakes.git(linux, "add", "-A")
    fakes.git(linux, "commit", "-q", "-m", "one")
    first = tree.resolve(str(linux))
    shutil.rmtree(linux / "gone")
    (linux / "kind").unlink()
    (linux / "kind").mkdir()
    (linux / "kind/of").symlink_to("../Makefile")
    (linux / "new/deep").mkdir(parents=True)
    (linux / "new/deep/a file").write_text("2")
    (linux / "new/deep/a file").chmod(0o755)
    fakes.git(linux, "add", "-A")
    fakes.git(linux, "commit", "-q", "-m", "two")
    second = tree.resolve(str(linux))
    for base in (first, second, first, second):
        with slot.take(base, base.tree) as taken:
            held = {
                str(path.relative_to(taken.source))
                for path in taken.source.rglob("*")
                if path.is_symlink() or path.is_file()
            }
            old = base is first
            assert ("gone/deep/file" in held, "new/deep/a file" in held) == (old, not old)
            assert ("kind" in held, "kind/of" in held) == (old, not old)
            assert (taken.source / "gone").exists() == old
            if not old:
                assert os.access(taken.source / "new/deep/a file", os.X_OK)
                assert (taken.source / "kind/of").is_symlink()
