# SPDX-License-Identifier: GPL-2.0-only
"""What every guest does alike, whichever way it was started; docs/guest.md promises it."""

import pytest

from harness.errors import StageError
from harness.guest import Guest
from harness.model import Command, Loss

# What a test may rely on: descriptors, mounts, network, environment, in words that do not change.
FACTS = """
for fd in 0 1 2; do readlink /proc/self/fd/$fd | sed "s/:.*//"; done
ls /proc/self/fd | wc -l
awk '{ print $2, $3 }' /proc/mounts | grep -E "^/(|proc|sys|dev|dev/pts|dev/shm|run|tmp) " | sort
[ -d /sys/kernel/debug/tracing ] || [ -d /sys/kernel/debug ] && echo debugfs
cat /sys/class/net/lo/flags
hostname; id -u; pwd; umask
env | grep -vE "^(_|SHLVL|OLDPWD|PWD)=" | sort
ulimit -n; ulimit -c
ls -l /dev/null /dev/ptmx | awk '{ print $1, $5, $6 }'
ls /run/harness/tests
"""


def check(guest: Guest) -> str:
    """Ask for everything once; returns the FACTS, which are the same in all guests. The guest is
    lost in the end."""
    ended = guest.run(shell("echo out; echo err >&2; exit 3"))
    assert (ended.output, ended.status, ended.signal) == (b"out\nerr\n", 3, 0)
    assert ended.started and ended.loss is None and not ended.timed_out
    assert (ended.residue.files, ended.residue.aio_nr, ended.residue.taint) == (0, 0, 0)
    with pytest.raises(StageError, match="kmemleak: No such file"):
        guest.find_leaks()
    ended = guest.run(shell("kill -SEGV $$"))
    assert (ended.status, ended.signal) == (None, 11)
    ended = guest.run(shell("sleep 100", timeout_s=1.0))
    assert ended.timed_out and ended.loss is None
    ended = guest.run(shell("sleep 100 & echo $A; pwd", cwd="/proc", env=(("A", "b"),)))
    assert ended.output == b"b\n/proc\n" and ended.leftovers
    assert guest.run(shell("exec no-such-program")).status == 127
    seen: list[bytes] = []
    many = guest.run(shell("head -c 300000 /dev/zero"), seen.append)
    assert many.output == bytes(300000) and b"".join(seen) == many.output
    assert guest.read_file("/proc/sys/kernel/ostype") == b"Linux\n"
    with pytest.raises(StageError, match="/no/such/file: No such file"):
        guest.read_file("/no/such/file")
    warned = guest.run(shell("echo '<4>harness is here' > /dev/kmsg; echo m > /dev/null"))
    assert warned.status == 0 and not warned.splats
    facts = guest.run(shell(FACTS)).output.decode()
    ended = guest.run(shell("echo c > /proc/sysrq-trigger"))
    assert ended.loss is Loss.RESTART and [splat.kind for splat in ended.splats] == ["panic"]
    assert guest.loss is Loss.RESTART
    assert guest.run(shell("true")).loss is Loss.RESTART, "what is lost stays lost"
    return facts


def shell(
    line: str,
    *,
    cwd: str = "/",
    timeout_s: float = 30.0,
    env: tuple[tuple[str, str], ...] = (),
) -> Command:
    """A command of a few words."""
    return Command(argv=("/bin/sh", "-c", line), cwd=cwd, timeout_s=timeout_s, env=env)
