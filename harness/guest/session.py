# SPDX-License-Identifier: GPL-2.0-only
"""A booted guest with our agent in it: commands, their ends, and how the guest was lost."""

import os
import selectors
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness import hang
from harness.console import Console
from harness.errors import BootError, HarnessError, QemuDiedError, SaveError, StageError
from harness.guest import BootPlan, autopsy, channel
from harness.guest.qemu import PORT_ID, Running
from harness.guest.qmp import Monitor, QmpEvents
from harness.model import Command, CommandResult, Loss, Residue, Splat

_OUTPUT_MAX = 4 << 20
_SERVE_S = 30.0  # for a server to be ready, at the host's own speed
_GRACE_S = 10.0  # for the agent to answer at once
_LATE_S = 3.0  # for a command to end after its deadline, where the agent has killed it
_HANG_S = 0.5  # for a kernel to say more after it has said that something hangs
_KILLED_S = 2.0  # for a command to end that was killed after a look at what it hangs in
_PROBE = 0xFFFFFFFF  # the number of a frame that is no command's
_ALIVE_S = 1.0  # for the agent of a guest that hangs to answer
_SCANS_S = 30.0  # for kmemleak to go through a guest's memory thrice, at the host's own speed
_LAST_WORDS_S = 2.0  # for the console to end after the agent's or QMP's socket did
_MARK_S = 1.0  # for the end marker to come through the console
_REPORT_S = 0.3  # for a splat that is still being printed beside the end marker


