"""One HTTP request to the ingest API, and nothing that raises."""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from smartico_sync import __version__
from smartico_sync.delivery.transport import Transport
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.core.verdicts import Outcome

__all__ = ["Answer", "Client", "Token"]

MOST_ANSWER_BYTES = 4_000_000  # per-event errors of a full batch fit; nothing endless does
GZIP_LEVEL = 1  # events repeat themselves: the fastest level already halves them many times


class Answer(NamedTuple):
    """How a request ended. `retry_after_s` is what the API asked for, 0 when nothing."""

    outcome: Outcome
    status: int = 0
    body: bytes = b""
    retry_after_s: float = 0.0
    seconds: float = 0.0


class Token:
    """The API token: a fixed text, or a file that is read again when it changes."""

    def __init__(self, value: str | None, path: Path | None) -> None:
        self.value = value
        self.path = path
        self.changed = -1.0

    def __repr__(self) -> str:
        return "Token(…)"

    def read(self) -> str:
        """The token now. ConfigError when its file cannot be read and never was."""
        if self.path is None:
            return self.value or ""
        try:
            changed = self.path.stat().st_mtime
            if changed != self.changed:
                self.value, self.changed = self.path.read_text().strip(), changed
        except OSError as error:
            if self.value is None:
                raise ConfigError(
                    f"cannot read the token file {self.path}: {error.strerror}", hint="mend its path or mode"
                ) from None
        return self.value or ""


class Client:
    """Posts bodies to one URL over kept-alive connections; thread-safe."""

    def __init__(self, url: str, token: Token, *, timeout_ms: int, encoding: str) -> None:
        self.url = url
        self.token = token
        self.timeout_s = timeout_ms / 1000
        self.encoding = encoding
        self.http = httpx.Client(
            timeout=httpx.Timeout(self.timeout_s, pool=None),
            # A proxy of the environment is httpx's own business.
            transport=None if proxied(url) else Transport(url, timeout_s=self.timeout_s),
            headers={"User-Agent": f"smartico-sync/{__version__}", "Content-Type": "application/json"},
        )

    def post(self, body: bytes) -> Answer:
        """Send one body; the whole exchange ends within about the timeout."""
        began = time.monotonic()
        headers = {"Authorization": self.token.read()}
        if self.encoding == "gzip":
            body = gzip.compress(body, GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        try:
            with self.http.stream("POST", self.url, content=body, headers=headers) as response:
                read = bytearray()
                for chunk in response.iter_bytes():
                    read += chunk
                    if time.monotonic() - began > self.timeout_s or len(read) > MOST_ANSWER_BYTES:
                        return Answer("timeout", seconds=time.monotonic() - began)
                wait = retry_after(response.headers.get("Retry-After", ""))
                return Answer("answered", response.status_code, bytes(read), wait, time.monotonic() - began)
        except httpx.ConnectError:
            return Answer("not connected", seconds=time.monotonic() - began)
        except httpx.ConnectTimeout:
            return Answer("not connected", seconds=time.monotonic() - began)
        except httpx.TimeoutException:
            return Answer("timeout", seconds=time.monotonic() - began)
        except httpx.HTTPError:
            return Answer("broken", seconds=time.monotonic() - began)

    def close(self) -> None:
        """Close every connection."""
        self.http.close()


def proxied(url: str) -> bool:
    """Whether the environment names a proxy for this URL."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def retry_after(value: str) -> float:
    """Seconds of a Retry-After header; 0 when it holds none (dates are not used by this API)."""
    return float(value) if value.isdigit() and len(value) < 6 else 0.0
