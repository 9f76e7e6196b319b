# SPDX-License-Identifier: GPL-2.0-only
"""Whoever runs a matrix, joined to a Dask scheduler and harness's desk there."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import distributed

from harness import __version__
from harness.errors import HostError, UsageError
from harness.executors.desk import ANSWER_S, TOPIC, At, Desk

_CONNECT_S = 20.0


class Link:
    """A connection to the scheduler at `address`; `hear` is called, in a thread of Dask's, with
    what the desk tells of this matrix. HostError where there is no scheduler, or one that cannot
    have a desk of this version."""

    def __init__(self, address: str, hear: Callable[[Mapping[str, Any]], None]) -> None:
        check(address)
        self.address = address
        self.matrix = f"matrix-{secrets.token_hex(6)}"
        self.desk = At(self._call)
        self._hear = hear

    def __enter__(self) -> Self:
        try:
            asyncio.run(_reach(self.address))  # a Client that cannot is hard to be rid of
        except TypeError:  # of distributed.comm.tcp: no context for TLS
            raise HostError(
                f"{self.address} wants a certificate, and Dask's configuration names none",
                hint="docs/cluster.md has how to make one",
            ) from None
        except (OSError, TimeoutError, ValueError) as error:
            raise HostError(
                f"no Dask scheduler answers at {self.address}: {error}",
                hint="`dask scheduler` starts one; docs/cluster.md has TLS",
            ) from error
        self.client = distributed.Client(
            self.address, timeout=_CONNECT_S, set_as_default=False, name="harness"
        )
        try:
            self._have_desk()
            self.client.subscribe_topic(TOPIC, self._take)
        except BaseException:
            self.client.close(timeout=_CONNECT_S)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.client.status == "running":  # else the scheduler is gone
            with contextlib.suppress(Exception):
                self.desk.ask("leave", matrix=self.matrix)
                self.client.unsubscribe_topic(TOPIC)
        self.client.close(timeout=_CONNECT_S)

    def check(self) -> None:
        """HostError where the connection is lost: Dask has then given up all tasks."""
        if self.client.status != "running":
            raise self.lost()

    def lost(self) -> HostError:
        """The error for that."""
        return HostError(f"Dask's scheduler at {self.address} was lost")

    def _have_desk(self) -> None:
        hint = "start it anew, where this version of `harness[cluster]` is installed"
        try:
            self.client.register_plugin(Desk())
        except Exception as error:  # whatever it met over there
            why = f"{type(error).__name__}: {error}"
            raise HostError(
                f"the scheduler cannot have harness's part: {why}", hint=hint
            ) from error
        version = self.desk.ask("room", avoid=[])["version"]
        if version != __version__:
            raise HostError(f"the scheduler has harness {version}, not {__version__}", hint=hint)

    def _call(self, name: str, /, **about: Any) -> Any:
        handler = getattr(self.client.scheduler, name)
        return self.client.sync(handler, callback_timeout=ANSWER_S, **about)

    def _take(self, event: tuple[float, Mapping[str, Any]]) -> None:
        if event[1]["matrix"] == self.matrix:
            self._hear(event[1])


async def _reach(address: str) -> None:
    """Connect once, as a client."""
    secure = distributed.Security().get_connection_args("client")
    comm = await distributed.core.connect(address, timeout=_CONNECT_S / 2, **secure)
    await comm.close()


def check(address: str) -> None:
    """UsageError for what is no address of a scheduler."""
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise UsageError(f"--scheduler {address} is no address", hint="as tcp://host:8786")


def is_open(address: str) -> bool:
    """What goes there can be read and changed by others on the way."""
    parts = urlsplit(address)
    return parts.scheme != "tls" and parts.hostname not in ("localhost", "127.0.0.1", "::1")