class Session:
    """A guest with an agent to greet. Single-threaded: every wait pumps console, agent and QMP.

    `woken`: it was restored, so that the agent has its port open already and waits.
    """

    def __init__(
        self, running: Running, plan: BootPlan, vmlinux: Path, *, woken: bool = False
    ) -> None:
        self._process = running.process
        self.keys, self.typed = running.keys, running.typed
        self.directory = running.directory
        self.vmlinux = vmlinux
        self.dumps = plan.spec.dump
        self.console = running.console
        self._agent = running.agent
        self._nonce = running.nonce
        self._reader = channel.FrameReader()
        self.monitor = Monitor(running.qmp, QmpEvents(PORT_ID, port_open=woken))
        self._frames: list[channel.Frame] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.console, selectors.EVENT_READ, self._read_console)
        self._selector.register(self._agent, selectors.EVENT_READ, self._read_agent)
        self._selector.register(self.monitor, selectors.EVENT_READ, self._read_qmp)
        self._ident = 0
        self._gone_at: float | None = None
        self._watched = False  # for what the kernel says of a hang
        self._hurry: float | None = None  # a deadline since it has said so
        self._alive = True
        self._inherited: tuple[Splat, ...] = ()
        self.server: tuple[str, ...] = ()
        self.accel = plan.accel
        self.release = ""
        self.slowness = 1.0
        self.scratch: dict[str, str] = {}

    def greet(self, plan: BootPlan) -> None:
        """Wait for the agent of a guest that boots. BootError when none answers in time."""
        hello = self._hello(plan, plan.spec.boot_timeout_s)
        self.slowness = max(1.0, hello.calibration_us / max(1, plan.calibration_us))
        self.wake(plan, timeout_s=_GRACE_S * self.slowness)

    def wake(self, plan: BootPlan, text: str = "", *, timeout_s: float) -> None:
        """Tell the guest the time and random numbers of its own, `text` the kernel's log, and
        have the agent prove that it is there. BootError when it does not."""
        line = f"{self._nonce}: {text}" if text else ""
        self._send(channel.pack_wake(channel.Watchdogs.of(self.slowness), line))
        self.release = self._hello(plan, timeout_s).release

    def _hello(self, plan: BootPlan, timeout_s: float) -> channel.Hello:
        frame = self._next_frame(time.monotonic() + timeout_s)
        if frame is None or frame.kind != channel.Kind.HELLO:
            tail = self.console.tail(60)
            silent = self.loss is None and not self.console.ended and plan.gdb is None
            seen = autopsy.perform(self, time.monotonic()) if silent else ()
            raise _boot_error(self.console, self.loss, tail, seen, timeout_s)
        return channel.parse_hello(frame.data)

    def calm(self, timeout_s: float) -> None:
        """Wait until the guest has little to do, as well as a guest can know. SaveError when it
        does not say so."""
        self._ident += 1
        self._send(channel.pack(channel.Kind.QUIET, self._ident))
        deadline = time.monotonic() + timeout_s
        while (frame := self._next_frame(deadline)) is not None:
            if frame.ident == self._ident:
                return
        raise SaveError(f"the guest does not come to rest: {self.loss or Loss.SILENT}")

    def inherit(self, splats: tuple[Splat, ...]) -> None:
        """Count what an earlier guest, which this one was saved from, reported outside of every
        command."""
        self._inherited = splats

    def abort(self) -> None:
        """See harness.guest.Guest."""
        self._process.kill()

    @property
    def loss(self) -> Loss | None:
        """See harness.guest.Guest."""
        if self.monitor.events.loss is not None:
            return self.monitor.events.loss
        return Loss.QEMU if self.console.ended else None

    def run(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """See harness.guest.Guest. The agent has its own clock for the command's timeout; the
        host gives it some seconds more and then calls the guest silent."""
        if not command.server:
            return self._exchange(channel.Kind.EXEC, command, on_output)[0]
        before = CommandResult(status=0)
        for _ in range(2):
            if self.server != command.server:
                before = self.serve(command, on_output)
                if before.status != 0:
                    return before
            ended, unserved = self._exchange(channel.Kind.CALL, command, on_output)
            if not unserved:
                break
            self.server = ()  # the last call was its end
        return replace(
            ended, output=before.output + ended.output, splats=before.splats + ended.splats
        )

    def serve(
        self, command: Command, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """Start the server of `command`; a status of 0 means that it is ready."""
        start = replace(
            command,
            argv=command.server,
            label=f"{command.label}: its server",
            timeout_s=_SERVE_S * self.slowness,
            fail_nth=0,
        )
        ended, _ = self._exchange(channel.Kind.SERVE, start, on_output)
        self.server = command.server if ended.status == 0 else ()
        return ended

    def _exchange(
        self, kind: channel.Kind, command: Command, on_output: Callable[[bytes], None] | None
    ) -> tuple[CommandResult, bool]:
        """How the command ended, and whether the agent found no server to do it."""
        self._ident += 1
        self._hurry = None
        started = time.monotonic()
        frame = channel.pack_command(kind, self._ident, command, nonce=self._nonce)
        deadline = started + command.timeout_s + _LATE_S
        output = _Output(on_output)
        end: channel.Exit | None = None
        seen: tuple[str, ...] = ()
        if self._send(frame):
            self._watched = not command.patient
            end = self._follow(output, deadline)
            if end is None and self.loss is None and not self.console.ended:
                seen, end = self._look_into(
                    output, min(deadline - _LATE_S, self._hurry or deadline)
                )
        self._watched, self._hurry = False, None
        if end is not None and end.unserved:
            return CommandResult(), True
        self._settle(self._ident, lost=end is None)
        result = CommandResult(
            output=bytes(output.kept),
            dropped=output.dropped,
            status=end.status if end and end.status >= 0 else None,
            signal=end.signal if end else 0,
            timed_out=bool(end and end.timed_out),
            leftovers=bool(end and end.leftovers),
            started=self._ident in self.console.marks,
            loss=None if end else self.loss or Loss.SILENT,
            duration_s=end.wall_s if end else time.monotonic() - started,
            user_s=end.user_s if end else 0.0,
            system_s=end.system_s if end else 0.0,
            max_rss_kib=end.max_rss_kib if end else 0,
            residue=end.residue if end else Residue(),
            fault_left=end.fault_left if end else None,
            splats=self.console.during(self._ident),
            autopsy=seen,
        )
        return result, False

    def _follow(self, output: "_Output", deadline: float) -> channel.Exit | None:
        """How the command ends, None where it does not until the deadline."""
        while (answer := self._next_frame(deadline)) is not None:
            if answer.ident != self._ident:
                continue
            if answer.kind == channel.Kind.EXIT:
                return channel.parse_exit(answer.data)
            if answer.kind == channel.Kind.OUTPUT:
                output.add(answer.data)
        return None

    def _look_into(
        self, output: "_Output", deadline: float
    ) -> tuple[tuple[str, ...], channel.Exit | None]:
        """What a command hangs in that does not end; how it ends when it is killed then, if it
        does. The guest is of no use any more."""
        self._watched = False
        seen = autopsy.perform(self, deadline)
        # However it went away meanwhile, that was our doing.
        self.monitor.events.loss = None
        self._send(channel.pack(channel.Kind.KILL, self._ident))
        end = self._follow(output, time.monotonic() + _KILLED_S)
        self.monitor.events.loss = Loss.STUCK if self._alive else Loss.SILENT
        return seen, end

    def answers(self) -> bool:
        """See harness.guest.autopsy.Patient."""
        self._send(channel.pack(channel.Kind.READ, _PROBE, b"/proc/uptime\0"))
        deadline = time.monotonic() + _ALIVE_S
        others: list[channel.Frame] = []
        self._alive = False
        while not self._alive and (frame := self._next_frame(deadline)) is not None:
            others.append(frame)
            self._alive = frame.ident == _PROBE
        self._frames = others + self._frames
        return self._alive

    def stray_splats(self) -> tuple[Splat, ...]:
        """See harness.guest.Guest."""
        return self._inherited + self.console.outside()

    def read_file(self, path: str, timeout_s: float = 30.0) -> bytes:
        """See harness.guest.Guest."""
        return self._ask(channel.Kind.READ, path, f"guest file {path}", timeout_s)

    def find_leaks(self) -> bytes:
        """See harness.guest.Guest."""
        timeout_s = _SCANS_S + _SCANS_S * self.slowness
        try:
            return self._ask(channel.Kind.LEAKS, self._nonce, "kmemleak", timeout_s)
        finally:
            self._settle(self._ident, lost=self.loss is not None)
            said = self.console.during(self._ident)  # its own line is in what it found
            more = [replace(splat, phase="between") for splat in said if splat.kind != "kmemleak"]
            self._inherited += tuple(more)

    def _ask(self, kind: channel.Kind, text: str, what: str, timeout_s: float) -> bytes:
        """What the agent answers. StageError when it says why not, or nothing."""
        self._ident += 1
        self._watched = False
        self._send(channel.pack(kind, self._ident, text.encode() + b"\0"))
        data = bytearray()
        deadline = time.monotonic() + timeout_s
        while (frame := self._next_frame(deadline)) is not None:
            if frame.ident != self._ident:
                continue
            if frame.kind == channel.Kind.OUTPUT:
                data += frame.data
                continue
            end = channel.parse_exit(frame.data)
            if end.signal:
                raise StageError(f"{what}: {os.strerror(end.signal)}")
            return bytes(data)
        raise StageError(f"{what}: {self.loss or Loss.SILENT}")

    def _send(self, frame: bytes) -> bool:
        try:
            self._agent.sendall(frame)
        except OSError:
            return False
        return True

    def _next_frame(self, deadline: float) -> channel.Frame | None:
        """The next frame, None at the deadline, once the kernel has said that the command hangs,
        or once the guest is gone for good."""
        while not self._frames:
            now = time.monotonic()
            if self._watched and self._hurry is not None:
                deadline = min(deadline, self._hurry)
            if self._gone_at is not None and (self.console.ended or now > self._gone_at):
                return None
            if now >= deadline or self.console.ended:
                return None
            self.pump(min(deadline, self._gone_at or deadline) - now)
            if self._gone_at is None and self.loss is not None:
                self._gone_at = time.monotonic() + _LAST_WORDS_S
        return self._frames.pop(0)

    def pump(self, timeout_s: float) -> None:
        """See harness.guest.autopsy.Patient."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            key.data()

    def _read_console(self) -> None:
        self.console.pump()
        if self._watched and self._hurry is None:
            said = self.console.during(self._ident)
            if any(splat.kind in hang.KINDS for splat in said):
                self._hurry = time.monotonic() + _HANG_S
        if self.console.ended:
            self._selector.unregister(self.console)

    def _read_agent(self) -> None:
        chunk = self._receive()
        if chunk:
            for frame in self._reader.feed(chunk):
                if frame.kind == channel.Kind.DIED:
                    self.monitor.events.lose(Loss.AGENT)
                else:
                    self._frames.append(frame)
        else:
            self._selector.unregister(self._agent)
            self._gone_at = time.monotonic() + _LAST_WORDS_S

    def _read_qmp(self) -> None:
        if not self.monitor.pump():
            self._selector.unregister(self.monitor)

    def _receive(self) -> bytes:
        try:
            return self._agent.recv(256 << 10)
        except OSError:
            return b""

    def _settle(self, ident: int, *, lost: bool) -> None:
        """Read the console up to the end marker, or to its end when the guest is lost, so that
        each splat is seen before its test is judged."""
        deadline = time.monotonic() + (_LAST_WORDS_S if lost else _MARK_S * self.slowness)
        while not self.console.over(ident) and time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())
        deadline = time.monotonic() + _REPORT_S
        while self.console.reporting and time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())


class _Output:
    """What a command has printed: its first bytes, and how many more there were."""

    def __init__(self, on_output: Callable[[bytes], None] | None) -> None:
        self._on_output = on_output
        self.kept = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        """Some more."""
        room = _OUTPUT_MAX - len(self.kept)
        self.kept += data[:room]
        self.dropped += max(0, len(data) - room)
        if self._on_output is not None:
            self._on_output(data)


def _boot_error(
    console: Console,
    loss: Loss | None,
    last: tuple[str, ...],
    seen: tuple[str, ...],
    timeout_s: float,
) -> HarnessError:
    """Why there is no agent. The fact that there is none comes from the process and the clock;
    the console's `last` lines, and what was `seen` of a guest that hangs, only serve to say it
    better."""
    tail = "\n".join(last)
    if "Unable to mount root fs" in tail or "No filesystem could mount root" in tail:
        why = "the kernel cannot mount its root (9p, virtiofs or ext4 is missing in it)"
    elif "KVM internal error" in tail or loss is Loss.KVM:
        why = str(Loss.KVM)
    elif fatal := next((s for s in console.splats if s.fatal), None):
        why = fatal.title
    elif loss is Loss.QEMU or (loss is None and console.ended):
        return QemuDiedError(
            f"the guest did not boot: {Loss.QEMU} before the agent answered",
            hint="`dmesg` may say why: a segmentation fault, out of memory",
            log=console.path,
            lines=last[-15:],
        )
    elif loss is not None:
        why = f"{loss} before the agent answered"
    elif not tail:
        why = f"nothing came to the console within {timeout_s:.0f} s"
    else:
        why = f"the agent did not answer within {timeout_s:.0f} s"
    why += f": {seen[0]}" if seen else ""
    lines = (*last[-15:], *seen)
    return BootError(f"the guest did not boot: {why}", log=console.path, lines=lines)
