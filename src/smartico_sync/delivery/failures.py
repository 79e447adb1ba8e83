"""Why there is no answer: what urllib3 raises, in words an operator can act on."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING

import httpx
from urllib3 import exceptions

from smartico_sync.core.certificates import flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.verdicts import Cause
    from smartico_sync.delivery.proxies import Proxy

__all__ = ["NotConnected", "TurnedAway", "failure"]

TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
DENIED = frozenset({401, 403, 407})  # of a proxy: trying again helps nobody
# What a SOCKS proxy answers, by the numbers that PySocks begins its messages with: those of SOCKS 5 (RFC 1928) and of SOCKS 4.
SOCKS_ANSWER = re.compile(r"(0x[0-9a-f]{2}): ", re.IGNORECASE)
SOCKS_DENIED = {
    "0x02": "its rules do not allow it",
    "0x5c": "it cannot tell who we are",
    "0x5d": "it does not know the user",
}
SOCKS_WORDS = {
    "0x03": "no network leads there",
    "0x04": "no route leads there, or the name is not known",
    "0x05": "the connection is refused",
    "0x06": "nobody answers in time",
}
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
    """The proxy rejected the request, for a reason in words; `status` is its answer in HTTP, 0 for one that speaks SOCKS."""

    def __init__(self, reason: str, status: int, request: httpx.Request) -> None:
        super().__init__(reason, request=request)
        self.status = status


def failure(error: Exception, request: httpx.Request, proxy: Proxy | None) -> httpx.TransportError:
    """The error in httpx's words, with a reason in ours; it holds no secret."""
    host = f"{request.url.host}:{request.url.port or (443 if request.url.scheme == 'https' else 80)}"
    if isinstance(error, exceptions.ProxyError) and proxy is not None:
        refused = next((found for each in chain(error) if (found := TUNNEL.search(str(each)))), None)
        if refused is not None and int(refused[1]) in DENIED:
            return TurnedAway(f"HTTP {refused[1]}", int(refused[1]), request)
        if refused is not None:
            return NotConnected(f"the proxy does not reach {host}: HTTP {refused[1]}", "network", request)
        why, _ = unconnected(error, f"{proxy.host}:{proxy.port}")
        return NotConnected(f"the proxy: {why}", "proxy", request)
    if isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError) and proxy is not None:
        return by_socks(error, request, host, f"{proxy.host}:{proxy.port}")
    if isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError | exceptions.SSLError):
        return NotConnected(*unconnected(error, host), request)
    if isinstance(error, exceptions.LocationParseError):
        return NotConnected("the URL holds no name of a host", "url", request)
    if any(isinstance(each, TimeoutError | exceptions.TimeoutError) for each in chain(error)):
        return httpx.ReadTimeout("no answer in time", request=request)
    if any(isinstance(each, RemoteDisconnected) for each in chain(error)):
        return httpx.ReadError("the connection was closed without an answer", request=request)
    if any(isinstance(each, HTTPException) and not isinstance(each, IncompleteRead) for each in chain(error)):
        return httpx.RemoteProtocolError("the answer is not HTTP", request=request)
    return httpx.ReadError("the connection broke before the answer was complete", request=request)


def by_socks(error: Exception, request: httpx.Request, host: str, proxy: str) -> NotConnected | TurnedAway:
    """Why a SOCKS proxy, which is no part of HTTP, connects us to nobody."""
    for each in chain(error):
        if type(each).__name__ == "SOCKS5AuthError":
            return TurnedAway("it does not accept the login", 0, request)
        if answer := SOCKS_ANSWER.match(str(each)):
            number = answer[1].lower()
            if number in SOCKS_DENIED:
                return TurnedAway(SOCKS_DENIED[number], 0, request)
            return NotConnected(
                f"the proxy does not reach {host}: {SOCKS_WORDS.get(number, f'SOCKS {number}')}", "network", request
            )
    why, _ = unconnected(error, proxy)
    return NotConnected(f"the proxy: {why}", "proxy", request)


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
        late = isinstance(each, exceptions.ConnectTimeoutError) and not isinstance(each, exceptions.NewConnectionError)
        if late or isinstance(each, TimeoutError):
            return f"no connection to {host}: nobody answers in time", "network"
        if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE):
            return f"no connection to {host}: this process may open no more files", "descriptors"
        if isinstance(each, OSError) and each.errno:
            return f"no connection to {host}: {WORDS.get(each.errno, (each.strerror or '').lower())}", "network"
    return f"no connection to {host}", "network"


def certificate(error: ssl.SSLCertVerificationError, host: str) -> tuple[str, Cause]:
    """What is wrong with a certificate."""
    found = flaw(error)
    if found == "is of an unknown authority":
        return f"the certificate of {host} {found}: {error.verify_message}", "unknown authority"
    other = found == "is for another host"
    return f"the certificate of {host} {found}", "certificate of another host" if other else "certificate expired"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The errors that an error was made of, the first cause first."""
    # PySocks keeps what the socket said; urllib3 raises its own error while it handles that one, and names no cause.
    first = error.__cause__ or (error.__context__ if isinstance(error, exceptions.NewConnectionError) else None)
    inner = [
        each for each in (first, getattr(error, "socket_err", None), *error.args) if isinstance(each, BaseException)
    ]
    for each in inner:
        yield from chain(each)
    yield error
