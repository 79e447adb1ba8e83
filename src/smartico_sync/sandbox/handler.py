"""The sandbox's HTTP: reads requests, plays the faults, writes answers."""

from __future__ import annotations

import contextlib
import gzip
import hmac
import socket
import struct
import sys
import threading
import zlib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import orjson

from smartico_sync.errors import ConfigError
from smartico_sync.sandbox.answers import Answer, denied, plain
from smartico_sync.sandbox.faults import DRIP_S, HANG_S, Fault, parse
from smartico_sync.sandbox.limits import MAX_BODY, Ticket

if TYPE_CHECKING:
    from smartico_sync.sandbox.ingest import Ingest

__all__ = ["PATH", "Server"]

PATH = "/api/external/events/v2"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends RST
DRIPS = 20  # pieces of a slow answer
BACKLOG = 128  # connections that may wait to be taken, so that a burst of clients is counted and not cut
WRITE_BUFFER = 65_536  # an answer goes out in one piece


class Server(ThreadingHTTPServer):
    """A thread per connection; every thread has ended when it is closed."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], ingest: Ingest, token: str | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.ingest = ingest
        self.token = token
        self.stopping = threading.Event()
        self.released = threading.Event()
        self.connections: set[socket.socket] = set()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may break connections as they like; anything else is a defect and shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def release(self) -> None:
        """Let what is held be accepted; what comes later is held as before."""
        held, self.released = self.released, threading.Event()
        held.set()

    def hang_up(self) -> None:
        """End every wait and every idle connection."""
        self.stopping.set()
        self.release()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive over many requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = WRITE_BUFFER

    def setup(self) -> None:
        """Let the server know of the connection, so that it can end it."""
        super().setup()
        self.home = cast("Server", self.server)
        self.ingest = self.home.ingest
        self.home.connections.add(self.connection)
        if self.home.stopping.is_set():
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Forget the connection."""
        self.home.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""

    def do_GET(self) -> None:
        """Serve `/` (a summary), `/stats`, `/events?limit=`, `/faults` and `/healthz`."""
        parts = urlsplit(self.path)
        if parts.path == "/":
            self.reply(plain(200, summary(self.ingest.stats())))
        elif parts.path == "/stats":
            self.reply(Answer(200, orjson.dumps(self.ingest.stats())))
        elif parts.path == "/events":
            wanted = parse_qs(parts.query).get("limit", ["100"])[0]
            limit = int(wanted) if wanted.isascii() and wanted.isdigit() else 100
            with self.ingest.lock:
                events = list(self.ingest.accepted_events.recent)
            self.reply(Answer(200, orjson.dumps(events[-limit:] if limit else [])))
        elif parts.path == "/faults":
            self.reply(Answer(200, orjson.dumps([str(fault) for fault in self.ingest.faults])))
        elif parts.path == "/healthz":
            self.reply(plain(200, "ok\n"))
        else:
            self.reply(plain(404, f"not found; POST events to {PATH}\n"))

    def do_POST(self) -> None:
        """Take events on the API's path, faults on `/faults` and `/release`; nothing else is there, as at Smartico."""
        path = urlsplit(self.path).path
        if path == "/faults":
            self.reply(self.switched(self.rfile.read(int(self.headers.get("Content-Length") or 0))))
            return
        if path == "/release":
            self.home.release()
            self.reply(Answer(200, orjson.dumps(self.ingest.held)))
            return
        if path.rstrip("/") != PATH:
            self.close_connection = True  # what was not read would be taken for the next request
            self.reply(plain(404, f"not found; POST events to {PATH}\n"))
            return
        ticket = Ticket(partial(alive, self.connection))
        welcome = self.ingest.enter(ticket)
        try:
            self.take(ticket, welcome)
        finally:
            self.ingest.leave(ticket)

    def take(self, ticket: Ticket, welcome: bool) -> None:  # noqa: FBT001 - what `enter` said
        """One ingest request."""
        body = self.body()
        if isinstance(body, Answer):
            self.close_connection = True  # what was not read would be taken for the next request
            self.answer(body, ticket)
            return
        decision = self.ingest.draw()
        if not welcome:
            self.answer(plain(429, "Too Many Requests\n", 1.0), ticket)
        elif not self.authorized():
            self.answer(denied(401), ticket)
        elif decision.before is not None:
            self.wait(decision.latency_s)
            self.instead(decision.before, ticket)
        else:
            answer = self.ingest.judge(body, decision, ticket, partial(self.wait, hold_s=decision.hold_s))
            if decision.after is None:
                self.answer(answer, ticket)
            else:
                self.spoiled(decision.after, answer, ticket)

    def body(self) -> bytes | Answer:
        """Read the request's body, or tell why it is not read."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            return plain(411, "Length Required\n")
        if int(length) > MAX_BODY:
            return self.too_large()
        body = self.rfile.read(int(length))
        if self.headers.get("Content-Encoding", "").lower() == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                return plain(400, "the body is not gzip\n")
            if len(body) > MAX_BODY:
                return self.too_large()
        return body

    def too_large(self) -> Answer:
        """Refuse a body over the limit."""
        with self.ingest.lock:
            self.ingest.limits.violations["a body over 10 MB"] += 1
        return plain(413, "Payload Too Large\n")

    def authorized(self) -> bool:
        """Whether the raw secret is right: no `Bearer`."""
        given = self.headers.get("Authorization", "")
        if self.home.token is None:
            return bool(given) and not given.lower().startswith("bearer ")
        return hmac.compare_digest(given.encode(), self.home.token.encode())

    def wait(self, seconds: float, hold_s: float = 0.0) -> None:
        """Let time pass, unless the server stops; then hold on, until what is held is released."""
        if seconds:
            self.home.stopping.wait(seconds)
        if hold_s and not self.home.stopping.is_set():
            with self.ingest.holding():
                self.home.released.wait(hold_s)

    def instead(self, fault: Fault, ticket: Ticket) -> None:
        """Answer with a fault; nothing was accepted."""
        if fault.kind == "reset-before":
            self.reset(fault, ticket)
        elif fault.kind == "garbage":
            self.answer(Answer(200, b"<html><body>upstream says hello</body></html>", "text/html"), ticket)
        elif fault.kind == "denied":
            self.answer(denied(int(fault.value or 401)), ticket)
        else:
            self.answer(plain(int(fault.kind), "on demand\n", fault.seconds), ticket)

    def spoiled(self, fault: Fault, answer: Answer, ticket: Ticket) -> None:
        """Everything was accepted; the client shall not know, or wait for it."""
        if fault.kind == "reset-after":
            self.reset(fault, ticket)
        elif fault.kind == "hang-after":
            self.ingest.answered(fault.kind)
            self.ingest.leave(ticket)
            self.wait(HANG_S if fault.seconds is None else fault.seconds)
            self.close_connection = True
        else:
            self.drip(answer, DRIP_S if fault.seconds is None else fault.seconds, ticket)

    def reset(self, fault: Fault, ticket: Ticket) -> None:
        """Break the connection hard."""
        self.ingest.answered(fault.kind)
        self.ingest.leave(ticket)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close_connection = True
        self.connection.close()

    def drip(self, answer: Answer, seconds: float, ticket: Ticket) -> None:
        """Write the body in small pieces."""
        self.ingest.answered(str(answer.status))
        self.head(answer)
        size = max(1, len(answer.body) // DRIPS)
        pieces = [answer.body[start : start + size] for start in range(0, len(answer.body), size)]
        for number, piece in enumerate(pieces):
            if number == len(pieces) - 1:
                self.ingest.leave(ticket)
            self.wfile.write(piece)
            self.wfile.flush()
            self.wait(seconds / len(pieces))

    def answer(self, answer: Answer, ticket: Ticket) -> None:
        """Count, give the place back, then write: a client that has its answer is not in flight any more."""
        self.ingest.answered(str(answer.status))
        self.ingest.leave(ticket)
        self.reply(answer)

    def reply(self, answer: Answer) -> None:
        """Write an answer."""
        self.head(answer)
        self.wfile.write(answer.body)
        self.wfile.flush()

    def head(self, answer: Answer) -> None:
        """Write status line and headers."""
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def switched(self, body: bytes) -> Answer:
        """Replace the faults: a JSON array of texts, or one per line."""
        try:
            texts = orjson.loads(body) if body.lstrip().startswith(b"[") else body.decode().split()
            self.ingest.faults = tuple(parse(str(text)) for text in texts)
        except ConfigError as error:
            return plain(400, f"{error.message}\n{error.hint}\n")
        except ValueError:
            return plain(400, 'a JSON array such as ["503:0.1"], or one fault per line\n')
        return Answer(200, orjson.dumps([str(fault) for fault in self.ingest.faults]))


def alive(connection: socket.socket) -> bool:
    """Whether the client is still there, asked without waiting and without reading."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def summary(stats: dict[str, Any]) -> str:
    """Print the counts for a person."""
    lines = ["smartico-sync sandbox", ""]
    lines += [
        f"{name.replace('_', ' '):<18}{stats[name]}" for name in ("accepted", "duplicates", "requests", "players")
    ]
    lines += [f"{'max in flight':<18}{stats['max_in_flight']}", ""]
    for title in ("by_event_type", "refused", "violations", "answers", "faulted"):
        if stats[title]:
            lines += [title.replace("_", " "), *(f"  {name:<36}{number}" for name, number in stats[title].items()), ""]
    lines += [
        f"faults: {' '.join(stats['faults']) or 'none'}",
        "",
        "also: /stats  /events?limit=10  /faults  POST " + PATH,
        "",
    ]
    return "\n".join(lines)
