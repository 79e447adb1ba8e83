"""Connections to the ingest API: httpx's seam, filled with the standard library's HTTP/1.1.

A request body is half a megabyte. httpx's own transport copies what is left of it each time the socket takes a piece (16 KB
with TLS), which cost more than all other work on an event; `sendall` writes it from where it lies.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["Transport"]

PIECE = 65_536  # bytes of an answer read at once, between two looks at the clock


class Transport(httpx.BaseTransport):
    """Keeps connections to one origin alive, as many as requests were ever under way at once; thread-safe.

    The `read` timeout of a request bounds the whole exchange after connecting, however slowly bytes drip. Raises what
    httpx's own transport raises: ConnectError, ConnectTimeout, ReadTimeout, WriteTimeout, ReadError, RemoteProtocolError.
    """

    def __init__(self, url: str) -> None:
        self.url = httpx.URL(url)
        self.tls = ssl.create_default_context() if self.url.scheme == "https" else None
        self.lock = threading.Lock()
        self.idle: list[http.client.HTTPConnection] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer is read by whoever reads the response."""
        timeouts = request.extensions.get("timeout", {})
        connection = self.take() or self.connect(request, timeouts.get("connect"))
        try:
            response = self.exchange(connection, request, Deadline(timeouts.get("read")))
        except BaseException:
            connection.close()
            raise
        return response

    def exchange(
        self, connection: http.client.HTTPConnection, request: httpx.Request, until: Deadline
    ) -> httpx.Response:
        """Write the request and read the head of the answer."""
        sent = False
        try:
            connection.sock.settimeout(until.left())
            connection.putrequest(
                request.method, request.url.raw_path.decode("ascii"), skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.raw:
                connection.putheader(name, value)
            connection.endheaders(request.read())
            sent = True
            connection.sock.settimeout(until.left())
            answer = connection.getresponse()
        except TimeoutError as error:
            kind = httpx.ReadTimeout if sent else httpx.WriteTimeout
            raise kind("no answer in time", request=request) from error
        except http.client.HTTPException as error:
            raise httpx.RemoteProtocolError("the answer is not HTTP", request=request) from error
        except (OSError, ValueError) as error:
            raise httpx.ReadError("the connection broke", request=request) from error
        return httpx.Response(
            answer.status, headers=answer.getheaders(), stream=Body(self, connection, answer, request, until)
        )

    def take(self) -> http.client.HTTPConnection | None:
        """A connection that is still alive: one that the server has closed has something to read."""
        while True:
            with self.lock:
                connection = self.idle.pop() if self.idle else None
            if connection is None:
                return None
            poll = select.poll()
            poll.register(connection.sock, select.POLLIN)
            if not poll.poll(0):
                return connection
            connection.close()

    def connect(self, request: httpx.Request, timeout: float | None) -> http.client.HTTPConnection:
        """A new connection."""
        host, port = self.url.host, self.url.port
        connection: http.client.HTTPConnection
        if self.tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.tls)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            connection.close()
            raise httpx.ConnectTimeout("nobody answered in time", request=request) from error
        except OSError as error:
            connection.close()
            raise httpx.ConnectError("nobody answers", request=request) from error
        return connection

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next request."""
        with self.lock:
            self.idle.append(connection)

    def close(self) -> None:
        """Close what is idle."""
        with self.lock:
            idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class Deadline:
    """A moment on the steady clock."""

    def __init__(self, seconds: float | None) -> None:
        self.until = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then. TimeoutError when it has passed."""
        if self.until is None:
            return None
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Body(httpx.SyncByteStream):
    """The answer's body; read to its end it gives the connection back."""

    def __init__(
        self,
        wire: Transport,
        connection: http.client.HTTPConnection,
        answer: http.client.HTTPResponse,
        request: httpx.Request,
        until: Deadline,
    ) -> None:
        self.wire, self.connection, self.answer = wire, connection, answer
        self.request, self.until = request, until
        self.read = "partly"

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                # An answer that ends with its connection has taken the socket away from it.
                if self.connection.sock is not None:
                    self.connection.sock.settimeout(self.until.left())
                piece = self.answer.read1(PIECE)
                if not piece:
                    break
                yield piece
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=self.request) from error
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise httpx.ReadError("the connection broke", request=self.request) from error
        self.read = "whole"

    def close(self) -> None:
        """Keep the connection when nothing is left on it."""
        kept = self.read == "whole" and not self.answer.will_close and self.connection.sock is not None
        with suppress(OSError):
            self.answer.close()
        if kept:
            self.wire.give_back(self.connection)
        else:
            self.connection.close()
