# SPDX-License-Identifier: GPL-2.0-only
"""Guests under virtme-ng: the host's files read-only over 9p or virtiofs, QEMU below.

vng has no deadlines, no structured results and fixed ports, so this room gives it a guard
(proc.py), a socket of its own for the agent and one for QMP, and takes its word for nothing.
"""

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness import cache, proc
from harness.errors import BootError
from harness.guest import BootPlan, autopsy, disk, dump, qemu
from harness.guest.session import Session
from harness.model import Kernel

_ROOT_9P = "version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose"
# The kernel's test of its timer counts ticks in a loop of instructions, and on a busy host an
# emulated timer is late: "IO-APIC + timer doesn't work!". KVM guests leave it out by themselves.
_CMDLINE = ("printk.devkmsg=on", "no_timer_check", autopsy.CMDLINE)
# For virtme-ng's init, not for ours. The kernel takes no more than 32 words as environment.
_UNREAD = re.compile(
    r" virtme_(?:rw_overlay\d+|initmount\d+_access|hostname|console|chdir|root_user)=[^\s'\"]*"
)
_VNG_CONF = tuple(  # virtme-ng's defaults are in the first of these that there is
    Path(place)
    for place in (
        "~/.config/virtme-ng/virtme-ng.conf",
        "~/.virtme-ng.conf",
        "/etc/virtme-ng.conf",
    )
)


def command_line(
    kernel: Kernel, plan: BootPlan, sockets: Path | None, *, over_9p: bool
) -> list[str]:
    """The vng command that boots `kernel`; `sockets` is a directory for the agent's and QMP's,
    None for a shell on the terminal; `over_9p`: not over virtiofs."""
    spec = plan.spec
    # Without the modules that the host may have for the same release: all is built in.
    argv = ["vng", "--run", str(kernel.image), "--user", "root", "--skip-modules"]
    argv += ["--cpus", str(spec.cpus), "--memory", f"{spec.memory_mib}M"]
    if plan.accel == "tcg":
        argv.append("--disable-kvm")
    if over_9p:
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
    if spec.dump:
        options += f" {dump.DEVICE}"
    if plan.gdb is not None:
        options += f" -gdb unix:{plan.gdb},server=on,wait=off"
        argv += ["--append", "nokaslr"]
    if sockets is None:
        argv += ["--append", f"harness_shell={_shell()}"]
        if plan.drives:
            argv += ["--append", f"SCRATCH_DEV={disk.device(0)}"]
    else:
        options += qemu.sockets_options(sockets)
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
    cache.touch(memo)
    if known is None:
        known = b"--shared-dir" in proc.run([first, "--help"]).stdout
        cache.write_json(memo, known)
    return bool(known)


def composed(kernel: Kernel, plan: BootPlan, sockets: Path, *, over_9p: bool = False) -> list[str]:
    """QEMU's command line as vng composes it for that guest (`--dry-run`).

    It is remembered: vng's two Python programs take half a second to say the same thing again,
    about any kernel and any directories shown at the same places. Where there is a virtiofsd vng
    has to run, as it starts that one, too.
    """
    if not over_9p and has_virtiofsd():
        return command_line(kernel, plan, sockets, over_9p=False)
    own = {str(kernel.image): "@image@", str(sockets): "@sockets@"}
    hosts = list(dict.fromkeys(mount.host for mount in plan.mounts))
    own |= {f"path={host},": f"path=@mount{number}@," for number, host in enumerate(hosts)}
    files = [drive.file for drive in plan.drives]
    own |= {f"file={file},": f"file=@disk{number}@," for number, file in enumerate(files)}
    if plan.gdb is not None:
        own[str(plan.gdb)] = "@gdb@"
    asked = command_line(kernel, plan, sockets, over_9p=True)
    tools = [Path(proc.find(tool)).resolve() for tool in ("vng", "qemu-system-x86_64")]
    key = cache.digest(
        _UNREAD.pattern,
        [swap(word, own) for word in asked if not word.startswith("--rodir=")],
        [(mount.guest, hosts.index(mount.host)) for mount in plan.mounts],
        [_stamp(path) for path in (*tools, *(place.expanduser() for place in _VNG_CONF))],
        os.access("/dev/kvm", os.R_OK | os.W_OK),
    )
    memo = cache.root() / "toolchain" / key
    composed = cache.read_json(memo)
    cache.touch(memo)
    if composed is None:
        composed = [swap(word, own) for word in _compose(asked)]
        cache.write_json(memo, composed)
    return [swap(word, {theirs: ours for ours, theirs in own.items()}) for word in composed]


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes with a file's content; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def swap(word: str, texts: dict[str, str]) -> str:
    """`word` with each of these texts in another one's place."""
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
    words = [re.sub(r"path=[^,]*/virtme_ret\w+", "path=/dev/null", word) for word in words]
    line = words.index("-append") + 1
    return [*words[:line], _UNREAD.sub("", words[line]), *words[line + 1 :]]


@contextlib.contextmanager
def boot(kernel: Kernel, plan: BootPlan, directory: Path) -> Iterator[Session]:
    """Boot `kernel`, wait for its agent, and take the guest down at the end of the block.

    Writes console.log and qemu.cmd into `directory`. Raises BootError when no agent answers by
    the deadline, HostError when vng or QEMU is missing.
    """
    qemu.check_image(kernel.image)
    timeout_s = plan.spec.boot_timeout_s
    with qemu.started(lambda place: composed(kernel, plan, place), directory, timeout_s) as running:
        guest = Session(running, plan, kernel.vmlinux)
        guest.greet(plan)
        guest.scratch = disk.find(guest, plan.drives)
        yield guest
