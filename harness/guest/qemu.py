# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU below us, whatever it boots: its console, the agent's socket, QMP."""

import contextlib
import os
import re
import select
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.console import Console
from harness.errors import BootError, QemuDiedError
from harness.guest.channel import PORT

PORT_ID = "harness-agent"
"""QEMU's id for the device of the agent's port, by which QMP tells of it."""

CONSOLE_ID = "console"
"""virtme-ng's and QMP's name of what is behind the serial line."""

_START_S = 30.0
_CONSOLE = re.compile(rf"file,(id={CONSOLE_ID}),path=/proc/self/fd/2$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A QEMU that has started. `nonce` is what marks our lines in the kernel's log; what is written
    to the descriptor `keys` is typed on the serial console, if it is `typed` (not where virtme-ng
    starts a virtiofsd and so QEMU too); `directory` is the guest's own."""

    process: proc.Process
    console: Console
    agent: socket.socket
    qmp: socket.socket
    keys: int
    typed: bool
    nonce: str
    directory: Path


def sockets_options(sockets: Path) -> str:
    """QEMU's options for the agent's port and QMP, on sockets in that directory."""
    return (
        f" -chardev socket,path={sockets}/agent,server=on,wait=off,id={PORT_ID}"
        f" -device virtio-serial"
        f" -device virtserialport,chardev={PORT_ID},name={PORT},id={PORT_ID}"
        f" -qmp unix:{sockets}/qmp,server=on,wait=off"
    )


@contextlib.contextmanager
def started(
    compose: Callable[[Path], list[str]], directory: Path, timeout_s: float = _START_S
) -> Iterator[Running]:
    """Start the command line that `compose` makes for a directory of sockets, and take the
    guest down at the end of the block.

    Writes console.log and qemu.cmd into `directory`. Raises BootError when it does not come up,
    HostError when QEMU is missing.
    """
    proc.find("qemu-system-x86_64")
    directory = directory.absolute()  # as QEMU, which runs in it, is told names of files there
    with contextlib.ExitStack() as stack:
        # A path of its own and a short one: a socket's is limited to 107 bytes.
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-")))
        keys = stack.enter_context(_keyboard(sockets / "tty"))
        composed = compose(sockets)
        argv = [_CONSOLE.sub(rf"pipe,\1,path={sockets}/tty", word) for word in composed]
        typed = argv != composed
        if "-name" in argv:  # what `ps` shows: whose guest it is
            argv[argv.index("-name") + 1] = directory.parents[1].name
        (directory / "qemu.cmd").write_text(shlex.join(argv) + "\n")
        process = stack.enter_context(proc.spawn(argv, cwd=directory))
        nonce = os.urandom(8).hex()
        log = directory / "console.log"
        console = stack.enter_context(Console(process.stdout.fileno(), log, nonce))
        deadline = time.monotonic() + min(_START_S, timeout_s)
        pair = []
        for name in ("qmp", "agent"):
            sock = _connect(sockets / name, console, deadline)
            if sock is None:
                kind = QemuDiedError if console.ended else BootError
                raise kind("QEMU did not start", log=log, lines=console.tail())
            pair.append(stack.enter_context(sock))
        shutil.rmtree(sockets)
        sockets.mkdir()  # for the context manager to remove: nothing is left in it from now on
        yield Running(
            process=process,
            console=console,
            agent=pair[1],
            qmp=pair[0],
            keys=keys,
            typed=typed,
            nonce=nonce,
            directory=directory,
        )


@contextlib.contextmanager
def _keyboard(path: Path) -> Iterator[int]:
    """Both halves of a `pipe` character device: where QEMU reads what is typed, whose other end
    this is, and where it writes, which is its standard error."""
    typed, shown = path.with_suffix(".in"), path.with_suffix(".out")
    os.mkfifo(typed)
    shown.symlink_to("/proc/self/fd/2")
    fd = os.open(typed, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def _connect(path: Path, console: Console, deadline: float) -> socket.socket | None:
    """QEMU makes the socket when it starts: try until then, the console ends, or the deadline."""
    while not console.ended and time.monotonic() < deadline:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            if select.select([console], [], [], 0.005)[0]:
                console.pump()
            continue
        return sock
    return None


def check_image(image: Path) -> None:
    """BootError when the file is neither an x86 boot image (Documentation/arch/x86/boot.rst:
    HdrS) nor ELF."""
    with image.open("rb") as file:
        elf = file.read(4) == b"\x7fELF"
        file.seek(0x202)
        if not elf and file.read(4) != b"HdrS":
            raise BootError(f"{image} is not an x86 kernel image")
