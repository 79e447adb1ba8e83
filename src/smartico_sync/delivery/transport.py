"""Connections to the ingest API: httpx's seam over urllib3's pool.

A request body is half a megabyte. httpx's own transport copies what is left of it each time the socket takes a piece (16 KB
with TLS), which cost more than all other work on an event; urllib3 writes it with `sendall`, from where it lies.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING

import httpx
import urllib3
from urllib3 import exceptions

from smartico_sync.delivery.exchange import SOCKET_OPTIONS, Exchange, tls_context

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Transport"]

PIECE = 65_536  # bytes of an answer that are handed on at once
CONNECTIONS = 64  # kept alive, as many as `max_in_flight` may be
CONNECT_S = 10.0  # one address of a name may be dead: the next is tried while there is time


class Transport(httpx.BaseTransport):
    """Keeps connections to one origin alive, as many as requests were ever under way at once; thread-safe.

    `timeout_s` bounds the whole exchange after connecting: request, head, body and trailers, however slowly bytes drip.
    Raises what httpx's own transport raises: ConnectError, ConnectTimeout, ReadTimeout, ReadError, RemoteProtocolError.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.timeout = urllib3.Timeout(connect=min(timeout_s, CONNECT_S), read=timeout_s)
        tls = tls_context() if httpx.URL(url).scheme == "https" else None
        self.pools = urllib3.PoolManager(maxsize=CONNECTIONS, socket_options=SOCKET_OPTIONS, ssl_context=tls)
        self.pools.pool_classes_by_scheme = {
            scheme: timed(pool, timeout_s) for scheme, pool in self.pools.pool_classes_by_scheme.items()
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer is read by whoever reads the response."""
        try:
            answer = self.pools.urlopen(
                request.method,
                str(request.url),
                body=request.read(),
                headers={name.decode("ascii"): value.decode("ascii") for name, value in request.headers.raw},
                timeout=self.timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except exceptions.HTTPError as error:
            raise failure(error, request) from error
        # Header values are bytes of no known encoding; http.client reads each as one letter.
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=Body(answer, request))

    def drop_idle(self) -> None:
        """Use none of the present connections again."""
        self.pools.clear()

    def close(self) -> None:
        """Close what is idle."""
        self.pools.clear()


class Body(httpx.SyncByteStream):
    """The answer's body as it was sent; read to its end it gives the connection back."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, request: httpx.Request) -> None:
        self.answer, self.request = answer, request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.answer.stream(PIECE, decode_content=False)
        except exceptions.HTTPError as error:
            raise failure(error, self.request) from error

    def close(self) -> None:
        """Close the connection if something is left on it."""
        self.answer.close()


def timed(pool: type[urllib3.HTTPConnectionPool], seconds: float) -> type[urllib3.HTTPConnectionPool]:
    """The same kind of pool, of connections that keep to the deadline."""
    connection = type("Connection", (Exchange, pool.ConnectionCls), {"seconds": seconds})
    return type("Pool", (pool,), {"ConnectionCls": connection})


def failure(error: Exception, request: httpx.Request) -> httpx.TransportError:
    """What urllib3 raises, in httpx's words."""
    if isinstance(error, exceptions.ConnectTimeoutError):
        return httpx.ConnectTimeout("nobody answers in time", request=request)
    if isinstance(error, exceptions.NewConnectionError | exceptions.SSLError):
        return httpx.ConnectError("no connection", request=request)
    if isinstance(error, exceptions.TimeoutError) or within(error, TimeoutError):
        return httpx.ReadTimeout("no answer in time", request=request)
    if within(error, HTTPException) or not isinstance(error, exceptions.ProtocolError):
        return httpx.RemoteProtocolError("the answer is not HTTP", request=request)
    return httpx.ReadError("the connection broke", request=request)


def within(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error was made of one of a kind."""
    return isinstance(error, kind) or any(within(each, kind) for each in error.args if isinstance(each, BaseException))
