"""The endpoint that monitoring scrapes: /healthz /readyz /metrics /status.json, a page, and one for each view."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import unquote

import orjson
import structlog
from msgspec import to_builtins
from msgspec.structs import replace

from smartico_sync import __version__
from smartico_sync.errors import StateHeld
from smartico_sync.observe.cluster_status import with_cluster
from smartico_sync.observe.glance import Glance
from smartico_sync.observe.health import Finding, Health, as_it_is, assess
from smartico_sync.observe.logs import dropped_lines
from smartico_sync.observe.server import Access, Server, listening
from smartico_sync.observe.status_document import status_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.core.records import DeadLetter
    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.errors import SyncError
    from smartico_sync.observe.cluster_status import ClusterStatus
    from smartico_sync.observe.server import Answer, Reader
    from smartico_sync.observe.status_board import StatusBoard
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["Endpoint"]

HTML = "text/html; charset=utf-8"
WRITTEN = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS  # dead letters are counted by a code, which is a number
ANYBODY = Access()
READY = ("delivering", "standing by")  # what /readyz says yes to
RETRY_S = 5.0  # how often an address that is taken is tried again
RETRIED = "it is tried again; free the port, choose another, or write `health: {listen: off}`"
Starting = Literal["yes", "no"]

log = structlog.get_logger()


class Sizes(Protocol):
    """How large the state is."""

    @property
    def bytes(self) -> int:
        """On the disk."""

    @property
    def free_bytes(self) -> int:
        """Of them those that hold nothing any more."""


class Endpoint:
    """Serves on `listen` (`host:port`) from a thread of its own until `close`.

    An address that is taken, or not there yet, is told and tried again: events are delivered without a page.

    `sources`: how the connections of each are protected, in words; empty for a file. `sizes`: of the state. `dead_letters`: the last dead
    letters of a view, the newest first. `dated` says of each finding since when it stands.
    """

    def __init__(
        self,
        listen: str,
        board: StatusBoard,
        destinations: Callable[[], Sequence[DestinationStatus]],
        access: Access = ANYBODY,
    ) -> None:
        self.listen, self.board, self.destinations, self.access = listen, board, destinations, access
        self.sources: Mapping[str, str] = {}
        self.sizes: Glance[Sizes] | None = None
        self.dead_letters: Callable[[str], Sequence[DeadLetter]] = no_dead_letters
        self.letters: dict[str, Glance[Sequence[DeadLetter]]] = {}  # of the views whose page was looked at
        self.started_ms = time.time_ns() // 1_000_000
        self.starting: Starting = "no"
        self.waits_for: SyncError | None = None
        self.cluster: Callable[[], ClusterStatus | None] = lambda: None
        self.notes: Callable[[], Sequence[Finding]] = tuple
        self.dated: Callable[[Health], Health] = as_it_is
        self.problem = ""
        self.ended = threading.Event()
        self.server = self.bound()
        self.thread = threading.Thread(target=self.serve, name="health", daemon=True)
        self.thread.start()

    def begins(
        self, board: StatusBoard, notes: Callable[[], Sequence[Finding]], dated: Callable[[Health], Health]
    ) -> None:
        """A configuration begins: nothing is known yet of its connections and its state."""
        self.board, self.notes, self.dated, self.starting, self.waits_for = board, notes, dated, "yes", None
        self.destinations, self.sources, self.sizes = tuple, {}, None
        self.dead_letters, self.letters, self.cluster = no_dead_letters, {}, lambda: None

    @property
    def url(self) -> str:
        """Where it is."""
        host, _, port = self.listen.rpartition(":")
        return f"http://{host}:{port if self.server is None else self.server.server_address[1]}"

    def bound(self) -> Server | None:
        """The server; None when it cannot listen now."""
        try:
            return Server(listening(self.listen), self.answer, self.access)
        except OSError as error:
            reason = f"`health.listen`: cannot listen on {self.listen}: {(error.strerror or 'no such address').lower()}"
            if not self.problem:
                log.warning("endpoint", reason=reason, hint=RETRIED)
            self.problem = reason
            return None

    def serve(self) -> None:
        """Answer until `close`; first of all, listen."""
        while self.server is None and not self.ended.wait(RETRY_S):
            self.server = self.bound()
            if self.server is not None:
                log.info("endpoint", page=self.url)
        if self.server is not None:
            self.server.serve_forever(0.2)

    def health(self, views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus]) -> Health:
        """How the daemon does; before its views are at work, what it waits for, which is life."""
        health, cluster = assess(views, destinations, self.notes()), self.cluster()
        if self.starting == "no":
            return self.dated(health if cluster is None else with_cluster(health, cluster))
        waits = self.waits_for
        if isinstance(waits, StateHeld):
            return Health(
                "alive",
                "standing by",
                (Finding("warning", "state", waits.message, waits.hint, code="start"), *self.notes()),
            )
        findings = (Finding("critical", "start", waits.message, waits.hint, code="start"),) if waits else ()
        health = self.dated(health)
        return replace(health, alive="alive", ready="starting", findings=(*findings, *health.findings))

    def answer(self, path: str, reader: Reader = "known") -> Answer:
        """Status, content type and body for a path. Without the token there is only the word for probes."""
        now = time.time_ns() // 1_000_000
        views, destinations = self.board.views(), self.destinations()
        health = self.health(views, destinations)
        if path == "/healthz":
            return (200 if health.alive == "alive" else 503), "application/json", brief(health, reader)
        if path == "/readyz":
            return (200 if health.ready in READY else 503), "application/json", brief(health, reader)
        if reader == "anybody":
            return 401, "text/plain", b"send Authorization: Bearer, and the token of `health:` in views.yaml\n"
        if path == "/metrics":
            from smartico_sync.observe.metrics import exposition  # noqa: PLC0415 - not before somebody scrapes

            return (
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                exposition(views, destinations, dropped_lines(), health, self.cluster(), self.state()),
            )
        if path == "/status.json":
            status = status_document(views, destinations, health, started_ms=self.started_ms, now_ms=now)
            status["sources"] = [{"name": name, "connection": words} for name, words in self.sources.items() if words]
            status["state"] = self.state()
            if (cluster := self.cluster()) is not None:
                status["cluster"] = to_builtins(cluster)
            return 200, "application/json", orjson.dumps(status, option=WRITTEN)
        if path == "/":
            return 200, HTML, self.page(views, health, destinations, now)
        if path.startswith("/views/"):
            return self.view_page(unquote(path.removeprefix("/views/")), views, destinations, now)
        return self.asset(path.removeprefix("/"))

    def asset(self, name: str) -> Answer:
        """A file that the pages are made with."""
        from smartico_sync.observe.page_frame import asset  # noqa: PLC0415 - not before somebody looks

        if found := asset(name):
            return 200, *found
        return 404, "text/plain", b"not here; try / /views/NAME /healthz /readyz /metrics /status.json\n"

    def page(
        self, views: Sequence[ViewStatus], health: Health, destinations: Sequence[DestinationStatus], now_ms: int
    ) -> bytes:
        """The page for people."""
        from smartico_sync.observe.status_page import page  # noqa: PLC0415 - not before somebody looks

        return page(
            views, health, destinations, __version__, now_ms, self.sources, self.state(), self.cluster()
        ).encode()

    def view_page(
        self, name: str, views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus], now_ms: int
    ) -> Answer:
        """The page of one view."""
        from smartico_sync.observe.view_page import no_view_page, view_page  # noqa: PLC0415 - not before somebody looks

        view = next((view for view in views if view.name == name), None)
        if view is None:
            return 404, HTML, no_view_page(__version__, now_ms).encode()
        letters = self.letters.setdefault(name, Glance(lambda: self.dead_letters(name)))
        dead_letters = letters.answer() or ()
        health = self.dated(assess([view], destinations))
        return 200, HTML, view_page(view, health, destinations, dead_letters, __version__, now_ms).encode()

    def state(self) -> dict[str, int]:
        """How large the state is, in bytes; nothing while its disk is in trouble."""
        sizes = self.sizes.answer() if self.sizes is not None else None
        return {} if sizes is None else {"bytes": sizes.bytes, "free_bytes": sizes.free_bytes}

    def close(self) -> None:
        """Stop serving."""
        self.ended.set()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
        self.thread.join(2)


def no_dead_letters(view: str) -> Sequence[DeadLetter]:  # noqa: ARG001 - what a daemon knows that has no state yet
    """None."""
    return ()


def brief(health: Health, reader: Reader) -> bytes:
    """Health in a few words; a probe without the token learns no more than them."""
    findings = [to_builtins(finding) for finding in health.findings]
    told = {"alive": health.alive, "ready": health.ready}
    return orjson.dumps(told if reader == "anybody" else {**told, "findings": findings})
