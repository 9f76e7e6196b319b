# SPDX-License-Identifier: GPL-2.0-only
"""QMP: what QEMU says of a guest (how it ended, whether the agent's port is open), and the few
commands that save and restore one.

A part of the QEMU Machine Protocol (docs/interop/qmp-spec.rst of QEMU) on a socket that the
guest's event loop reads; the qemu.qmp package would bring asyncio into it.
"""

import json
import select
import socket
import time
from typing import Any

from harness.errors import QemuDiedError, StageError
from harness.model import Loss

_ANSWER_S = 10.0
_SHUTDOWN = {
    "guest-reset": Loss.RESTART,
    "guest-panic": Loss.RESTART,
    "guest-shutdown": Loss.POWER_OFF,
}


class QmpEvents:
    """Bytes from QMP in any chunking -> `loss`, once the guest is lost.

    `loss` stays the first reason that was seen: an agent that closes its port before the guest
    powers off died by itself. `port_open`: the agent has its port open from the start; `may_stop`:
    it is being saved, so that a stop is no loss.
    """

    def __init__(self, port_id: str, *, port_open: bool = False) -> None:
        self._port_id = port_id
        self._rest = b""
        self._port_was_open = port_open
        self.may_stop = False
        self.loss: Loss | None = None

    def feed(self, chunk: bytes) -> None:
        """Take in what the socket held."""
        for message in self.split(chunk):
            self.event(message)

    def split(self, chunk: bytes) -> list[dict[str, Any]]:
        """The messages that this chunk completes."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in whole if line.strip()]

    def event(self, message: dict[str, Any]) -> None:
        """Take in one message; only events say something."""
        data = message.get("data", {})
        match message.get("event"):
            case "SHUTDOWN":
                self.lose(_SHUTDOWN.get(str(data.get("reason")), Loss.QEMU))
            case "RESET":
                self.lose(Loss.RESTART)
            case "BLOCK_IO_ERROR" if data.get("nospace"):
                self.lose(Loss.DISK)  # before the STOP that it means
            case "STOP" if not self.may_stop:
                self.lose(Loss.KVM)  # nobody else stops a guest of ours
            case "VSERPORT_CHANGE" if data.get("id") == self._port_id:
                if data.get("open"):
                    self._port_was_open = True
                elif self._port_was_open:
                    self.lose(Loss.AGENT)

    def lose(self, loss: Loss) -> None:
        """The guest is lost, by QEMU's word or another's; the first reason stays."""
        if self.loss is None:
            self.loss = loss


class Monitor:
    """A connection to QMP: its `events`, and commands."""

    def __init__(self, sock: socket.socket, events: QmpEvents) -> None:
        self._socket = sock
        self.events = events
        self._socket.sendall(b'{"execute": "qmp_capabilities"}\n')

    def fileno(self) -> int:
        """For select()."""
        return self._socket.fileno()

    def pump(self) -> bool:
        """Take in what is there; False once QEMU has closed it."""
        chunk = self._receive()
        self.events.feed(chunk)
        return bool(chunk)

    def call(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers to a command. StageError when it refuses or does not answer,
        QemuDiedError when it has ended."""
        asked = {"execute": command, "arguments": arguments, "id": command}
        deadline = time.monotonic() + _ANSWER_S
        try:
            self._socket.sendall(json.dumps(asked).encode() + b"\n")
        except OSError:
            raise QemuDiedError(f"QEMU is gone before {command}") from None
        while select.select([self], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (chunk := self._receive()):
                raise QemuDiedError(f"QEMU ended at {command}")
            answers = []
            for message in self.events.split(chunk):
                self.events.event(message)
                answers += [message] if message.get("id") == command else []
            for answer in answers:
                if "error" in answer:
                    raise StageError(f"QEMU refuses {command}: {answer['error'].get('desc')}")
                return answer["return"]
        raise StageError(f"QEMU does not answer to {command} within {_ANSWER_S:.0f} s")

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(256 << 10)
        except OSError:
            return b""
