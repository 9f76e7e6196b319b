# SPDX-License-Identifier: GPL-2.0-only
"""The floor: what QEMU itself takes, on a command line that the harness has written down.

No guard, no console that is read, no record: a boot to power-off, and a restore to the first
answer of the agent.
"""

import json
import re
import shlex
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

_EXEC, _WAKE, _EXIT = 1, 6, 18


def boot(qemu_cmd: Path, script: str = "poweroff -f") -> float:
    """Seconds from QEMU's start to its end; a shell as init runs `script` in the guest."""
    argv = _plain(shlex.split(qemu_cmd.read_text()))
    at = argv.index("-append") + 1
    argv[at] = re.sub(r"init=\S+", f'init=/bin/sh -- -c "{script}"', argv[at])
    with tempfile.TemporaryDirectory() as place:
        argv = [re.sub(r"/tmp/harness-\w+", place, word) for word in argv]
        started = time.monotonic()
        console = subprocess.run(
            argv,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        ).stdout
        if b"Power down" not in console:
            raise SystemExit(f"a bare boot failed: {console[-500:]!r}")
        return time.monotonic() - started


def _plain(argv: list[str]) -> list[str]:
    """Without a file for memory, and what waits for a saved guest."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word in ("-incoming", "-object"):
            next(words)
        elif word.startswith("memory-backend="):
            kept.pop()
        else:
            kept.append(word)
    return kept


def restore(qemu_cmd: Path, devices: Path) -> float:
    """Seconds from QEMU's start to the end of `true` in the guest that goes on."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as console:
        words = shlex.split(qemu_cmd.read_text())
        argv = [re.sub(r"/tmp/harness-\w+", place, word) for word in words]
        started = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            qmp, agent = _connect(f"{place}/qmp"), _connect(f"{place}/agent")
            ignored = [{"capability": "x-ignore-shared", "state": True}]
            for command, arguments in (
                ("qmp_capabilities", {}),
                ("migrate-set-capabilities", {"capabilities": ignored}),
                ("migrate-incoming", {"uri": f"exec:cat {devices}"}),
            ):
                asked = {"execute": command, "arguments": arguments}
                qmp.sendall(json.dumps(asked).encode() + b"\n")
            request = struct.pack("<II", 60000, 1) + b"nonce\0bench\0/\0true\0"
            agent.sendall(struct.pack("<IIB", len(request), 7, _EXEC) + request)
            _wait_for_exit(agent)
            return time.monotonic() - started
        finally:
            process.kill()
            process.wait()


def _connect(path: str) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)  # poll: QEMU makes the socket when it starts
            continue
        return sock


def _wait_for_exit(agent: socket.socket) -> None:
    data = b""
    while True:
        chunk = agent.recv(65536)
        if not chunk:
            raise SystemExit("a restored guest went away")
        data += chunk
        while len(data) >= 9:
            length, _, kind = struct.unpack_from("<IIB", data)
            if len(data) < 9 + length:
                break
            if kind == _EXIT:
                return
            data = data[9 + length :]
