# SPDX-License-Identifier: GPL-2.0-only
"""Everything that the harness needs of a machine: found or missing, and what mends it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import cache, proc, tree
from harness.guest import accel, vng

_GIB = 1 << 30
_DISK_GIB = 8  # one mirror, one slot with objects, kernels and ccache

_PACKAGES = {
    "apt-get install": {},
    "dnf install": {
        "build-essential": "gcc make",
        "libelf-dev": "elfutils-libelf-devel",
        "libssl-dev": "openssl-devel",
        "libc6-dev": "glibc-static",
        "qemu-system-x86": "qemu-system-x86-core",
        "xz-utils": "xz",
    },
    "pacman -S": {
        "build-essential": "base-devel",
        "libelf-dev": "libelf",
        "libssl-dev": "openssl",
        "libc6-dev": "glibc",
        "qemu-system-x86": "qemu-system-x86",
        "xz-utils": "xz",
    },
    "zypper install": {
        "build-essential": "gcc make",
        "libelf-dev": "libelf-devel",
        "libssl-dev": "libopenssl-devel",
        "libc6-dev": "glibc-devel-static",
        "btrfs-progs": "btrfsprogs",
        "qemu-system-x86": "qemu-x86",
        "xz-utils": "xz",
    },
}

_TOOLS = (
    ("gcc", "build-essential", "compiles kernels and tests"),
    ("make", "build-essential", "builds kernels and tests"),
    ("ld", "build-essential", "links kernels"),
    ("flex", "flex", "kconfig's lexer"),
    ("bison", "bison", "kconfig's parser"),
    ("bc", "bc", "kernel's timeconst.h"),
    ("perl", "perl", "checkpatch.pl"),
    ("git", "git", "trees and patches"),
    ("tar", "tar", "kernel tarballs"),
    ("xz", "xz-utils", "kernel tarballs"),
    ("cpio", "cpio", "initramfs"),
    ("zstd", "zstd", "compressed images"),
    ("depmod", "kmod", "modules"),
    ("mkfs.ext4", "e2fsprogs", "scratch disks, guests that are restored"),
    ("mkfs.xfs", "xfsprogs", "tests on xfs"),
    ("qemu-system-x86_64", "qemu-system-x86", "guests"),
    ("vng", "", "guests (virtme-ng)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing: `state` is ok, missing, or optional (missing, and only slower without it);
    `note` what was found, `mend` the command that brings it."""

    name: str
    state: str
    note: str
    mend: str = ""


def examine(*, probe: bool = False, image: Path | None = None) -> tuple[Check, ...]:
    """Look at this machine. With `probe` and a built kernel `image`, KVM is tried anew."""
    checks = [_python(), *(_tool(*row) for row in _TOOLS)]
    checks += [
        _header("libelf.h", "libelf-dev", "objtool"),
        _header("openssl/ssl.h", "libssl-dev", "signed modules and certificates"),
        _static_libc(),
        _optional("ccache", "ccache", "rebuilds in seconds"),
        _optional("busybox", "busybox-static", "guests that are restored, not booted"),
        _optional("mkfs.btrfs", "btrfs-progs", "tests on btrfs"),
        _virtiofsd(),
        *(_source(name) for name in tree.KNOWN),
        _disk(),
        _acceleration(probe=probe, image=image),
    ]
    return tuple(checks)


def _mend(package: str) -> str:
    """The command that installs a package named as Debian does."""
    for command, names in _PACKAGES.items():
        if shutil.which(command.split()[0]):
            sudo = "" if os.geteuid() == 0 else "sudo "
            return f"{sudo}{command} {names.get(package, package)}"
    return f"install {package}"


def _check(name: str, found: bool, note: str, package: str) -> Check:
    if found:
        return Check(name=name, state="ok", note=note)
    return Check(name=name, state="missing", note=note, mend=_mend(package) if package else "")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return _check("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer)", "python3")


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _tool(name: str, package: str, why: str) -> Check:
    path = _which(name)
    if path is None and not package:
        return Check(name=name, state="missing", note=why, mend="pip install virtme-ng")
    return _check(name, path is not None, path or why, package)


def _header(name: str, package: str, why: str) -> Check:
    for place in ("/usr/include", "/usr/local/include", "/usr/include/x86_64-linux-gnu"):
        if (Path(place) / name).exists():
            return _check(name, True, place, package)
    return _check(name, False, why, package)


def _static_libc() -> Check:
    found = ""
    if shutil.which("gcc"):
        found = proc.run(["gcc", "-print-file-name=libc.a"]).text
    good = found.startswith("/")
    return _check("libc.a", good, found if good else "static guest programs", "libc6-dev")


def _optional(name: str, package: str, why: str) -> Check:
    path = _which(name)
    if path:
        return Check(name=name, state="ok", note=path)
    return Check(name=name, state="optional", note=why, mend=_mend(package))


def _virtiofsd() -> Check:
    if shutil.which("gcc") and vng.has_virtiofsd():
        return Check(name="virtiofsd", state="ok", note="the guest's files over virtiofs")
    return Check(name="virtiofsd", state="optional", note="none that virtme-ng can use: 9p it is")


def _source(name: str) -> Check:
    place = tree.place_of(name)
    if place.startswith("/"):
        return Check(name=f"linux {name}", state="ok", note=place)
    mend = _mend(f"linux-source-{name}")
    return Check(name=f"linux {name}", state="optional", note=f"from {place}", mend=mend)


def _disk() -> Check:
    free = shutil.disk_usage(cache.root()).free / _GIB
    note = f"{free:.0f} GiB free at {cache.root()}"
    if free >= _DISK_GIB:
        return Check(name="disk", state="ok", note=note)
    mend = "harness cache gc --size 0, or point XDG_CACHE_HOME at a larger disk"
    return Check(name="disk", state="missing", note=f"{note}, {_DISK_GIB} wanted", mend=mend)


def _acceleration(*, probe: bool, image: Path | None) -> Check:
    """TCG is a state to know of, no fault: guests run, about ten times slower."""
    known = None
    if shutil.which("qemu-system-x86_64") and shutil.which("gcc"):
        known = accel.probe(image) if probe and image else accel.remembered()
    if known is None:
        note = "not known yet: the first run finds out with the kernel that it builds"
        return Check(name="kvm", state="optional", note=note, mend="harness doctor --probe")
    state = "ok" if known.name == "kvm" else "optional"
    mend = "" if known.name == "kvm" else "harness doctor --probe looks again"
    return Check(name="kvm", state=state, note=known.why, mend=mend)
