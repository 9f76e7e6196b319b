# SPDX-License-Identifier: GPL-2.0-only
"""Native AIO for tests in Python: the system calls themselves, as linux/aio_abi.h has them.

    with aio.Context() as context:
        request = aio.poll(file, aio.POLLIN)
        context.submit(request)
        ...
        assert context.event(request) & aio.POLLIN

A call that fails raises an OSError that names the call and the error.
"""

import ctypes
import errno
import functools
import os
import platform
import select
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

POLLIN = select.POLLIN
POLLPRI = select.POLLPRI
POLLOUT = select.POLLOUT
POLLERR = select.POLLERR
POLLHUP = select.POLLHUP
POLLRDHUP = select.POLLRDHUP

CMD_PREAD, CMD_PWRITE, CMD_FSYNC, CMD_FDSYNC, CMD_POLL = 0, 1, 2, 3, 5
FLAG_RESFD = 1

EVENT_TIMEOUT_S = 3.0
"""An event that is due has to come within this, however slow the guest is."""

# arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
_NUMBERS = {
    "x86_64": {
        "io_setup": 206,
        "io_destroy": 207,
        "io_getevents": 208,
        "io_submit": 209,
        "io_cancel": 210,
        "io_pgetevents": 333,
    },
    "aarch64": {
        "io_setup": 0,
        "io_destroy": 1,
        "io_submit": 2,
        "io_cancel": 3,
        "io_getevents": 4,
        "io_pgetevents": 292,
    },
}[platform.machine()]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_SIGSET_BYTES = 8  # sizeof(sigset_t) of the kernel


class HasFileno(Protocol):
    """An open file."""

    def fileno(self) -> int: ...


class _Iocb(ctypes.Structure):
    """struct iocb, little endian."""

    _fields_ = [
        ("aio_data", ctypes.c_uint64),
        ("aio_key", ctypes.c_uint32),
        ("aio_rw_flags", ctypes.c_int32),
        ("aio_lio_opcode", ctypes.c_uint16),
        ("aio_reqprio", ctypes.c_int16),
        ("aio_fildes", ctypes.c_uint32),
        ("aio_buf", ctypes.c_uint64),
        ("aio_nbytes", ctypes.c_uint64),
        ("aio_offset", ctypes.c_int64),
        ("aio_reserved2", ctypes.c_uint64),
        ("aio_flags", ctypes.c_uint32),
        ("aio_resfd", ctypes.c_uint32),
    ]


class _IoEvent(ctypes.Structure):
    """struct io_event."""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    ]


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_int64), ("tv_nsec", ctypes.c_int64)]


class _AioSigset(ctypes.Structure):
    """struct __aio_sigset."""

    _fields_ = [("sigmask", ctypes.c_void_p), ("sigsetsize", ctypes.c_size_t)]


class Iocb:
    """A request. `raw` is its struct iocb, for what no function here sets.

    The kernel names it by its address: keep it until its event is there.
    """

    def __init__(self, opcode: int, file: HasFileno | int) -> None:
        self.raw = _Iocb(aio_lio_opcode=opcode, aio_fildes=_number(file))
        self.raw.aio_data = ~self.address & 0xFFFFFFFFFFFFFFFF
        self._buffer: ctypes.Array[ctypes.c_char] | None = None

    @property
    def address(self) -> int:
        return ctypes.addressof(self.raw)

    @property
    def data(self) -> bytes:
        """What is in its buffer."""
        return b"" if self._buffer is None else self._buffer.raw

    def use_buffer(self, content: bytes, offset: int) -> Self:
        """Read to, or write from, a buffer that begins as `content`."""
        self._buffer = ctypes.create_string_buffer(content, len(content))
        self.raw.aio_buf = ctypes.addressof(self._buffer)
        self.raw.aio_nbytes = len(content)
        self.raw.aio_offset = offset
        return self


def _number(file: HasFileno | int) -> int:
    return (file if isinstance(file, int) else file.fileno()) & 0xFFFFFFFF


def poll(file: HasFileno | int, events: int, *, notify: HasFileno | int | None = None) -> Iocb:
    """A request that completes once `file` is ready for one of `events`, or hung up.

    `notify` is an eventfd that counts its completion.
    """
    request = Iocb(CMD_POLL, file)
    request.raw.aio_buf = events
    if notify is not None:
        request.raw.aio_flags = FLAG_RESFD
        request.raw.aio_resfd = _number(notify)
    return request


def pread(file: HasFileno | int, size: int, offset: int = 0) -> Iocb:
    """A read of `size` bytes, which are then in the request's `data`."""
    return Iocb(CMD_PREAD, file).use_buffer(bytes(size), offset)


def pwrite(file: HasFileno | int, data: bytes, offset: int = 0) -> Iocb:
    """A write of `data`."""
    return Iocb(CMD_PWRITE, file).use_buffer(data, offset)


