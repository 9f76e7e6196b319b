# SPDX-License-Identifier: GPL-2.0-only
"""Guests of their own that have the files of the machine which they run on: vng says how."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError
from harness.guest import BootPlan, machine, qemu, root, vng
from harness.model import Mount
from harness.repro.material import Material

_HERE = Path("/@here@")  # the directory that run.sh has made
_PLACE = "/run/harness/repro"  # of the agent and its like in the guest
_PROGRAM = "/run/harness/program"  # of a program of the host
_COMMAND_LINE = r"""# How vng (virtme-ng) would start QEMU with this machine's files as root.
[ "$ACCEL" = kvm ] && set -- || set -- --disable-kvm
line=$(%s ${APPEND:+--append "$APPEND"} "$@" --dry-run) || exit
# Of its ports only the console is of use: all else is run.sh's.
line=$(printf '%%s\n' "$line" | tail -n 1 | sed \
	-e 's/-chardev stdio,id=\([a-z_]*\)[^ ]*/-chardev null,id=\1/' \
	-e 's/\(-chardev file,id=console,path=\)[^ ]*/\1console.log/' \
	-e 's/-chardev file,id=\([a-z_]*\),path=\/proc\/self[^ ]*/-chardev null,id=\1/g' \
	-e 's/-chardev file,id=\(ret\),path=[^ ]*/-chardev null,id=\1/')
eval "exec $line"
"""


def place(made: Material) -> str:
    """Where the guest has the programs: their own place, or that of a program of the host."""
    return _PROGRAM if made.wanted.test.name.startswith("command/") else made.wanted.test.cwd


def fill(directory: Path, made: Material) -> None:
    """The agent and what goes with it, and program/. UsageError where that cannot be."""
    test = made.wanted.test
    if test.server:
        raise UsageError(
            f"{test.name} wants this machine's Python and root: it cannot be taken elsewhere"
        )
    (directory / "agent").mkdir()
    for path in (made.agent.program, root.program(root.REPRO)):
        shutil.copy2(path, directory / "agent")
    target = directory / "program"
    if not test.name.startswith("command/"):
        for mount in (*made.prepared.contents.mounts, *made.mounts):
            if Path(mount.guest).is_relative_to(test.cwd):
                inside = target / Path(mount.guest).relative_to(test.cwd)
                shutil.copytree(mount.host, inside, dirs_exist_ok=True)
        return
    target.mkdir()
    program = Path(test.argv[0])
    if program.is_absolute():
        if not program.is_file():
            raise UsageError(f"the program {program} is not there any more")
        shutil.copy2(program, target)


def argv(made: Material) -> tuple[str, ...]:
    """The test's command line, in the guest."""
    test = made.wanted.test
    first = Path(test.argv[0])
    if test.name.startswith("command/") and first.is_absolute():
        return (f"{_PROGRAM}/{first.name}", *test.argv[1:])
    return test.argv


def command_line(made: Material, plan: BootPlan) -> str:
    """qemu.cmd: shell code that becomes QEMU."""
    sockets = Path("/sockets")
    mounts = (
        Mount(guest=place(made), host=_HERE / "program"),
        Mount(guest=_PLACE, host=_HERE / "agent"),
    )
    plan = replace(plan, mounts=mounts, agent=_HERE / "agent/agent", accel="kvm")
    words = vng.command_line(made.kernel, plan, sockets, over_9p=True)
    ports = " ".join(["", "-device", "virtio-serial", *machine.ports_options()])
    words = [word.replace(qemu.sockets_options(sockets), ports) for word in words]
    shell = f"harness_shell={_PLACE}/{Path(root.REPRO).name}"
    words[-2:-2] = ["--append", shell]
    image = str(made.kernel.image)
    shown = [_quoted(word.replace(image, f"{_HERE}/{made.kernel.boots}")) for word in words]
    return _COMMAND_LINE % " ".join(shown)


def _quoted(word: str) -> str:
    """A word for the shell, in which the directory is the current one."""
    parts = [shlex.quote(part) if part else "" for part in word.split(str(_HERE))]
    return '"$PWD"'.join(parts) or "''"
