# SPDX-License-Identifier: GPL-2.0-only
"""The threads of a worker, as tasks take them."""

import threading
import time

import pytest

from harness.executors.remote import _Room


class Taker:
    """Somebody who wants some of two threads, and has them until told."""

    def __init__(self, room: _Room, wanted: int) -> None:
        self.has, self.over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._take, args=(room, wanted), daemon=True)
        self._thread.start()
        time.sleep(0.05)  # they come in this order

    def _take(self, room: _Room, wanted: int) -> None:
        with room.for_task(2, wanted):
            self.has.set()
            assert self.over.wait(30)

    def end(self) -> None:
        self.over.set()
        self._thread.join(30)


def test_who_wants_all_waits_for_the_others_and_is_not_passed() -> None:
    room = _Room()
    one, both, other = Taker(room, 1), Taker(room, 2), Taker(room, 1)
    assert one.has.is_set() and not both.has.is_set() and not other.has.is_set()
    one.end()
    assert both.has.wait(30) and not other.has.wait(0.1)
    both.end()
    assert other.has.wait(30)
    other.end()


def test_more_than_there_is_is_all_there_is() -> None:
    room = _Room()
    with room.for_task(2, 64):
        assert not Taker(room, 1).has.wait(0.1)


def test_an_error_gives_the_room_back() -> None:
    room = _Room()
    with pytest.raises(ValueError), room.for_task(2, 2):
        raise ValueError
    with room.for_task(2, 2):
        pass
