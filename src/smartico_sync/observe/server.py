"""A small HTTP server for monitoring: few connections, each for a short time, and only for those who mean it."""

from __future__ import annotations

import hmac
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Literal

import structlog
from msgspec import Struct

from smartico_sync.errors import Unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Access", "Answer", "Server", "listening"]

MOST_CONNECTIONS = 16  # monitoring, an operator and a load balancer; each costs a thread
SILENCE_S = 5.0  # for the next piece of a request, or for a reader to take one of an answer
LONGEST_S = 15.0  # for a request and its answer
SECURE = {
    # The page's own script and style, the answers it asks for, and the icon that it carries itself: nothing from anywhere else.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

log = structlog.get_logger()

Answer = tuple[int, str, bytes]  # status, content type, body
Reader = Literal["known", "anybody"]  # who has the token where one is set, and who has not


class Access(Struct, frozen=True):
    """Who may ask.

    `hosts` are names by which the endpoint may be called; addresses, `localhost` and names without a dot always may. Any other may be the
    name of a web page that was made to lead here, so that a browser reads the status for it. `token` returns the bearer token, empty
    when none is needed.
    """

    hosts: frozenset[str] = frozenset()
    token: Callable[[], str] = lambda: ""

    def called(self, host: str) -> bool:
        """Whether the endpoint may be called by this Host header."""
        name = host[1 : host.find("]")] if host.startswith("[") else host.rpartition(":")[0] or host
        name = name.lower().rstrip(".")
        return "." not in name or name.endswith(".localhost") or name in self.hosts or is_address(name)

    def reader(self, authorization: str) -> Reader:
        """Who sends this Authorization header."""
        token = self.token()
        scheme, _, given = authorization.partition(" ")
        fits = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
        return "known" if not token or (scheme.lower() == "bearer" and fits) else "anybody"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version = "smartico-sync"
    sys_version = ""
    timeout = SILENCE_S

    def do_GET(self) -> None:
        """Answer with what is known now."""
        status, kind, body = self.answer()
        self.send_response(status)
        more = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        for name, value in {**SECURE, **more, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def answer(self) -> Answer:
        """The answer, or why there is none."""
        access = self.server.access
        if not all(access.called(host) for host in self.headers.get_all("Host", [])):
            told = b"nobody here has this name; if it is right, add it to `hosts:` under `health:` in views.yaml\n"
            return 421, "text/plain", told
        return self.server.answer(self.path.split("?")[0], access.reader(self.headers.get("Authorization", "")))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: scrapes are no news."""


class Server(ThreadingHTTPServer):
    """Answers with `answer(path, reader)` in threads that never keep the process alive.

    When more than MOST_CONNECTIONS are open the oldest goes: those who say nothing never keep out who asks.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, place: tuple[str, int], answer: Callable[[str, Reader], Answer], access: Access) -> None:
        """Listen. OSError when that cannot be."""
        host, port = place
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of the wildcards the one of IPv4 goes first, as ever; `[::]` takes both.
        self.address_family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        self.answer, self.access = answer, access
        self._lock = threading.Lock()
        self._open: dict[Any, float] = {}
        super().__init__(address, Handler)  # type: ignore[arg-type] # an IPv6 address has four parts

    def server_bind(self) -> None:
        """Bind, without looking up what this machine is called: a name server may be down."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread."""
        with self._lock:
            while len(self._open) >= MOST_CONNECTIONS:
                self._end(next(iter(self._open)))
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Called several times a second: end what takes too long, however slowly bytes drip."""
        with self._lock:
            for request, since in list(self._open.items()):
                if time.monotonic() - since > LONGEST_S:
                    self._end(request)

    def _end(self, request: Any) -> None:
        """Its thread finds the connection closed."""
        del self._open[request]
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def shutdown_request(self, request: Any) -> None:
        """A connection is done with."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """Somebody who went away is no news; a mistake of ours is told by its type, without a traceback."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            log.error("endpoint", reason=Unexpected(error).message)


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def listening(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 address stands in brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
