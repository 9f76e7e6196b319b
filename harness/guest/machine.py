# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's command line for guests with a root of our own: the machine that virtme-ng would start,
less what joins it to the host's files and terminal, which cannot be saved or taken elsewhere."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from harness.guest import BootPlan, disk, qemu, vng
from harness.guest.root import AGENT, REPRO, Root
from harness.model import Kernel

CAPABILITIES = [{"capability": "x-ignore-shared", "state": True}]
"""What QMP is told before a guest is saved or restored."""

NEEDED = ("CONFIG_BLOCK", "CONFIG_VIRTIO_BLK", "CONFIG_EXT4_FS", "CONFIG_OVERLAY_FS")
"""What its kernel must have built in."""

_ALONE = {"-no-reboot", "-nographic", "-enable-kvm", "-nodefaults", "-S", "-no-user-config"}
_VIRTME = re.compile(r"virtme[._]|rootfstype=|rootflags=|root=|init=|ro$|rw$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file that is the guest's memory; with `shared` what the guest writes goes into it.
    `incoming`: QEMU waits for a saved guest instead of booting."""

    file: Path
    shared: bool
    incoming: bool = False


def compose(
    kernel: Kernel, plan: BootPlan, sockets: Path, *, root: Root, memory: Memory
) -> list[str]:
    """The command line for `kernel` and `root`; `sockets` is the directory for the agent's and
    QMP's."""
    theirs = vng.composed(kernel, replace(plan, mounts=()), sockets, over_9p=True)
    program, *pairs = _pairs(theirs)
    ours = [pair for pair in _without_host(pairs) if pair[0] != "-append"]
    append = next(value for option, *values in pairs if option == "-append" for value in values)
    share = "on" if memory.shared else "off"
    size = f"{plan.spec.memory_mib}M"
    words = [*program, *(word for pair in ours for word in pair)]
    words += ["-append", _kernel_arguments(append, len(plan.drives))]
    words += ["-machine", "memory-backend=ram", "-object"]
    words += [f"memory-backend-file,id=ram,size={size},mem-path={memory.file},share={share}"]
    # Last, so that the scratch disks have the names that they have under vng.
    words += ["-drive", f"file={root.image},if=none,id=root,format=raw,read-only=on"]
    words += ["-device", "virtio-blk-pci,drive=root,serial=root"]
    return [*words, "-incoming", "defer"] if memory.incoming else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A machine that nobody of ours looks after (`harness repro`).

    `words` are QEMU's options, and all that they name is in the directory that it is started in:
    the kernel's image, root.img, command (what agent/repro.sh reads), scratch (the disk, where
    there is one), console.log and status, which it writes. The test's output is QEMU's own.
    `append` is the kernel's command line, `cpu` the processor that goes with the acceleration;
    which one that is, and so the last two, are not in the words.
    """

    words: tuple[str, ...]
    append: str
    cpu: str


def alone(kernel: Kernel, plan: BootPlan) -> Alone:
    """The machine for `kernel` that runs one test by itself; the files of the plan's drives are to
    be named as QEMU will see them."""
    sockets = Path("/sockets")
    theirs = vng.composed(kernel, replace(plan, mounts=()), sockets, over_9p=True)
    _, *pairs = _pairs(theirs)
    told = {pair[0]: pair[-1] for pair in pairs}
    ours = set(qemu.sockets_options(sockets).split()) - {"-device", "virtio-serial"}
    gone = {"-append", "-cpu", "-name", "-kernel", "-enable-kvm"}
    kept = [
        tuple(word.replace("path=/proc/self/fd/2", "path=console.log") for word in pair)
        for pair in _without_host(pairs)
        if pair[0] not in gone and pair[-1] not in ours and not pair[-1].startswith("accel=")
    ]
    words = ["-name", "harness-repro", "-kernel", kernel.boots]
    words += [word for pair in kept for word in pair]
    words += ports_options()
    for name, file in (("root", "root.img"), ("command", "command")):
        words += ["-drive", f"file={file},if=none,id={name},format=raw,read-only=on"]
        words += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
    append = _kernel_arguments(told["-append"], len(plan.drives))
    return Alone(
        words=tuple(words), append=f"{append} harness_shell={REPRO}", cpu=told.get("-cpu", "max")
    )


def ports_options() -> list[str]:
    """QEMU's options for what agent/repro.sh writes; the test's output is QEMU's own, for which
    its standard input must not end."""
    words = []
    for name, backend in (("output", "stdio,signal=off"), ("status", "file,path=status")):
        words += ["-chardev", f"{backend},id=harness-{name}"]
        words += ["-device", f"virtserialport,chardev=harness-{name},name=harness.{name}"]
    return words


def _pairs(words: list[str]) -> list[tuple[str, ...]]:
    """Options with their values; the program first."""
    pairs: list[tuple[str, ...]] = []
    for word in words:
        last = pairs[-1] if pairs else ()
        if len(last) == 1 and last[0].startswith("-") and last[0] not in _ALONE:
            pairs[-1] = (last[0], word)
        else:
            pairs.append((word,))
    return pairs


def _without_host(pairs: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Less shared directories, and virtme-ng's own ports with their controllers."""
    ports = [value for option, *values in pairs for value in values if "name=virtme." in value]
    chardevs = {match[1] for port in ports if (match := re.search(r"chardev=(\w+)", port))}
    kept: list[tuple[str, ...]] = []
    for pair in pairs:
        option, value = pair[0], pair[-1]
        chardev = re.search(r"\bid=(\w+)", value) if option == "-chardev" else None
        if option == "-fsdev" or value.startswith(("virtio-9p", "vhost-user-fs")):
            continue
        if value in ports:
            if kept and kept[-1] == ("-device", "virtio-serial-pci"):
                kept.pop()
            continue
        if chardev and chardev[1] in chardevs:
            continue
        kept.append(pair)
    return kept


def _kernel_arguments(append: str, disks: int) -> str:
    """virtme-ng's, less its own and the root's."""
    words = append.replace("\t", " ").partition(" -- ")[0].split(" ")
    kept = [word for word in words if word and not _VIRTME.match(word)]
    return " ".join([*kept, f"root={disk.device(disks)}", "rootfstype=ext4", "ro", f"init={AGENT}"])
