"""Up to which moment a server's data is complete: its own now, or on a replica the time it has fetched up to."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceRefused, ViewBroken
from smartico_sync.sources.distant import DistantClock

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.clickhouse.session import Session
    from smartico_sync.sources.sql import Statement

__all__ = ["Clock"]

NOW = "SELECT toUnixTimestamp64Milli(now64(3))"
TABLES = "EXPLAIN ESTIMATE "
# A replica without Keeper hears of nothing new, and would say that it is not behind.
REPLAY = """SELECT toUnixTimestamp64Milli(now64(3)), max(absolute_delay), max(is_readonly), count() FROM system.replicas
 WHERE (database, table) IN ({tables})"""
TICK_MS = 1_000  # a delay counts whole seconds: the replica may be that much further behind
FRESH_S = 600.0  # a view may read other tables from one day to the next
Tables = tuple[tuple[str, str], ...]


class Clock:
    """The clock of one source, whichever of its sessions asks."""

    def __init__(self) -> None:
        self._server = DistantClock()
        self._replicated: dict[str, tuple[float, Tables]] = {}
        self._complete: dict[str, int] = {}

    def read(self, session: Session, relation: Relation, page: Statement) -> int:
        """Epoch ms up to which this server knows all that the view reads. Ask before the first question."""
        tables = self._tables(session, relation, page)
        replay = _replay(session, tables) if tables else None
        if replay is None:
            return self._now(session, relation)
        now_ms, delay_s, cut_off = replay
        if not cut_off:
            self._complete[relation.name] = now_ms - (delay_s * 1000 + TICK_MS if delay_s else 0)
        return self._complete.setdefault(relation.name, now_ms - delay_s * 1000)

    def _now(self, session: Session, relation: Relation) -> int:
        now = self._server.now_ms()
        if now is None:
            now = int(session.rows(NOW, f"view {relation.name}")[0][0])
            self._server.tell(now)
        return now

    def _tables(self, session: Session, relation: Relation, page: Statement) -> Tables:
        """The replicated tables behind a view, as far as the user may see them."""
        found = self._replicated.get(relation.name)
        if found is not None and time.monotonic() - found[0] < FRESH_S:
            return found[1]
        tables: Tables = ()
        with suppress(
            SourceRefused, ViewBroken
        ):  # of the plan, or of system.replicas: then nothing is known of replicas
            read = session.rows(TABLES + page.text, "the server", {"n": 1})
            tables = tuple(dict.fromkeys((str(row[0]), str(row[1])) for row in read))
            if tables and _replay(session, tables) is None:
                tables = ()
        self._replicated[relation.name] = time.monotonic(), tables
        return tables


def _replay(session: Session, tables: Tables) -> tuple[int, int, bool] | None:
    """Now, the delay in seconds, and whether the server is cut off from the others; None where no table is replicated."""
    listed = ", ".join(f"({_literal(database)}, {_literal(table)})" for database, table in tables)
    now_ms, delay_s, cut_off, count = session.rows(REPLAY.format(tables=listed), "the server")[0]
    return (int(now_ms), int(delay_s), bool(int(cut_off))) if int(count) else None


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
