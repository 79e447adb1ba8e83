"""Up to which moment a server's data is complete: its own now, or on a replica the time it has fetched up to."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from smartico_sync.errors import SourceRefused, ViewBroken
from smartico_sync.sources.clickhouse.types import CLICKHOUSE, literal
from smartico_sync.sources.kit.server_clock import ServerClock
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.relation import Relation

__all__ = ["ReplicaClock"]


class Asked(Protocol):
    """What the clock needs of a session."""

    def now_ms(self, what: str) -> int:
        """See `Session.now_ms`."""

    def rows(self, statement: str, what: str, values: Mapping[str, str | int] | None = None) -> list[list[Any]]:
        """See `Session.rows`."""


TABLES = "EXPLAIN ESTIMATE "
# A replica without Keeper hears of nothing new, and would say that it is not behind.
REPLAY = """SELECT toUnixTimestamp64Milli(now64(3)), max(absolute_delay), max(is_readonly), count() FROM system.replicas
 WHERE (database, table) IN ({tables})"""
TICK_MS = 1_000  # a delay counts whole seconds: the replica may be that much further behind
FRESH_S = 600.0  # a view may read other tables from one day to the next
Tables = tuple[tuple[str, str], ...]


class ReplicaClock:
    """The clock of one source, whichever of its sessions asks."""

    def __init__(self) -> None:
        self.server = ServerClock()
        self._replicated: dict[str, tuple[float, Tables]] = {}
        self._complete: dict[str, int] = {}

    def learn(self, session: Asked, relation: Relation) -> None:
        """Find out what tables a described view reads, so that its first poll need not."""
        self._tables(session, relation)

    def read(self, session: Asked, relation: Relation) -> int:
        """Epoch ms up to which this server knows all that the view reads. Ask before the first question."""
        tables, replay = self._tables(session, relation)
        if tables and replay is None:
            replay = _replay(session, tables)
        if replay is None or not replay.tables:
            return session.now_ms(f"view {relation.name}")
        if not replay.cut_off:
            behind_ms = replay.delay_s * 1000 + TICK_MS if replay.delay_s else 0
            self._complete[relation.name] = replay.now_ms - behind_ms
        return self._complete.setdefault(relation.name, replay.now_ms - replay.delay_s * 1000)

    def _tables(self, session: Asked, relation: Relation) -> tuple[Tables, _Replay | None]:
        """The replicated tables behind a view, as far as the user may see them; and how they stand, where that was asked."""
        known = self._replicated.get(relation.name)
        if known is not None and time.monotonic() - known[0] < FRESH_S:
            return known[1], None
        tables: Tables = ()
        replay = None
        # Of the plan, or of system.replicas: then nothing is known of replicas.
        with suppress(SourceRefused, ViewBroken):
            page = statements.page(CLICKHOUSE, relation, "from the start", "open")
            read = session.rows(TABLES + page.text, "the server", {"n": 1})
            tables = tuple(dict.fromkeys((str(row[0]), str(row[1])) for row in read))
            if tables:
                replay = _replay(session, tables)
                self.server.tell(replay.now_ms)
        if replay is None or not replay.tables:
            tables = ()
        self._replicated[relation.name] = time.monotonic(), tables
        return tables, replay


class _Replay(Struct, frozen=True):
    """How replicated tables stand: `tables` are so many; `cut_off` from the others where there is no Keeper."""

    now_ms: int
    delay_s: int
    cut_off: bool
    tables: int


def _replay(session: Asked, tables: Tables) -> _Replay:
    listed = ", ".join(f"({literal(database)}, {literal(table)})" for database, table in tables)
    now_ms, delay_s, cut_off, count = map(int, session.rows(REPLAY.format(tables=listed), "the server")[0])
    return _Replay(now_ms, delay_s, bool(cut_off), count)
