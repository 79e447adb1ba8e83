"""One exchange over a connection: a single deadline, early answers, and when a connection is used again.

urllib3's connections are told these things by a class in front of theirs, its pools and proxies included.
"""

from __future__ import annotations

import http.client
import math
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, ClassVar

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError
from urllib3.util import wait_for_read

from smartico_sync.delivery.usual_head import UsualHead, usual_head

if TYPE_CHECKING:
    from urllib3.response import HTTPResponse

__all__ = ["SOCKET_OPTIONS", "Exchange", "TimedSocket", "tls_context"]

MOST_ANSWER_BYTES = 4_000_000  # per-event errors of a full batch fit; nothing endless does
IDLE_S = 25.0  # NAT tables and load balancers forget a silent connection after 30 s or more, and tell nobody
AGE_S = 300.0  # a connection follows its name to another address within five minutes
KEEP_ALIVE_S = 15  # a dead peer is noticed by the kernel in half a minute, also while an answer is waited for
# A front end may say so by the head alone, and never read the body.
UNREAD = frozenset({401, 403, 408, 411, 413, 414, 417, 421, 431})
SMALL_BYTES = 16_384  # of a body that is copied behind its head: less than a second call of the system costs
GRACE_S = 1.0  # to read an answer that is there when nothing more can be written
# A status, a header, what continues one, or the end.
HEAD_LINE = re.compile(rb"HTTP/|[!#-'*+.0-9A-Z^-z|~-]+[ \t]*:|[ \t]|\r?\n|$")
SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_S // 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class TimedSocket(socket.socket):
    """Everything that is read and written ends by `until`, however slowly bytes drip; `allowance` bytes at most are read.

    TimeoutError after `until` (steady clock), OSError beyond `allowance`. Until the first exchange the usual timeout counts.
    """

    until = math.inf
    allowance = math.inf

    def begin(self, seconds: float) -> None:
        """Start an exchange."""
        self.until, self.allowance = time.monotonic() + seconds, MOST_ANSWER_BYTES

    def limit_wait(self) -> None:
        """Give the next call the time that is left."""
        if self.until < math.inf:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the exchange takes too long")
            self.settimeout(left)

    def took(self, count: int) -> int:
        """Count what was read."""
        self.allowance -= count
        if self.allowance < 0:
            raise OSError("longer than any answer")
        return count

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As `socket.recv`."""
        self.limit_wait()
        data = super().recv(bufsize, flags)
        self.took(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `socket.recv_into`."""
        self.limit_wait()
        return self.took(super().recv_into(buffer, nbytes, flags))

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As `socket.send`."""
        self.limit_wait()
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As `socket.sendall`."""
        self.limit_wait()
        return super().sendall(data, flags)


class TimedTlsSocket(TimedSocket, ssl.SSLSocket):  # type: ignore[misc] # the stubs name the same arguments otherwise
    """The same over TLS."""


def tls_context() -> ssl.SSLContext:
    """Verifies by the machine's trust store (or SSL_CERT_FILE, SSL_CERT_DIR)."""
    context = ssl.create_default_context()
    context.sslsocket_class = TimedTlsSocket
    return context


class FinalAnswer(http.client.HTTPResponse):
    """An answer whose interim ones (100 to 199) are skipped. HTTPException for 101: nobody asked for another protocol."""

    def begin(self) -> None:
        """Read the head."""
        begun: object = self.headers  # http.client begins once more after an interim answer
        if begun is None and (found := usual_head(self.fp)):
            self.take(found)
            return
        stream: Any = self.fp
        self.fp = Head(stream)  # type: ignore[assignment] # all that is asked of it is a line
        try:
            super().begin()
            while 100 <= self.status < 200:
                if self.status == http.client.SWITCHING_PROTOCOLS:
                    raise http.client.HTTPException("HTTP 101")
                self.headers = None  # type: ignore[assignment] # else the next head is not looked at
                super().begin()
        finally:
            if self.fp is not None:  # else it is closed: what came is no answer
                self.fp = stream

    def take(self, head: UsualHead) -> None:
        """The head was read: have it as `begin` of http.client has it."""
        self.status = self.code = head.status
        self.version, self.reason = 11, head.reason
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.headers:
            self.headers[name] = value
        self.headers.set_payload("")
        self.chunked, self.chunk_left = False, None
        self.length, self.will_close = head.length, False


class Head:
    """The lines of a head without those that are no header: after one of them, http.client would take none of the others.

    The first line is as it came: one of another protocol is told as such.
    """

    def __init__(self, stream: Any) -> None:
        self.stream, self.begun = stream, False

    def readline(self, limit: int) -> bytes:
        """The next line that says something."""
        while True:
            line: bytes = self.stream.readline(limit)
            if HEAD_LINE.match(line) or not self.begun:
                self.begun = True
                return line

    def close(self) -> None:
        """Close what is read from; http.client does so with an answer that is none."""
        self.stream.close()


class Exchange(HTTPConnection):
    """In front of one of urllib3's connection classes. An exchange takes `seconds` at most once connected."""

    seconds: ClassVar[float]
    response_class = FinalAnswer
    born = used = 0.0
    whole = True
    together: list[bytes] | None = None

    def _new_conn(self) -> TimedSocket:
        connected = TimedSocket(fileno=super()._new_conn().detach())
        connected.settimeout(self.timeout)
        connected.begin(self.timeout or self.seconds)  # a proxy may have to be talked to first
        self.born = self.used = time.monotonic()
        self.whole = True
        return connected

    def connect(self) -> None:
        """Connect, through a proxy if there is one. ConnectTimeoutError whichever part of it takes too long."""
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "nobody answers in time") from error

    @property
    def is_connected(self) -> bool:
        """Whether the next request may use the connection: neither old nor long idle, and nothing is left on it."""
        now = time.monotonic()
        fresh = now - self.used < IDLE_S and now - self.born < AGE_S
        return self.whole and fresh and super().is_connected

    def send(self, data: Any) -> None:
        """Write something, or keep it until the whole of a small request is there: one packet, and one call of the system."""
        if self.together is None:
            super().send(data)
        else:
            self.together.append(data)

    def request(self, *arguments: Any, **more: Any) -> None:
        """Write a request. Whoever answers before it is written (413, 401) may close: the answer that is there is read."""
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        timed: TimedSocket = getattr(sock, "socket", sock)  # through a proxy there may be TLS inside TLS
        timed.begin(self.seconds)
        self.together = [] if len(more.get("body") or b"") <= SMALL_BYTES else None
        try:
            super().request(*arguments, **more)
            if self.together:
                super().send(b"".join(self.together))
        except OSError:
            self.whole = False
            if self.sock is None or not wait_for_read(self.sock, 0):
                raise
            timed.until = max(timed.until, time.monotonic() + GRACE_S)
        finally:
            self.together = None

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3
        """Read the head of the answer."""
        answer = super().getresponse()
        self.used = time.monotonic()
        if answer.status in UNREAD or answer.status >= 500:
            self.whole = False
        return answer
