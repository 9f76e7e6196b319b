# SPDX-License-Identifier: GPL-2.0-only
"""Which acceleration really works here: a /dev/kvm that opens proves nothing.

KVM counts once a kernel has booted under it. On machines whose KVM cannot run one (nested without
hardware support) QEMU stops with an internal error, or the guest never says a byte; virtme-ng
would wait for ever. The answer is kept per host and QEMU binary.
"""

import os
import platform
import re
import select
import time
from dataclasses import dataclass
from pathlib import Path

from harness import cache, proc

_FIRST_BYTE_S = 3.0
_BOOT_S = 30.0
_KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accel:
    """`name` is kvm or tcg, `why` one line to show; `fresh` when it was found out just now."""

    name: str
    why: str
    fresh: bool = False


def choose(image: Path, wanted: str | None = None) -> Accel:
    """The acceleration for a guest. `wanted` (kvm or tcg) decides without a look; else the
    remembered answer, else a probe with `image`."""
    if wanted:
        return Accel(name=wanted, why="as asked for")
    return remembered() or probe(image)


def remembered() -> Accel | None:
    """The answer without a probe: no usable device, or what a probe found here before."""
    if not os.access(_KVM, os.R_OK | os.W_OK):
        missing = "is not there" if not _KVM.exists() else "cannot be opened by this user"
        return Accel(name="tcg", why=f"{_KVM} {missing}")
    known = cache.read_json(_memo())
    cache.touch(_memo())
    return Accel(name=known["name"], why=known["why"]) if known else None


def probe(image: Path) -> Accel:
    """Boot `image` under KVM without a root: it should come up, panic and end QEMU. Takes a few
    seconds at most; the answer is remembered."""
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return Accel(name="tcg", why=f"{_KVM} cannot be opened by this user")
    fault = _fault(image)
    if fault:
        found = Accel(name="tcg", why=f"KVM does not work here: {fault}", fresh=True)
    else:
        found = Accel(name="kvm", why="a kernel booted under KVM", fresh=True)
    cache.write_json(_memo(), {"name": found.name, "why": found.why})
    return found


def _memo() -> Path:
    qemu = Path(proc.find("qemu-system-x86_64")).resolve()
    stat = qemu.stat()
    host = [platform.node(), platform.release(), str(qemu), stat.st_size, stat.st_mtime_ns]
    return cache.root() / "accel" / f"{cache.digest(host)}.json"


def _fault(image: Path) -> str:
    """What keeps a kernel from booting under KVM; empty when nothing does."""
    argv = [
        *("qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256"),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(image)),
        *("-append", "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1"),
    ]
    text = b""
    started = time.monotonic()
    with proc.spawn(argv) as process:
        fd = process.stdout.fileno()
        while True:
            limit = _BOOT_S if text else _FIRST_BYTE_S
            left = started + limit - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                return f"no boot within {_BOOT_S:.0f} s" if text else "the guest says nothing"
            chunk = os.read(fd, 64 << 10)
            text += chunk
            # QEMU's own words on its standard error; it then stays, paused.
            if b"KVM internal error" in text:
                return "QEMU stopped with a KVM internal error"
            if not chunk:
                break
    if b"Linux version" not in text:
        last = text.decode(errors="replace").strip().rpartition("\n")[2]
        if place := re.search(r"\w+\.c:\d+", last):  # an assertion of its own
            return f"QEMU died in {place[0]}"
        return f'QEMU ended with "{last[:60]}"' if last else "QEMU ended at once"
    return ""
