"""Connections to the ingest API: httpx's seam over urllib3's pool.

A request body is half a megabyte. httpx's own transport copies what is left of it each time the socket takes a piece (16 KB
with TLS), which cost more than all other work on an event; urllib3 writes it with `sendall`, from where it lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import urllib3
from urllib3 import exceptions

from smartico_sync.delivery.exchange import SOCKET_OPTIONS, Exchange, tls_context
from smartico_sync.delivery.failures import failure
from smartico_sync.delivery.proxies import pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.delivery.proxies import Proxy

__all__ = ["Transport"]

PIECE = 65_536  # bytes of an answer that are handed on at once
CONNECTIONS = 64  # kept alive, as many as `max_in_flight` may be
CONNECT_S = 10.0  # one address of a name may be dead: the next is tried while there is time


class Transport(httpx.BaseTransport):
    """Keeps connections to one origin alive, as many as requests were ever under way at once; thread-safe.

    `timeout_s` bounds the whole exchange after connecting: request, head, body and trailers, however slowly bytes drip.
    Certificates are verified by the machine's trust store, with and without a proxy. Raises NotConnected, TurnedAway, and what
    httpx's own transport raises when a connection breaks: ReadTimeout, ReadError, RemoteProtocolError.
    """

    def __init__(self, url: str, *, timeout_s: float, proxy: Proxy | None = None) -> None:
        self.timeout = urllib3.Timeout(connect=min(timeout_s, CONNECT_S), read=timeout_s)
        self.url, self.proxy = httpx.URL(url), proxy
        self.forwarded = proxy is not None and self.url.scheme == "http" and proxy.scheme in ("http", "https")
        secure = "https" in (self.url.scheme, proxy and proxy.scheme)
        self.pools = pools(proxy, tls_context() if secure else None, maxsize=CONNECTIONS, socket_options=SOCKET_OPTIONS)
        self.pools.pool_classes_by_scheme = {
            scheme: timed(pool, timeout_s) for scheme, pool in self.pools.pool_classes_by_scheme.items()
        }
        self.drop_idle()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer is read by whoever reads the response."""
        try:
            answer = self.pool.urlopen(
                request.method,
                str(request.url) if self.forwarded else request.url.raw_path.decode("ascii"),
                body=request.read(),
                headers={name.decode("ascii"): value.decode("ascii") for name, value in request.headers.raw},
                timeout=self.timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,  # a proxy's pool serves every host
                preload_content=False,
            )
        except exceptions.HTTPError as error:
            raise failure(error, request, self.proxy) from error
        # Header values are bytes of no known encoding; http.client reads each as one letter.
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=Body(answer, request))

    def drop_idle(self) -> None:
        """Use none of the present connections again."""
        self.pools.clear()
        self.pool = self.pools.connection_from_url(str(self.url))

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
            raise failure(error, self.request, None) from error

    def close(self) -> None:
        """Close the connection if something is left on it."""
        self.answer.close()


def timed(pool: type[urllib3.HTTPConnectionPool], seconds: float) -> type[urllib3.HTTPConnectionPool]:
    """The same kind of pool, of connections that keep to the deadline."""
    connection = type("Connection", (Exchange, pool.ConnectionCls), {"seconds": seconds})
    return type("Pool", (pool,), {"ConnectionCls": connection})
