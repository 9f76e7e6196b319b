# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import replace
from pathlib import Path

import pytest

from harness import proc
from harness.errors import BootError
from harness.guest import BootPlan, Drive, vng
from harness.model import Disk, GuestSpec, Kernel, Mount

# As vng does with --dry-run: one line that a shell would run.
VNG = """#!/bin/sh
echo asked >> {log}
echo "some news"
for word in "$@"; do
    case $word in --rodir=*) dirs="$dirs -fsdev local,path=${{word#*=*=}},ro" ;; esac
done
for word in "$@"; do case $word in --qemu-opts=*) options=${{word#*=}} ;; esac; done
echo qemu$options -name virtme-ng -chardev file,path=/tmp/virtme_retx1y \\
    -kernel $2$dirs -append "'a  b virtme_rw_overlay0=/etc virtme_initmount0_access=ro c'"
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = {"vng": VNG.format(log=tmp_path / "log"), "qemu-system-x86_64": ""}
    for name, text in own.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    find = proc.find
    place = {name: str(tmp_path / name) for name in own}
    monkeypatch.setattr(proc, "find", lambda name: place.get(name) or find(name))
    monkeypatch.setattr(vng, "has_virtiofsd", lambda: False)
    return tmp_path


def kernel(directory: Path) -> Kernel:
    return Kernel(key="k", release="r", tree="t", dir=directory, cached=True)


def plan(*hosts: str, drives: tuple[Drive, ...] = ()) -> BootPlan:
    return BootPlan(
        spec=GuestSpec(),
        mounts=tuple(Mount(guest=f"/run/{n}", host=Path(host)) for n, host in enumerate(hosts)),
        agent=Path("/agent"),
        calibration_us=1,
        accel="tcg",
        drives=drives,
    )


def test_vng_is_asked_once_for_all_kernels_and_directories(tools: Path) -> None:
    first = vng.composed(kernel(Path("/k/1")), plan("/a", "/a/b"), Path("/s/1"))
    second = vng.composed(kernel(Path("/k/2")), plan("/c", "/d"), Path("/s/2"))
    assert (tools / "log").read_text() == "asked\n"
    assert "virtme-ng" in first and "virtme-ng" in second
    assert "/k/1/bzImage" in first and "/k/2/bzImage" in second
    assert [word for word in first if "local" in word] == ["local,path=/a,ro", "local,path=/a/b,ro"]
    assert [word for word in second if "local" in word] == ["local,path=/c,ro", "local,path=/d,ro"]
    assert "file,path=/dev/null" in second and second[-1] == "a  b c"


def test_vng_is_asked_again_where_the_guest_is_another(tools: Path) -> None:
    for wanted in (plan("/a"), plan("/a", "/a"), plan("/a", "/b")):
        words = vng.composed(kernel(Path("/k")), wanted, Path("/s"))
        assert [word[len("local,path=") : -3] for word in words if "local" in word] == [
            str(mount.host) for mount in wanted.mounts
        ]
    assert (tools / "log").read_text().count("asked") == 3


def test_a_guest_that_may_be_dumped_is_another_one(tools: Path) -> None:
    plain = plan()
    dumped = replace(plain, spec=replace(plain.spec, dump=True))
    asked = [
        " ".join(vng.command_line(kernel(Path("/k")), one, Path("/s"), over_9p=True))
        for one in (plain, dumped)
    ]
    assert ["-device vmcoreinfo" in words for words in asked] == [False, True]
    for one in (plain, dumped, dumped):
        vng.composed(kernel(Path("/k")), one, Path("/s"))
    assert (tools / "log").read_text().count("asked") == 2


def test_a_vng_that_fails_is_not_remembered(tools: Path) -> None:
    (tools / "vng").write_text("#!/bin/sh\necho no such thing >&2; exit 1\n")
    for _ in range(2):
        with pytest.raises(BootError, match="cannot say how") as caught:
            vng.composed(kernel(Path("/k")), plan(), Path("/s"))
        assert caught.value.lines == ("no such thing",)


def drives(*files: str, bps_read: int = 0) -> tuple[Drive, ...]:
    disk = Disk(name="area", size_bytes=1 << 20, bps_read=bps_read)
    return tuple(Drive(disk=disk, file=Path(file)) for file in files)


def test_vng_is_asked_once_for_all_files_of_disks(tools: Path) -> None:
    for files in (("/proc/1/fd/1", "/proc/1/fd/10"), ("/proc/1/fd/10", "/proc/1/fd/1")):
        wanted = plan(drives=drives(*files))
        words = vng.composed(kernel(Path("/k")), wanted, Path("/s"))
        values = [word for word in words if word.startswith("file=/")]
        assert [value.partition(",")[0] for value in values] == [f"file={file}" for file in files]
    assert (tools / "log").read_text() == "asked\n"


def test_disks_come_before_what_the_user_adds(tools: Path) -> None:
    wanted = replace(plan(drives=drives("/f", bps_read=4 << 20)), spec=GuestSpec(qemu=("-usb",)))
    words = vng.composed(kernel(Path("/k")), wanted, Path("/s"))
    drive = words[words.index("-drive") + 1]
    assert drive.startswith("file=/f,") and drive.endswith(",throttling.bps-read=4194304")
    assert "throttling.bps-write" not in drive and "cache=unsafe" in drive
    assert words.index("-drive") < words.index("-device") < words.index("-usb")
