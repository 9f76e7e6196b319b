# SPDX-License-Identifier: GPL-2.0-only
"""The image that guests have as their root, made of real files by the real mke2fs."""

import os
import shutil
from pathlib import Path

import pytest

from harness import proc
from harness.guest import root
from harness.model import Contents, Mount


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent"
    path.write_bytes(b"agent")
    path.chmod(0o755)
    return path


def build(agent: Path, *mounts: Mount, tools: tuple[str, ...] = ()) -> root.Root:
    return root.find_or_build([Contents(mounts=mounts, tools=tools)], agent)


def listing(image: Path, directory: str) -> dict[str, str]:
    """Names in a directory of an image, each with its mode in octal."""
    done = proc.run(["debugfs", "-R", f"ls -p {directory}", str(image)])
    rows = [line.split("/") for line in done.text.splitlines() if line.count("/") > 5]
    return {row[5]: row[2] for row in rows}


def content(image: Path, path: str) -> bytes:
    return proc.run(["debugfs", "-R", f"cat {path}", str(image)]).stdout


def test_what_guest_mounts_would_hide_is_listed_for_init(tmp_path: Path, agent: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "one").write_text("1")
    made = build(
        agent,
        Mount(guest="/run/harness/tests/a", host=programs),
        Mount(guest="/opt/b", host=programs),
        Mount(guest="/tmp/c", host=programs / "one"),
    )
    link = tmp_path / "link"
    link.symlink_to("/etc/hostname")
    linked = build(agent, Mount(guest="/tmp/d", host=link))
    assert listing(linked.image, "/.harness")["0"].startswith("12"), "a link stays one"
    assert content(linked.image, "/etc/hostname") == Path("/etc/hostname").read_bytes()
    assert content(made.image, "/.harness/places") == b"/run/harness/tests/a\n/tmp/c\n"
    assert content(made.image, "/.harness/0/one") == b"1"
    assert content(made.image, "/.harness/1") == b"1"
    assert content(made.image, "/opt/b/one") == b"1"
    assert content(made.image, "/.harness/agent") == b"agent"


def test_tools_come_with_their_links_and_libraries(tmp_path: Path, agent: Path) -> None:
    made = build(agent, tools=("mkfs.ext4", "no-such-tool-anywhere", "/etc/hostname"))
    sbin = Path(shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") or "")
    names = listing(made.image, str(sbin.resolve().parent))
    assert sbin.resolve().name in names and "no-such-tool-anywhere" not in names
    linked = proc.run(["ldd", str(sbin)]).text
    library = next(Path(word) for word in linked.split() if "/libext2fs" in word)
    real = library.resolve()
    assert real.name in listing(made.image, str(real.parent))
    assert content(made.image, "/etc/hostname") == Path("/etc/hostname").read_bytes()


def test_busybox_does_what_no_tool_does(agent: Path) -> None:
    made = build(agent)
    names = listing(made.image, str(Path("/bin").resolve()))
    assert names["awk"].startswith("12"), "a link to busybox"
    assert names["mount"].startswith("10"), "the host's own program"


def test_equal_files_give_the_same_image_and_others_another(tmp_path: Path, agent: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    mount = Mount(guest="/x", host=file)
    first = build(agent, mount)
    assert build(agent, mount) == first
    file.write_text("22")
    assert build(agent, mount).key != first.key


def test_a_broken_image_is_made_again(tmp_path: Path, agent: Path) -> None:
    first = build(agent)
    data = bytearray(first.image.read_bytes())
    data[len(data) // 2] ^= 1
    first.image.write_bytes(data)
    again = build(agent)
    assert again.image.read_bytes() != bytes(data)
    first.image.write_bytes(b"")
    assert build(agent).image.stat().st_size > 0


def test_the_host_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert root.missing() == ""
    (tmp_path / "mke2fs").symlink_to("/bin/true")
    monkeypatch.setattr(proc, "environment", lambda: {**os.environ, "PATH": str(tmp_path)})
    assert root.missing() == "busybox"
