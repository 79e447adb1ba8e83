"""A webhook: answers as it is told to, and remembers what was posted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SECRET = "T000/B000/very-secret"


class Webhook(ThreadingHTTPServer):
    """A receiver that answers with `status` and remembers what it was told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.bodies, self.paths = 200, [], []
        self.answering = threading.Event()  # while it is clear nobody gets an answer
        self.answering.set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        """With a secret in it, as those of Slack."""
        return f"http://127.0.0.1:{self.server_address[1]}/services/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        self.server.answering.wait()
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.server.bodies.append(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A webhook at work."""
    with Webhook() as server:
        yield server
        server.answering.set()
        server.shutdown()
