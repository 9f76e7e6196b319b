# SPDX-License-Identifier: GPL-2.0-only
"""A matrix that runs, in a browser: its report and what runs now, to read and nothing else.

Two paths are served, none of them a file's name. Whoever knows the token may read; without one,
who asks for a name of this machine's own loopback: a page elsewhere, whose name somebody lets
point here, does not.
"""

import contextlib
import hmac
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import markupsafe

from harness.errors import HostError, UsageError
from harness.matrix.live import Live
from harness.report import html

_HERE = Path(__file__).parent
_CONNECTIONS = 64  # at once: what a matrix has open itself matters more
_SILENT_S = 10.0  # until a client that says nothing is hung up on
_FAREWELL_S = 3.0
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,}")
_BODY = b"<body>\n"
_REFRESH = re.compile(rb'<meta http-equiv="refresh" content="[0-9]+">\n')


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to listen, as the socket module has it, and the token that each request needs, empty
    for none."""

    family: socket.AddressFamily
    address: tuple[Any, ...]
    token: str


def place(text: str, token: str) -> Place:
    """That of `127.0.0.1:8000`, `[::1]:0` or `:8000`. UsageError for what is no such place, and
    for one that others reach without a token."""
    host, _, port = text.rpartition(":")
    bare = re.sub(r"^\[(.*)\]$", r"\1", host)
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535 or (":" in host and bare == host):
        raise UsageError(f"--serve {text} is no place", hint="as 127.0.0.1:8000, [::1]:8000 or :0")
    if token and not _TOKEN.fullmatch(token):
        raise UsageError("the token is too short, or has odd characters", hint=_make_one())
    try:
        found = socket.getaddrinfo(bare or "127.0.0.1", int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--serve {text}: {error}") from None
    family, _, _, _, address = found[0]
    if not token and not _loopback(str(address[0])):
        raise UsageError(f"--serve {text} is for others too: it needs a token", hint=_make_one())
    return Place(family=family, address=address, token=token)


def _make_one() -> str:
    return "16 letters or digits: export HARNESS_TOKEN=$(openssl rand -hex 16)"


def _loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def serving(where: Place, live: Live) -> Iterator[str]:
    """A server for the length of a block; gives its URL. HostError where it cannot listen."""
    server = _Server(where, live)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.url
        live.finish(_FAREWELL_S)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """One thread for each connection, none of which is waited for."""

    request_queue_size = _CONNECTIONS

    def __init__(self, where: Place, live: Live) -> None:
        self.address_family = where.family
        self.live = live
        self.token = where.token
        self._open: set[socket.socket] = set()
        self._script = (_HERE / "live.js").read_text()
        self._template = html.template(_HERE / "live.html.j2")
        host, port = where.address[:2]
        try:
            super().__init__(where.address, _Answer)
        except OSError as error:
            raise HostError(
                f"cannot listen on {host} port {port}: {error.strerror}",
                hint="--serve :0 takes a port that is free",
            ) from None

    def server_bind(self) -> None:
        """As its parent's, which looks its own name up and may wait for that."""
        TCPServer.server_bind(self)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is, for people."""
        address = ipaddress.ip_address(str(self.server_address[0]))
        host = socket.gethostname() if address.is_unspecified else str(address)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """One more connection, as long as there are few."""
        if len(self._open) >= _CONNECTIONS:
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is done with."""
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Hang up on all who are still there."""
        super().server_close()
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a report that did: the matrix has nothing to say of it."""

    def page(self) -> tuple[bytes, str]:
        """The report of what has ended below what runs now, and its policy."""
        version, report = self.live.report()
        whole = html.script()
        own = markupsafe.escape(html.policy(whole))
        alone = f'<meta http-equiv="Content-Security-Policy" content="{own}">\n'.encode()
        head, found, rest = report.partition(_BODY)
        if alone not in head:  # none yet, or another harness's
            found = b""
        made = self._template.render(style=html.style(), script=self._script, version=version)
        page = made.encode()
        if found:
            # Not allowed to ask for anything it is as a file, nor does it load itself again here.
            head = _REFRESH.sub(b"", head.replace(alone, b""))
            block = page.partition(_BODY)[2].rpartition(b"</body>")[0]
            page = b"".join((head, _BODY, block, rest))
        policy = html.policy(self._script, whole)
        return page, f"{policy}; connect-src 'self'; frame-ancestors 'none'"


class _Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    timeout = _SILENT_S

    def __getattr__(self, name: str) -> Any:
        """Every method comes to one place, which knows what is allowed."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(parse_qsl(query))
        if self.server.token and not self._known(asked):
            self._send(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        elif not self.server.token and not self._for_us():
            self._send(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.command not in ("GET", "HEAD"):
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        elif self.server.token and "token" in asked:
            # Out of the address, which others may see.
            cookie = f"{self._cookie}={self.server.token}; HttpOnly; SameSite=Strict; Path=/"
            self._send(HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie})
        elif path == "/":
            page, policy = self.server.page()
            more = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
            self._send(HTTPStatus.OK, more, page)
        elif path == "/live.json":
            after = asked.get("after", "")
            number = int(after) if re.fullmatch("[0-9]{1,9}", after) else 0
            document = self.server.live.document(number, asked.get("report", ""))
            more = {"Content-Type": "application/json"}
            self._send(HTTPStatus.OK, more, json.dumps(document).encode())
        else:
            self._send(HTTPStatus.NOT_FOUND)

    @property
    def _cookie(self) -> str:
        """Its name: browsers give those of a host to all its ports."""
        return f"harness-{self.server.port}"

    def _known(self, asked: dict[str, str]) -> bool:
        """Whoever asks has the token."""
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        said = [asked.get("token", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
        for cookie in self.headers.get("Cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            said.append(value if name == self._cookie else "")
        token = self.server.token.encode()
        return any(hmac.compare_digest(one.encode(), token) for one in said)

    def _for_us(self) -> bool:
        with contextlib.suppress(ValueError):
            return _loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname or "")
        return False

    def _send(
        self, status: HTTPStatus, more: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        body = body or f"{status.value} {status.phrase}\n".encode()
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for name, value in {**headers, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """For what is no request at all."""
        self._send(HTTPStatus(code))

    def version_string(self) -> str:
        """Not which Python it is."""
        return "harness"

    def log_message(self, *_: Any) -> None:
        """Standard error is the matrix's."""
