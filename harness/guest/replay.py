# SPDX-License-Identifier: GPL-2.0-only
"""A guest from a file: it answers what a real one answered before, for tests without a VM.

The file is JSON lines: what the guest was, then a line per exchange, each with what was asked and
what came of it. Bytes are text in ISO 8859-1, so that nothing is lost and a person can read them.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import StageError
from harness.guest import Guest
from harness.model import Command, CommandResult, Loss, Residue, Splat, splat_of

_ENCODING = "latin-1"


class Recorder:
    """The guest within, and a record of all that is asked of it in `file`."""

    def __init__(self, guest: Guest, file: Path) -> None:
        self._guest = guest
        self._file = file
        self.release, self.slowness = guest.release, guest.slowness
        self.accel, self.scratch = guest.accel, guest.scratch
        about = {name: getattr(guest, name) for name in ("release", "slowness", "accel", "scratch")}
        file.write_text(json.dumps(about) + "\n")

    @property
    def loss(self) -> Loss | None:
        """See harness.guest.Guest."""
        return self._guest.loss

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """See harness.guest.Guest."""
        ended = self._guest.run(command, on_output)
        result = {**asdict(ended), "output": ended.output.decode(_ENCODING)}
        self._add({"argv": command.argv, "result": result, "loss": self.loss})
        return ended

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        """See harness.guest.Guest."""
        return self._noted({"read": path}, lambda: self._guest.read_file(path, timeout_s))

    def find_leaks(self) -> bytes:
        """See harness.guest.Guest."""
        return self._noted({"leaks": ""}, self._guest.find_leaks)

    def stray_splats(self) -> tuple[Splat, ...]:
        """See harness.guest.Guest."""
        return self._guest.stray_splats()

    def abort(self) -> None:
        """See harness.guest.Guest."""
        self._guest.abort()

    def _noted(self, asked: dict[str, Any], ask: Callable[[], bytes]) -> bytes:
        try:
            data = ask()
        except StageError as error:
            self._add({**asked, "error": error.message})
            raise
        self._add({**asked, "data": data.decode(_ENCODING)})
        return data

    def _add(self, exchange: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(exchange) + "\n")


class Replay:
    """Answers in the order of the record. StageError for what was not asked then."""

    def __init__(self, file: Path) -> None:
        about, *self._exchanges = (json.loads(line) for line in file.read_text().splitlines())
        self._file = file
        self.release = str(about["release"])
        self.slowness = float(about["slowness"])
        self.accel = str(about["accel"])
        self.scratch: dict[str, str] = about["scratch"]
        self.loss: Loss | None = None

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """See harness.guest.Guest."""
        exchange = self._next("argv", list(command.argv))
        told = exchange["result"]
        told |= {"loss": Loss(told["loss"]) if told["loss"] else None}
        told |= {"output": told["output"].encode(_ENCODING)}
        told |= {"residue": Residue(**told.get("residue", {}))}
        told |= {"splats": tuple(splat_of(one) for one in told["splats"])}
        told |= {"autopsy": tuple(told.get("autopsy", ()))}
        self.loss = Loss(exchange["loss"]) if exchange["loss"] else None
        ended = CommandResult(**told)
        if on_output is not None and ended.output:
            on_output(ended.output)
        return ended

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        """See harness.guest.Guest."""
        return self._told("read", path)

    def find_leaks(self) -> bytes:
        """See harness.guest.Guest."""
        return self._told("leaks", "")

    def stray_splats(self) -> tuple[Splat, ...]:
        """None: the record has what was asked, no console."""
        return ()

    def abort(self) -> None:
        """It is lost from now on."""
        self.loss = Loss.QEMU

    def _told(self, kind: str, asked: str) -> bytes:
        exchange = self._next(kind, asked)
        if "error" in exchange:
            raise StageError(exchange["error"])
        return str(exchange["data"]).encode(_ENCODING)

    def _next(self, kind: str, asked: object) -> dict[str, Any]:
        if not self._exchanges or self._exchanges[0].get(kind) != asked:
            raise StageError(f"{self._file} has no answer to {asked} at this place")
        exchange: dict[str, Any] = self._exchanges.pop(0)
        return exchange
