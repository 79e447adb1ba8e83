"""One reading over one view: questions that are each answered from a snapshot of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.arrow import from_arrow, position_texts
from smartico_sync.sources.kit.frames import empty
from smartico_sync.sources.snowflake.types import SNOWFLAKE
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.server_clock import ServerClock
    from smartico_sync.sources.snowflake.session import Session
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["SnowflakeReading"]


class SnowflakeReading(SqlReading):
    """Reads through one session.

    Snowflake's transactions show each statement what is committed before it begins. A later question of a reading may
    therefore see more than an earlier one, never less, and the clock is read before both: what appears in between is
    above the page, or found as a straggler.
    """

    adapter = SNOWFLAKE
    offset = "+00:00"

    def __init__(self, session: Session, relation: Relation, clock: ServerClock) -> None:
        super().__init__(relation)
        self._session = session
        self._clock = clock
        self._opened_ms: int | None = None

    @property
    def clock_ms(self) -> int:
        """The server's now, before the first question."""
        if self._opened_ms is None:
            now = self._clock.now_ms()
            if now is None:
                now = self._session.now_ms(self.what)
                self._clock.tell(now)
            self._opened_ms = now
        return self._opened_ms

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[pa.Table]:
        """One question; its answer as tables of some rows."""
        assert self.clock_ms is not None, "is read before the snapshot"
        return self._session.tables(statement, values or {}, self.what)

    def explain(self, statement: Statement, values: Mapping[str, str | int]) -> str:
        """The server's plan for a statement, as JSON."""
        return str(self._session.rows(f"EXPLAIN USING JSON {statement.text}", self.what, values)[1][0][0])

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        tables = self.ask(statement.text, values)
        if not tables:
            return None
        text: str | None = position_texts(pl.Series(pl.from_arrow(tables[0].column(0))))[0]
        return text

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as the driver's Arrow tables, typed."""
        tables = self.ask(statement.text, values)
        if not tables:
            return empty(self.relation, "rows" if statement.columns else "positions")
        return from_arrow(self.relation, statement, tables)
