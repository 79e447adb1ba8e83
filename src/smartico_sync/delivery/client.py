"""One HTTP request to the ingest API: an answer, or why there is none."""

from __future__ import annotations

import os
import re
import time
import zlib
from contextlib import closing
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from smartico_sync import __version__
from smartico_sync.core.verdicts import judge, of_the_api
from smartico_sync.delivery.proxies import proxy_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.verdicts import Cause, Outcome, Verdict
    from smartico_sync.delivery.token import Token
    from smartico_sync.delivery.transport import Transport

__all__ = ["Answer", "Client"]

MOST_ANSWER_BYTES = 4_000_000  # of an answer that was compressed; what comes over the wire is limited there
NOT_READ = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # by OpenSSL, whose variables count for everything here
GZIP_MAGIC = b"\x1f\x8b"  # no JSON begins so
SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
HEADERS = {
    "User-Agent": f"smartico-sync/{__version__}",
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
}


class Answer(NamedTuple):
    """How a request ended. `retry_after_s` is what the API asked for, 0 when nothing; `reason` and `cause` where there is no answer."""

    outcome: Outcome
    status: int = 0
    body: bytes = b""
    retry_after_s: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    cause: Cause = ""


class Client:
    """Posts bodies to one URL over kept-alive connections; thread-safe. `key` is where the configuration has the URL.

    ConfigError when the environment names a proxy that cannot be used. What speaks HTTP is imported by the first request: a tenth
    of a start, and most polls find nothing to send.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        timeout_ms: int,
        encoding: str,
        key: str = "smartico.url",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.url, self.token, self.key = url, token, key
        self.encoding, self.timeout_ms = encoding, timeout_ms
        self.proxy = proxy_for(url, environ)
        self.offset_s: float | None = None
        self.date = ""  # as the last answer had it: within its second there is nothing new in it
        if self.proxy is not None:
            _ = self.transport  # what its scheme needs may not be installed

    @cached_property
    def transport(self) -> Transport:
        """The connections. Two first requests at once may make two of them, of which one is used once."""
        from smartico_sync.delivery.transport import Transport  # noqa: PLC0415 - see above

        return Transport(self.url, timeout_s=self.timeout_ms / 1000, proxy=self.proxy)

    @property
    def clock_ahead_ms(self) -> int | None:
        """The API's clock minus ours, by the date of its last answer; None where there was none."""
        offset = self.offset_s
        return None if offset is None else round((offset + time.monotonic() - time.time()) * 1000)

    def post(self, body: bytes) -> Answer:
        """Send one body; the whole exchange ends within the timeout, after connecting."""
        began = time.monotonic()
        answer = self.exchange(body)
        return answer._replace(seconds=time.monotonic() - began)

    def exchange(self, body: bytes) -> Answer:
        """Send one body."""
        import httpx  # noqa: PLC0415 - see above

        from smartico_sync.delivery.failures import NotConnected, TurnedAway  # noqa: PLC0415 - likewise

        headers = {**HEADERS, "Authorization": self.token.read()}
        if self.encoding == "gzip":
            from smartico_sync.delivery.compression import compressed  # noqa: PLC0415 - likewise

            body = compressed(body)
            headers["Content-Encoding"] = "gzip"
        try:
            # No httpx.Client around it: what one does for cookies and redirects costs half as much as the exchange.
            with closing(
                self.transport.handle_request(httpx.Request("POST", self.transport.url, headers=headers, content=body))
            ) as response:
                answer = plain(b"".join(response.iter_raw()))
        except NotConnected as error:
            return Answer("not connected", reason=str(error), cause=error.cause)
        except TurnedAway as error:
            return Answer("turned away", error.status, reason=str(error), cause="proxy")
        except httpx.TimeoutException as error:
            self.drop_idle()  # the others may be as dead
            return Answer("timeout", reason=str(error))
        except httpx.HTTPError as error:
            return Answer("broken", reason=str(error))
        date = response.headers.get("Date", "")
        if date != self.date and (at := moment(date)) is not None:
            self.offset_s = at - time.monotonic()  # our own clock may be set before somebody looks
        self.date = date
        status = response.status_code
        if status == 421:
            self.drop_idle()  # this front end does not serve us, or not any more
        # A proxy that hands our requests on may answer in the API's place.
        if status == 403 and self.transport.forwarded and not of_the_api(answer):
            return Answer("turned away", status, reason=f"HTTP {status}", cause="proxy")
        return Answer("answered", status, answer, retry_after(response.headers, time.time()))

    def verdict(self, answer: Answer, eids: Sequence[str], users: Sequence[str]) -> Verdict:
        """What an answer means for the events with these ids, of these players."""
        return judge(eids, users, answer.outcome, answer.status, answer.body, reason=answer.reason, cause=answer.cause)

    def halted(self, verdict: Verdict) -> str:
        """What must be mended before anything is accepted."""
        if verdict.cause == "url":
            return f"no ingest API is at the URL: {verdict.reason}"
        if verdict.cause == "proxy":
            return f"the proxy does not let us through: {verdict.reason}"
        return f"the ingest API rejected the token: {verdict.reason} (code {verdict.code})"

    def hint(self, cause: Cause) -> str:
        """What an operator does about a cause; empty where waiting is all."""
        variable = self.proxy.variable if self.proxy else "HTTPS_PROXY"
        hints: dict[Cause, str] = {
            "token": self.token.way_out,
            "url": f"correct `{self.key}`, try it with: smartico-sync check; then: smartico-sync reload, or a restart where the environment holds it",
            "network": f"check the host in `{self.key}`, the name server and the firewall, then: smartico-sync check",
            "proxy": f"correct {variable} in the environment (user and password percent-encoded), or add the API's host to NO_PROXY, try it with: smartico-sync check; then restart the daemon",
            "descriptors": "allow it more: LimitNOFILE= of the service, or `ulimit -n`; then a restart",
            "certificate expired": "it must be renewed at the other end, unless this machine's clock is wrong",
            "certificate of another host": f"correct the host in `{self.key}`, try it with: smartico-sync check; then: smartico-sync reload, or a restart where the environment holds it",
        }
        return authority_hint() if cause == "unknown authority" else hints.get(cause, "")

    def drop_idle(self) -> None:
        """Let the next requests make new connections."""
        if "transport" in self.__dict__:
            self.transport.drop_idle()

    def close(self) -> None:
        """Close every connection."""
        if "transport" in self.__dict__:
            self.transport.close()


