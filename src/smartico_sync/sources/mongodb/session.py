"""Questions to the servers, through one client of the driver's, which never wait longer than they were told to."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pymongo.errors import OperationFailure

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kit.abandonable import AbandonableCalls, UnattendedCalls
from smartico_sync.sources.kit.intake import counted
from smartico_sync.sources.mongodb.documents import CODEC
from smartico_sync.sources.mongodb.failures import FAILURES, NO_SNAPSHOT, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bson import Timestamp
    from pymongo import MongoClient

    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.mongodb.login import Login

__all__ = ["NoSnapshot", "Servers", "Session"]

# The driver logs commands with their values where somebody turns that on; what is wrong is told by the failure.
logging.getLogger("pymongo").propagate = False
logging.getLogger("pymongo").addHandler(logging.NullHandler())
SIMPLE = {"locale": "simple"}  # bytes decide; by a collation of letters different keys could be equal, and be skipped
MORE = 1  # one more than can come, so that the first batch is the last
T = TypeVar("T")


class NoSnapshot(Exception):
    """The server does not give this collection as it was at one moment."""


class Servers:
    """The servers of one URL, and the newest moment that a reading has seen there.

    `newest`: a reading asks for data of that moment at least, so that no later one sees less, whichever member answers.
    `without_snapshot`: collections of which a server gave no snapshot.
    """

    def __init__(self, login: Login, place: str) -> None:
        self.login = login
        self.place = place
        self.newest: Timestamp | None = None
        self.without_snapshot: set[str] = set()
        self._lock = Lock()
        self._client: MongoClient[dict[str, Any]] | None = None
        self._closed = False
        self._unattended = UnattendedCalls()
        self._asking: set[AbandonableCalls] = set()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Questions of one thread."""
        calls = AbandonableCalls(self._unattended, self.place)
        with self._lock:
            if self._closed:
                raise SourceUnreachable(f"{self.place}: the source has been closed")
            self._asking.add(calls)
        try:
            yield Session(self, calls)
        finally:
            calls.close()
            with self._lock:
                self._asking.discard(calls)

    def client(self) -> MongoClient[dict[str, Any]]:
        """The one client; made at the first question."""
        with self._lock:
            if self._client is None:
                self._client = self.login.client()
            return self._client

    def seen(self, moment: Timestamp) -> Timestamp:
        """The later of this moment and those seen before."""
        with self._lock:
            self.newest = moment if self.newest is None else max(moment, self.newest)
            return self.newest

    def close(self) -> None:
        """Let go whoever waits, and close the connections in the background: a farewell may wait for a dead network."""
        with self._lock:
            self._closed = True
            asking, client = list(self._asking), self._client
        for calls in asking:
            calls.abandon()
        if client is not None:
            self._unattended.farewell(client.close)


class Session:
    """Questions one after the other. What writes has no way through: `pipelines` lets no $out pass, and commands only tell."""

    def __init__(self, servers: Servers, calls: AbandonableCalls) -> None:
        self.servers = servers
        self._calls = calls

    def batches(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        concern: Mapping[str, Any],
        most: int,
        view: str,
        intake: Intake | None = None,
    ) -> list[bytes]:
        """What a pipeline gives, as BSON documents one behind the other. `most`: how many there can be. May raise NoSnapshot.

        RowsTooWide where it is more than the `intake` takes: a server sends 16 MB at once at the most.
        """
        login = self.servers.login

        def ask(client: MongoClient[dict[str, Any]]) -> list[bytes]:
            try:
                cursor = client[login.database][collection].aggregate_raw_batches(
                    list(pipeline),
                    comment=f"smartico-sync view={view}",
                    readConcern=dict(concern),
                    collation=SIMPLE,
                    batchSize=most + MORE,
                    maxTimeMS=login.timeout_ms,
                )
                with cursor:
                    return counted((cast("bytes", batch) for batch in cursor), intake, documents_size)
            except OperationFailure as error:
                if error.code in NO_SNAPSHOT and concern.get("level") == "snapshot":
                    raise NoSnapshot from None
                raise

        return self.call(ask, f"view {view}")

    def command(self, command: Mapping[str, Any], what: str, database: str | None = None) -> dict[str, Any]:
        """The answer of a command that only tells, from whichever member is read."""

        def ask(client: MongoClient[dict[str, Any]]) -> dict[str, Any]:
            place = client[database or self.servers.login.database]
            return place.command(dict(command), read_preference=client.read_preference, codec_options=CODEC)

        return self.call(ask, what)

    def collections(self, what: str, *, name: str | None = None, told: str = "names") -> list[dict[str, Any]]:
        """Collections and views that the user may read, or the one of that name; with their options where `told` is all."""
        narrow = {"nameOnly": True, "authorizedCollections": True} if told == "names" else {}
        command = {"listCollections": 1, "filter": {} if name is None else {"name": name}, **narrow}

        def ask(client: MongoClient[dict[str, Any]]) -> list[dict[str, Any]]:
            place = client[self.servers.login.database]
            with place.cursor_command(command, read_preference=client.read_preference) as cursor:
                return list(cursor)

        return self.call(ask, what)

    def call(self, ask: Callable[[MongoClient[dict[str, Any]]], T], what: str) -> T:
        """Anything else that the client can be asked."""
        servers = self.servers
        try:
            return self._calls.run(lambda: ask(servers.client()), 2 * servers.login.silence_s, what)
        except FAILURES as error:
            raise failure(error, servers.place, what) from None


def documents_size(batch: bytes) -> tuple[int, int]:
    """How many documents stand one behind the other, each behind its length, and their bytes."""
    count = at = 0
    while at < len(batch):
        at += max(1, int.from_bytes(batch[at : at + 4], "little"))
        count += 1
    return count, len(batch)
