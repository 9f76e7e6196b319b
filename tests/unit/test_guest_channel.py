# SPDX-License-Identifier: GPL-2.0-only
import json
import struct

import pytest

from harness.errors import StageError
from harness.guest import channel, qmp
from harness.model import Command, Loss


def test_frames_survive_any_chunking() -> None:
    wire = channel.pack(channel.Kind.OUTPUT, 3, b"hello") + channel.pack(channel.Kind.EXIT, 4)
    for size in range(1, len(wire) + 1):
        reader = channel.FrameReader()
        frames = [f for at in range(0, len(wire), size) for f in reader.feed(wire[at : at + size])]
        assert [(f.kind, f.ident, f.data) for f in frames] == [(17, 3, b"hello"), (18, 4, b"")]


def test_a_frame_beyond_all_measure_is_refused() -> None:
    with pytest.raises(StageError, match="a frame of 4294967295 bytes"):
        channel.FrameReader().feed(b"\xff" * 9)


def test_the_label_is_one_line_of_the_kernels_log() -> None:
    command = Command(
        argv=("a", "b"), label="two\nlines", env=(("K", "v"),), cwd="/tmp", timeout_s=1.5
    )
    frame = channel.pack_command(channel.Kind.EXEC, 7, command, nonce="n")
    head = struct.unpack_from("<IIBII", frame)
    assert head[1:] == (7, channel.Kind.EXEC, 1500, 2)
    assert frame[17:].split(b"\0") == [b"n", b"two lines", b"/tmp", b"a", b"b", b"K=v", b""]


@pytest.mark.parametrize("data", [b"", b"1\n6.12\n", b"x\n6.12\n5\n", b"99\n6.12\n5\n", b"\xff\n"])
def test_no_greeting_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(StageError):
        channel.parse_hello(data)


def test_a_malformed_exit_is_refused() -> None:
    with pytest.raises(StageError):
        channel.parse_exit(b"short")


@pytest.mark.parametrize(("left", "told"), [(0, 0), (7, 7), ((1 << 64) - 1, None)])
def test_what_is_left_of_a_fault(left: int, told: int | None) -> None:
    report = struct.pack("<iiIQQQQ52xQ", 0, 0, 0, 1, 2, 3, 4, left)
    assert channel.parse_exit(report).fault_left == told


def test_a_fault_is_asked_for_in_the_environment() -> None:
    frames = [
        channel.pack_command(kind, 1, Command(argv=("a",), fail_nth=nth), nonce="n")
        for kind, nth in ((channel.Kind.EXEC, 3), (channel.Kind.CALL, 3), (channel.Kind.EXEC, 0))
    ]
    assert [b"HARNESS_FAIL_NTH=3\0" in frame for frame in frames] == [True, True, False]


def event(name: str, **data: object) -> bytes:
    return json.dumps({"event": name, "data": data}).encode() + b"\r\n"


def test_the_first_reason_of_a_loss_stays() -> None:
    events = qmp.QmpEvents("port")
    events.feed(event("VSERPORT_CHANGE", id="port", open=True))
    assert events.loss is None
    events.feed(event("VSERPORT_CHANGE", id="port", open=False))
    events.feed(event("SHUTDOWN", guest=True, reason="guest-shutdown"))
    assert events.loss is Loss.AGENT


@pytest.mark.parametrize(
    ("wire", "loss"),
    [
        (event("SHUTDOWN", guest=True, reason="guest-reset"), Loss.RESTART),
        (event("SHUTDOWN", guest=True, reason="guest-shutdown"), Loss.POWER_OFF),
        (event("SHUTDOWN", guest=False, reason="host-signal"), Loss.QEMU),
        (event("STOP"), Loss.KVM),
        (event("BLOCK_IO_ERROR", nospace=True, action="stop") + event("STOP"), Loss.DISK),
        (event("BLOCK_IO_ERROR", nospace=False, action="report"), None),
        (event("VSERPORT_CHANGE", id="other", open=False), None),
        (event("VSERPORT_CHANGE", id="port", open=False), None),
        (event("NIC_RX_FILTER_CHANGED"), None),
    ],
)
def test_what_qemu_says_of_an_end(wire: bytes, loss: Loss | None) -> None:
    events = qmp.QmpEvents("port")
    for at in range(len(wire)):
        events.feed(wire[at : at + 1])
    assert events.loss is loss