def authority_hint() -> str:
    """Where the certificate of an authority goes: into the file that is named already, if there is one."""
    named = os.environ.get("SSL_CERT_FILE", "")
    if not named:
        where = "install the authority's certificate, or name it with SSL_CERT_FILE"
    elif holds_certificates(named):
        where = f"add the authority's certificate to {named}, which SSL_CERT_FILE names"
    else:
        where = f"let SSL_CERT_FILE name a file of certificates in PEM that can be read: {named} is none"
    return f"{where}{unread_variables()}, then restart the daemon; a proxy may be in between"


def holds_certificates(file: str) -> bool:
    """Whether certificates can be read there: OpenSSL says nothing about a file of which it can make nothing."""
    import ssl  # noqa: PLC0415 - only where a certificate was of no use

    try:
        ssl.create_default_context(cafile=file)
    except OSError:
        return False
    return True


def unread_variables() -> str:
    """That variables by which other tools find authorities are set, and are not read here; empty where none is."""
    there = [name for name in NOT_READ if os.environ.get(name)]
    return f" ({' and '.join(there)}, set here, {'is' if len(there) == 1 else 'are'} for other tools)" if there else ""


def plain(body: bytes) -> bytes:
    """The body as text: some compress though we ask them not to, and some only say that they do."""
    if not body.startswith(GZIP_MAGIC):
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MOST_ANSWER_BYTES)
    except zlib.error:
        return body


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 when it holds neither.

    A date is counted from the server's own Date, else from `now` (epoch seconds).
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return 0.0
    if SECONDS.fullmatch(text):
        return float(text)
    until = moment(text)
    return 0.0 if until is None else max(0.0, until - (moment(headers.get("Date", "")) or now))


def moment(text: str) -> float | None:
    """The epoch seconds of an HTTP date; None when it is none."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - only of an answer

    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