def fsync(file: HasFileno | int, *, data_only: bool = False) -> Iocb:
    """An fsync(2), or with `data_only` an fdatasync(2)."""
    return Iocb(CMD_FDSYNC if data_only else CMD_FSYNC, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A completion: `address` is that of its request."""

    address: int
    data: int
    res: int
    res2: int


def _call(name: str, *arguments: object) -> int:
    """The result of a system call; an OSError whose text has its name and the error's."""
    __tracebackhide__ = True
    result = int(_libc.syscall(ctypes.c_long(_NUMBERS[name]), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        known = errno.errorcode.get(code, "unknown")
        raise OSError(code, f"{name}: {known} ({os.strerror(code)})")
    return result


class Context:
    """An AIO context, destroyed at the end of the `with` block."""

    def __init__(self, size: int = 16) -> None:
        __tracebackhide__ = True
        handle = ctypes.c_ulong(0)
        _call("io_setup", ctypes.c_uint(size), ctypes.byref(handle))
        self._handle = handle
        self._alive = True

    def submit(self, *requests: Iocb) -> int:
        """io_submit(): how many requests were taken, from the first on."""
        __tracebackhide__ = True
        pointers = (ctypes.c_void_p * len(requests))(*(each.address for each in requests))
        return _call("io_submit", self._handle, ctypes.c_long(len(requests)), pointers)

    def cancel(self, request: Iocb) -> None:
        """io_cancel() of a pending poll, which answers EINPROGRESS: its event will come."""
        __tracebackhide__ = True
        unused = _IoEvent()
        try:
            _call("io_cancel", self._handle, ctypes.c_void_p(request.address), ctypes.byref(unused))
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        else:
            raise AssertionError(
                "io_cancel gave 0: the event comes through the ring, or not at all"
            )

    def events(self, least: int = 0, timeout_s: float = 0.0, *, most: int = 64) -> list[Event]:
        """io_getevents(): at least `least` events, fewer only when the time is up."""
        __tracebackhide__ = True
        return self._get("io_getevents", least, most, timeout_s)

    def events_with_mask(
        self, mask: Iterable[int], least: int, timeout_s: float, *, most: int = 64
    ) -> list[Event]:
        """io_pgetevents(): the same with these signals, and no others, blocked meanwhile."""
        __tracebackhide__ = True
        bits = ctypes.c_uint64(sum(1 << number - 1 for number in set(map(int, mask))))
        sigset = _AioSigset(ctypes.addressof(bits), _SIGSET_BYTES)
        return self._get("io_pgetevents", least, most, timeout_s, ctypes.byref(sigset))

    def event(self, request: Iocb, timeout_s: float = EVENT_TIMEOUT_S) -> int:
        """The result of `request`, whose event is due and must be the next one."""
        __tracebackhide__ = True
        got = self.events(1, timeout_s, most=1)
        assert got, f"no event within {timeout_s:g} s"
        assert got[0].address == request.address, "event of a request we did not wait for"
        assert got[0].data == request.raw.aio_data and got[0].res2 == 0, f"event is {got[0]}"
        return got[0].res

    def results(self, requests: Sequence[Iocb], timeout_s: float = EVENT_TIMEOUT_S) -> list[int]:
        """The results of all `requests`, which are due: one event of each and no other."""
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout_s
        found: dict[int, int] = {}
        while len(found) < len(requests):
            got = self.events(1, max(0.0, deadline - time.monotonic()))
            assert got, f"{len(found)} of {len(requests)} events within {timeout_s:g} s"
            for each in got:
                assert each.address not in found, "two events of one request"
                found[each.address] = each.res
        assert set(found) == {each.address for each in requests}, "event of another request"
        return [found[each.address] for each in requests]

    @property
    def is_quiet(self) -> bool:
        """Nothing is due, and nothing comes."""
        settle()
        return not self.events()

    def destroy(self) -> None:
        """io_destroy(): pending requests are cancelled, their events are lost."""
        __tracebackhide__ = True
        self._alive = False
        _call("io_destroy", self._handle)

    def _get(
        self, name: str, least: int, most: int, timeout_s: float, *more: object
    ) -> list[Event]:
        __tracebackhide__ = True
        events = (_IoEvent * most)()
        limit = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
        number = _call(
            name,
            self._handle,
            ctypes.c_long(least),
            ctypes.c_long(most),
            events,
            ctypes.byref(limit),
            *more,
        )
        return [
            Event(address=one.obj, data=one.data, res=one.res, res2=one.res2)
            for one in events[:number]
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._alive:
            self.destroy()


@functools.cache
def _spare() -> tuple[Context, int]:
    """A context, and a descriptor that is never ready, for as long as the process lives."""
    return Context(1), os.pipe()[0]


def settle() -> None:
    """Wait until completions that the kernel has put off have been done, as far as can be seen.

    A cancelled poll is completed by a work item, which is queued behind those that are there, on
    each CPU in turn.
    """
    __tracebackhide__ = True
    context, never = _spare()
    every = os.sched_getaffinity(0)
    for cpu in every:
        os.sched_setaffinity(0, {cpu})
        request = poll(never, POLLIN)
        context.submit(request)
        context.cancel(request)
        context.event(request)
    os.sched_setaffinity(0, every)
