# SPDX-License-Identifier: GPL-2.0-only
"""Guests under virtme-ng: the host's files read-only over 9p or virtiofs, QEMU below.

vng has no deadlines, no structured results and fixed ports, so this room gives it a guard
(proc.py), a socket of its own for the agent and one for QMP, and takes its word for nothing.
"""

import contextlib
import os
import re
import select
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import cache, proc
from harness.console import Console
from harness.errors import BootError, QemuDiedError
from harness.guest import BootPlan, disk, qmp
from harness.guest.channel import PORT
from harness.guest.session import PORT_ID, Session
from harness.model import Kernel

_ROOT_9P = "version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose"
# The kernel's test of its timer counts ticks in a loop of instructions, and on a busy host an
# emulated timer is late: "IO-APIC + timer doesn't work!". KVM guests leave it out by themselves.
_CMDLINE = ("printk.devkmsg=on", "no_timer_check")
_VNG_CONF = tuple(  # virtme-ng's defaults are in the first of these that there is
    Path(place)
    for place in (
        "~/.config/virtme-ng/virtme-ng.conf",
        "~/.virtme-ng.conf",
        "/etc/virtme-ng.conf",
    )
)


def command_line(kernel: Kernel, plan: BootPlan, sockets: Path | None) -> list[str]:
    """The vng command that boots `kernel`; `sockets` is a directory for the agent's and QMP's,
    None for a shell on the terminal."""
    spec = plan.spec
    # Without the modules that the host may have for the same release: all is built in.
    argv = ["vng", "--run", str(kernel.image), "--user", "root", "--skip-modules"]
    argv += ["--cpus", str(spec.cpus), "--memory", f"{spec.memory_mib}M"]
    if plan.accel == "tcg":
        argv.append("--disable-kvm")
    if not has_virtiofsd():
        argv.append("--force-9p")
        if sockets is not None:
            # vng's own flags (the last ones count), and a cache: Python reads some hundred files
            # to start. Not for a shell, in which a user looks at what he edits on the host.
            argv += ["--append", f"rootflags={_ROOT_9P}"]
    for mount in dict.fromkeys(plan.mounts):  # suites may share some
        argv.append(f"--rodir={mount.guest.lstrip('/')}={mount.host}")
    for word in (*_CMDLINE, *spec.cmdline):
        argv += ["--append", word]
    options = disk.options(plan.drives)  # first, so that they are /dev/vda and so on
    options += "".join(f" {words}" for words in spec.qemu)
    if plan.gdb is not None:
        options += f" -gdb unix:{plan.gdb},server=on,wait=off"
        argv += ["--append", "nokaslr"]
    if sockets is None:
        argv += ["--append", f"harness_shell={_shell()}"]
        if plan.drives:
            argv += ["--append", f"SCRATCH_DEV={disk.device(0)}"]
    else:
        options += (
            f" -chardev socket,path={sockets}/agent,server=on,wait=off,id={PORT_ID}"
            f" -device virtio-serial"
            f" -device virtserialport,chardev={PORT_ID},name={PORT},id={PORT_ID}"
            f" -qmp unix:{sockets}/qmp,server=on,wait=off"
        )
        argv += ["--verbose", "--append", "ignore_loglevel"]
        # Keeps vng off its own terminal; it is for virtme-ng's init, which is not started.
        argv += ["--exec", "true"]
    if options:
        argv.append(f"--qemu-opts={options}")
    # Our init instead of virtme-ng's (agent/init.c says why). vng has no option for that, and
    # puts its own init= last, where the last one counts: after `--` it is an argument to ours. (A
    # tab, because vng wraps what holds a space in quotes; the kernel splits at either.)
    return [*argv, "--append", shlex.quote(f"init={plan.agent}\t--")]


def _shell() -> str:
    return next(shell for shell in ("/bin/bash", "/bin/sh") if Path(shell).exists())


def has_virtiofsd() -> bool:
    """True where virtme-ng would find a virtiofsd (it looks at these places) that it can start:
    QEMU's own one, up to 7.2, has other options and costs 3 s of waiting. Asked once per
    installed binary."""
    places = ("/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd")
    found = (shutil.which("virtiofsd"), *(place for place in places if Path(place).exists()))
    first = next((place for place in found if place), None)
    if first is None:
        return False
    stat = Path(first).stat()
    memo = cache.root() / "toolchain" / cache.digest(first, stat.st_size, stat.st_mtime_ns)
    known = cache.read_json(memo)
    if known is None:
        known = b"--shared-dir" in proc.run([first, "--help"]).stdout
        cache.write_json(memo, known)
    return bool(known)


