# SPDX-License-Identifier: GPL-2.0-only
"""What QEMU says of a guest over QMP: how it ended, and whether the agent's port is open.

A few events of the QEMU Machine Protocol (docs/interop/qmp-spec.rst of QEMU) on a socket that
the guest's event loop reads; the qemu.qmp package would bring asyncio into it.
"""

import json
from typing import Any

from harness.model import Loss

CAPABILITIES = b'{"execute": "qmp_capabilities"}\n'
_SHUTDOWN = {
    "guest-reset": Loss.RESTART,
    "guest-panic": Loss.RESTART,
    "guest-shutdown": Loss.POWER_OFF,
}


class QmpEvents:
    """Bytes from QMP in any chunking -> `loss`, once the guest is lost.

    `loss` stays the first reason that was seen: an agent that closes its port before the guest
    powers off died by itself.
    """

    def __init__(self, port_id: str) -> None:
        self._port_id = port_id
        self._rest = b""
        self._port_was_open = False
        self.loss: Loss | None = None

    def feed(self, chunk: bytes) -> None:
        """Take in what the socket held."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                self._event(json.loads(line))

    def _event(self, message: dict[str, Any]) -> None:
        data = message.get("data", {})
        match message.get("event"):
            case "SHUTDOWN":
                self.lose(_SHUTDOWN.get(str(data.get("reason")), Loss.QEMU))
            case "RESET":
                self.lose(Loss.RESTART)
            case "BLOCK_IO_ERROR" if data.get("nospace"):
                self.lose(Loss.DISK)  # before the STOP that it means
            case "STOP":
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
