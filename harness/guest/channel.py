# SPDX-License-Identifier: GPL-2.0-only
"""Frames between the host and the agent (harness/agent/agent.c is the other side)."""

import os
import struct
import time
from dataclasses import dataclass, fields
from enum import IntEnum

from harness.errors import StageError
from harness.model import Command, Residue

PORT = "harness.agent"
VERSION = 6
_HEADER = struct.Struct("<IIB")
_WAKE = struct.Struct("<Q32sIII")
_EXIT = struct.Struct("<iiIQQQQ" + "QQQQiiiii" + "Q")  # struct left, fault_left
_FRAME_MAX = 16 << 20
_HUNG_S, _LOCKUP_S, _STALL_S = 10, 12, 18  # at the host's own speed; kernels say 120, 20 and 21
_SLOWEST = 3.0  # times that: a busy machine is not slow for ever
_TIMED_OUT = 1
_LEFTOVERS = 2
_NO_SERVER = 4
_NO_FAULT = (1 << 64) - 1
_FAULT = "HARNESS_FAIL_NTH"


class Kind(IntEnum):
    """Types of frames: below 16 from the host, from 16 on from the guest."""

    EXEC = 1
    KILL = 2
    READ = 3
    SERVE = 4
    CALL = 5
    WAKE = 6
    QUIET = 7
    LEAKS = 8
    HELLO = 16
    OUTPUT = 17
    EXIT = 18
    DIED = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame; `ident` is the number of the command that it belongs to."""

    kind: int
    ident: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The agent's first words: its version, `uname -r`, and its calibration in microseconds."""

    version: int
    release: str
    calibration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a command ended, times in seconds; for a file read `signal` is an errno.

    `unserved`: a call was not made, as the server it is for does not run (any more). `fault_left`
    is as in CommandResult.
    """

    status: int
    signal: int
    timed_out: bool
    leftovers: bool
    wall_s: float
    user_s: float
    system_s: float
    max_rss_kib: int
    unserved: bool = False
    residue: Residue = Residue()
    fault_left: int | None = None


class FrameReader:
    """Bytes in any chunking -> frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes; StageError when the stream is no stream of ours."""
        self._buffer += chunk
        frames = []
        while len(self._buffer) >= _HEADER.size:
            length, ident, kind = _HEADER.unpack_from(self._buffer)
            if length > _FRAME_MAX:
                raise StageError(f"the guest's agent sent a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            data = bytes(self._buffer[_HEADER.size : end])
            frames.append(Frame(kind=kind, ident=ident, data=data))
            del self._buffer[:end]
        return frames


def pack(kind: Kind, ident: int, data: bytes = b"") -> bytes:
    """One frame on the wire."""
    return _HEADER.pack(len(data), ident, kind) + data


def pack_command(kind: Kind, ident: int, command: Command, *, nonce: str) -> bytes:
    """The EXEC, SERVE or CALL frame for `command`; `nonce` marks its lines in the kernel's log."""
    strings = [
        nonce,
        " ".join(command.label.split()),
        command.cwd,
        *command.argv,
        *(f"{name}={value}" for name, value in command.env),
        *([f"{_FAULT}={command.fail_nth}"] if command.fail_nth else []),
    ]
    timeout_ms = min(int(command.timeout_s * 1000), 0xFFFFFFFF)
    head = struct.pack("<II", timeout_ms, len(command.argv))
    return pack(kind, ident, head + b"".join(s.encode() + b"\0" for s in strings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdogs:
    """After how many seconds a guest's kernel reports a task that is blocked, a processor that does
    not get on, an RCU grace period that does not end."""

    hung_s: int
    lockup_s: int
    stall_s: int

    @classmethod
    def of(cls, slowness: float) -> "Watchdogs":
        """For a guest that computes so many times slower than the host."""
        times = min(_SLOWEST, max(1.0, slowness))
        seconds = [round(one * times) for one in (_HUNG_S, _LOCKUP_S, _STALL_S)]
        return cls(hung_s=seconds[0], lockup_s=seconds[1], stall_s=seconds[2])


def pack_wake(watchdogs: Watchdogs, text: str = "") -> bytes:
    """The WAKE frame: what time it is, random bytes, what counts as a hang, and a line for the
    kernel's log, if any."""
    patience = (watchdogs.hung_s, watchdogs.lockup_s // 2, watchdogs.stall_s)
    head = _WAKE.pack(time.time_ns(), os.urandom(32), *patience)
    return pack(Kind.WAKE, 0, head + text.encode() + b"\0")


def parse_hello(data: bytes) -> Hello:
    """What the agent said first; StageError when it is not an agent of this version."""
    try:
        version, release, calibration = data.decode().split("\n")[:3]
        hello = Hello(version=int(version), release=release, calibration_us=int(calibration))
    except ValueError:
        raise StageError(f"the guest's agent says {data[:80]!r}, which is no greeting") from None
    if hello.version != VERSION:
        raise StageError(f"the guest's agent is version {hello.version}, not {VERSION}")
    return hello


def parse_exit(data: bytes) -> Exit:
    """The report at the end of a command."""
    try:
        status, signal, flags, wall, user, system, rss, *left, fault = _EXIT.unpack(data)
    except struct.error:
        raise StageError("the guest's agent sent a malformed exit report") from None
    return Exit(
        status=status,
        signal=signal,
        timed_out=bool(flags & _TIMED_OUT),
        leftovers=bool(flags & _LEFTOVERS),
        wall_s=wall / 1e6,
        user_s=user / 1e6,
        system_s=system / 1e6,
        max_rss_kib=rss,
        unserved=bool(flags & _NO_SERVER),
        residue=_residue(*left),
        fault_left=None if fault == _NO_FAULT else fault,
    )


def _residue(*left: int) -> Residue:
    """Its fields have the order of struct left."""
    names = (field.name for field in fields(Residue))
    return Residue(**dict(zip(names, left, strict=True)))