def _composed(kernel: Kernel, plan: BootPlan, sockets: Path) -> list[str]:
    """QEMU's command line as vng composes it for that guest (`--dry-run`).

    It is remembered: vng's two Python programs take half a second to say the same thing again,
    about any kernel and any directories shown at the same places. Where there is a virtiofsd vng
    has to run, as it starts that one, too.
    """
    if has_virtiofsd():
        return command_line(kernel, plan, sockets)
    own = {str(kernel.image): "@image@", str(sockets): "@sockets@"}
    hosts = list(dict.fromkeys(mount.host for mount in plan.mounts))
    own |= {f"path={host},": f"path=@mount{number}@," for number, host in enumerate(hosts)}
    files = [drive.file for drive in plan.drives]
    own |= {f"file={file},": f"file=@disk{number}@," for number, file in enumerate(files)}
    if plan.gdb is not None:
        own[str(plan.gdb)] = "@gdb@"
    asked = command_line(kernel, plan, sockets)
    tools = [Path(proc.find(tool)).resolve() for tool in ("vng", "qemu-system-x86_64")]
    key = cache.digest(
        [_swap(word, own) for word in asked if not word.startswith("--rodir=")],
        [(mount.guest, hosts.index(mount.host)) for mount in plan.mounts],
        [_stamp(path) for path in (*tools, *(place.expanduser() for place in _VNG_CONF))],
        os.access("/dev/kvm", os.R_OK | os.W_OK),
    )
    memo = cache.root() / "toolchain" / key
    composed = cache.read_json(memo)
    if composed is None:
        composed = [_swap(word, own) for word in _compose(asked)]
        cache.write_json(memo, composed)
    return [_swap(word, {theirs: ours for ours, theirs in own.items()}) for word in composed]


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes with a file's content; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _swap(word: str, texts: dict[str, str]) -> str:
    for old, new in texts.items():
        word = word.replace(old, new)
    return word


def _compose(asked: list[str]) -> list[str]:
    done = proc.run([*asked, "--dry-run"], cwd=Path("/"))
    words = shlex.split(done.text.strip().rpartition("\n")[2])
    # A descriptor beyond the standard ones would be vng's own.
    if done.status or "-kernel" not in words or re.search(r"/proc/self/fd/(?![012]\b)", done.text):
        lines = tuple((done.complaint or done.text).splitlines()[-5:])
        raise BootError("virtme-ng cannot say how it would start QEMU", lines=lines)
    # virtme-ng's init would tell the command's status there; ours does not.
    return [re.sub(r"path=[^,]*/virtme_ret\w+", "path=/dev/null", word) for word in words]


def _check_image(image: Path) -> None:
    """BootError when the file is no x86 boot image (Documentation/arch/x86/boot.rst: HdrS)."""
    with image.open("rb") as file:
        file.seek(0x202)
        if file.read(4) != b"HdrS":
            raise BootError(f"{image} is not an x86 kernel image")


def _connect(path: Path, console: Console, deadline: float) -> socket.socket | None:
    """QEMU makes the socket when it starts: try until then, the console ends, or the deadline."""
    while not console.ended and time.monotonic() < deadline:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            if select.select([console], [], [], 0.02)[0]:
                console.pump()
            continue
        return sock
    return None


@contextlib.contextmanager
def boot(kernel: Kernel, plan: BootPlan, directory: Path) -> Iterator[Session]:
    """Boot `kernel`, wait for its agent, and take the guest down at the end of the block.

    Writes console.log and qemu.cmd into `directory`. Raises BootError when no agent answers by
    the deadline, HostError when vng or QEMU is missing.
    """
    _check_image(kernel.image)
    proc.find("qemu-system-x86_64")
    nonce = os.urandom(8).hex()
    with contextlib.ExitStack() as stack:
        # A path of its own and a short one: a socket's is limited to 107 bytes.
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-")))
        argv = _composed(kernel, plan, sockets)
        if "-name" in argv:  # what `ps` shows: whose guest it is
            argv[argv.index("-name") + 1] = directory.parents[1].name
        (directory / "qemu.cmd").write_text(shlex.join(argv) + "\n")
        process = stack.enter_context(proc.spawn(argv, cwd=directory))
        log = directory / "console.log"
        console = stack.enter_context(Console(process.stdout.fileno(), log, nonce))
        deadline = time.monotonic() + min(30.0, plan.spec.boot_timeout_s)
        pair = []
        for name in ("qmp", "agent"):
            sock = _connect(sockets / name, console, deadline)
            if sock is None:
                kind = QemuDiedError if console.ended else BootError
                raise kind("QEMU did not start", log=log, lines=console.tail())
            pair.append(stack.enter_context(sock))
        pair[0].sendall(qmp.CAPABILITIES)
        shutil.rmtree(sockets)
        sockets.mkdir()  # for the context manager to remove: nothing is left in it from now on
        guest = Session(process, console, (pair[1], pair[0]), plan, nonce)
        guest.scratch = disk.find(guest, plan.drives)
        yield guest
