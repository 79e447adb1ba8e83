"""The endpoint that monitoring scrapes: /healthz /readyz /metrics /status.json and a page."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson

from smartico_sync import __version__
from smartico_sync.errors import ConfigError
from smartico_sync.observe.health import Health, assess
from smartico_sync.observe.metrics import exposition
from smartico_sync.observe.status_document import status_document
from smartico_sync.observe.status_page import page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.view_status import StatusBoard

__all__ = ["Endpoint"]

SECURE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
WRITTEN = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS  # dead letters are counted by a code, which is a number


class Server(ThreadingHTTPServer):
    """Answers from threads that never keep the process alive."""

    daemon_threads = True
    endpoint: Endpoint


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version = "smartico-sync"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with what is known now."""
        status, kind, body = self.server.endpoint.answer(self.path.split("?")[0])
        self.send_response(status)
        for name, value in {**SECURE, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: scrapes are no news."""


class Endpoint:
    """Serves on `listen` (`host:port`) from a thread of its own until `close`."""

    def __init__(
        self, listen: str, board: StatusBoard, destinations: Callable[[], Sequence[DestinationStatus]]
    ) -> None:
        host, _, port = listen.rpartition(":")
        self.board, self.destinations = board, destinations
        self.started_ms = time.time_ns() // 1_000_000
        try:
            self.server = Server((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            raise ConfigError(
                f"`health.listen`: cannot listen on {listen}: {error.strerror}",
                hint="choose another port, or write `health: {listen: off}`",
            ) from None
        self.server.endpoint = self
        self.url = f"http://{host}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.2,), name="health", daemon=True)
        self.thread.start()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path."""
        now = time.time_ns() // 1_000_000
        views, destinations = self.board.views(), self.destinations()
        health = assess(views, destinations)
        if path == "/healthz":
            return (200 if health.alive == "alive" else 503), "application/json", brief(health)
        if path == "/readyz":
            return (200 if health.ready == "delivering" else 503), "application/json", brief(health)
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", exposition(views, destinations)
        if path == "/status.json":
            status = status_document(views, destinations, health, started_ms=self.started_ms, now_ms=now)
            return 200, "application/json", orjson.dumps(status, option=WRITTEN)
        if path == "/":
            return 200, "text/html; charset=utf-8", page(views, health, destinations, __version__, now).encode()
        return 404, "text/plain", b"not here; try / /healthz /readyz /metrics /status.json\n"

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(2)


def brief(health: Health) -> bytes:
    """Health in a few words."""
    findings = [asdict(finding) for finding in health.findings]
    return orjson.dumps({"alive": health.alive, "ready": health.ready, "findings": findings})
