"""Why there is no answer: what urllib3 raises, in words an operator can act on."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING

import httpx
from urllib3 import exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.verdicts import Cause
    from smartico_sync.delivery.proxies import Proxy

__all__ = ["NotConnected", "TurnedAway", "failure"]

TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
DENIED = frozenset({401, 403, 407})  # of a proxy: trying again helps nobody
EXPIRED = frozenset({9, 10})  # OpenSSL's numbers: not valid yet, not valid any more
OTHER_HOST = frozenset({62, 64})
WORDS = {
    errno.ECONNREFUSED: "the connection is refused",
    errno.EHOSTUNREACH: "no route leads there",
    errno.ENETUNREACH: "no network leads there",
}


class NotConnected(httpx.ConnectError):
    """Nothing was sent. `cause`: what an operator has to look at."""

    def __init__(self, message: str, cause: Cause, request: httpx.Request) -> None:
        super().__init__(message, request=request)
        self.cause = cause


class TurnedAway(httpx.ProxyError):
    """The proxy rejected the request; `status` is its answer."""

    def __init__(self, status: int, request: httpx.Request) -> None:
        super().__init__(f"HTTP {status}", request=request)
        self.status = status


def failure(error: Exception, request: httpx.Request, proxy: Proxy | None) -> httpx.TransportError:
    """The error in httpx's words, with a reason in ours; it holds no secret."""
    host = f"{request.url.host}:{request.url.port or (443 if request.url.scheme == 'https' else 80)}"
    if isinstance(error, exceptions.ProxyError) and proxy is not None:
        refused = next((found for each in chain(error) if (found := TUNNEL.search(str(each)))), None)
        if refused is not None and int(refused[1]) in DENIED:
            return TurnedAway(int(refused[1]), request)
        if refused is not None:
            return NotConnected(f"the proxy does not reach {host}: HTTP {refused[1]}", "network", request)
        why, _ = unconnected(error, f"{proxy.host}:{proxy.port}")
        return NotConnected(f"the proxy: {why}", "proxy", request)
    if isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError) and proxy is not None:
        why, _ = unconnected(error, f"{proxy.host}:{proxy.port}")
        return NotConnected(f"through the proxy {why}", "proxy", request)
    if isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError | exceptions.SSLError):
        return NotConnected(*unconnected(error, host), request)
    if isinstance(error, exceptions.LocationParseError):
        return NotConnected("the URL holds no name of a host", "url", request)
    if any(isinstance(each, TimeoutError | exceptions.TimeoutError) for each in chain(error)):
        return httpx.ReadTimeout("no answer in time", request=request)
    if any(isinstance(each, HTTPException) for each in chain(error)):
        return httpx.RemoteProtocolError("the answer is not HTTP", request=request)
    return httpx.ReadError("the connection broke before the answer", request=request)


def unconnected(error: Exception, host: str) -> tuple[str, Cause]:
    """Why no connection came about, and what to look at."""
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return certificate(each, host)
        if isinstance(each, ssl.SSLError):
            what = (each.reason or "the handshake failed").replace("_", " ").lower()
            return f"no TLS connection to {host}: {what}", "url"
        if isinstance(each, socket.gaierror):
            known = "is not known" if each.errno == socket.EAI_NONAME else "cannot be looked up"
            return f"the name {host.rpartition(':')[0]} {known}", "network"
        if isinstance(each, TimeoutError | exceptions.ConnectTimeoutError):
            return f"no connection to {host}: nobody answers in time", "network"
        if isinstance(each, OSError) and each.errno:
            return f"no connection to {host}: {WORDS.get(each.errno, (each.strerror or '').lower())}", "network"
    return f"no connection to {host}", "network"


def certificate(error: ssl.SSLCertVerificationError, host: str) -> tuple[str, Cause]:
    """What is wrong with a certificate."""
    if error.verify_code in EXPIRED:
        when = "is not valid yet" if error.verify_code == min(EXPIRED) else "has expired"
        return f"the certificate of {host} {when}", "certificate expired"
    if error.verify_code in OTHER_HOST:
        return f"the certificate of {host} is for another host", "certificate of another host"
    return f"the certificate of {host} is of an unknown authority: {error.verify_message}", "unknown authority"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The errors that an error was made of, the first cause first."""
    inner = [each for each in (error.__cause__, *error.args) if isinstance(each, BaseException)]
    for each in inner:
        yield from chain(each)
    yield error
