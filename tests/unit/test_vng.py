# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from harness import proc
from harness.errors import BootError
from harness.guest import BootPlan, vng
from harness.model import GuestSpec, Kernel, Mount

pytestmark = pytest.mark.usefixtures("unguarded")

# As vng does with --dry-run: one line that a shell would run.
VNG = """#!/bin/sh
echo asked >> {log}
echo "some news"
for word in "$@"; do
    case $word in --rodir=*) dirs="$dirs -fsdev local,path=${{word#*=*=}},ro" ;; esac
done
echo qemu -name virtme-ng -chardev file,path=/tmp/virtme_retx1y -kernel $2$dirs -append "'a  b'"
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("vng", VNG.format(log=tmp_path / "log")), ("qemu-system-x86_64", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(proc, "find", lambda name: str(tmp_path / name))
    monkeypatch.setattr(vng, "has_virtiofsd", lambda: False)
    return tmp_path


def kernel(directory: Path) -> Kernel:
    return Kernel(key="k", release="r", tree="t", dir=directory, cached=True)


def plan(*hosts: str) -> BootPlan:
    return BootPlan(
        spec=GuestSpec(),
        mounts=tuple(Mount(guest=f"/run/{n}", host=Path(host)) for n, host in enumerate(hosts)),
        agent=Path("/agent"),
        calibration_us=1,
        accel="tcg",
    )


def test_vng_is_asked_once_for_all_kernels_and_directories(tools: Path) -> None:
    first = vng._composed(kernel(Path("/k/1")), plan("/a", "/a/b"), Path("/s/1"))
    second = vng._composed(kernel(Path("/k/2")), plan("/c", "/d"), Path("/s/2"))
    assert (tools / "log").read_text() == "asked\n"
    assert first[:3] == second[:3] == ["qemu", "-name", "virtme-ng"]
    assert "/k/1/bzImage" in first and "/k/2/bzImage" in second
    assert [word for word in first if "local" in word] == ["local,path=/a,ro", "local,path=/a/b,ro"]
    assert [word for word in second if "local" in word] == ["local,path=/c,ro", "local,path=/d,ro"]
    assert "file,path=/dev/null" in second and second[-1] == "a  b"


def test_vng_is_asked_again_where_the_guest_is_another(tools: Path) -> None:
    for wanted in (plan("/a"), plan("/a", "/a"), plan("/a", "/b")):
        words = vng._composed(kernel(Path("/k")), wanted, Path("/s"))
        assert [word[len("local,path=") : -3] for word in words if "local" in word] == [
            str(mount.host) for mount in wanted.mounts
        ]
    assert (tools / "log").read_text().count("asked") == 3


def test_a_vng_that_fails_is_not_remembered(tools: Path) -> None:
    (tools / "vng").write_text("#!/bin/sh\necho no such thing >&2; exit 1\n")
    for _ in range(2):
        with pytest.raises(BootError, match="cannot say how") as caught:
            vng._composed(kernel(Path("/k")), plan(), Path("/s"))
        assert caught.value.lines == ("no such thing",)
