"""One deferred transaction over one view of a SQLite file."""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.core.position import Position
from smartico_sync.sources import groups, sql
from smartico_sync.sources.frames import empty, frame
from smartico_sync.sources.sqlite.failures import failure
from smartico_sync.sources.sqlite.types import SQLITE, stored, text_or_bytes
from smartico_sync.sources.values import position_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.core.relation import Relation, Snapshot
    from smartico_sync.sources.sql import Statement

__all__ = ["SqliteReading"]


class SqliteReading:
    """One deferred transaction: a snapshot from its first question on."""

    snapshot: Snapshot | None = None

    def __init__(self, connection: sqlite3.Connection, relation: Relation, place: str) -> None:
        self._connection = connection
        self._relation = relation
        self._place = place
        self.clock_ms = time.time_ns() // 1_000_000  # file and daemon share one clock

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        bound = "open" if through is None else "through"
        statement = sql.page(SQLITE, self._relation, sql.shape(self._relation, after), bound)
        values = sql.position_parameters(after) | ({} if through is None else {"through": through})
        return self._whole_groups(statement, values, limit)

    def keys(self, low: str | None, high: str, limit: int, after: Position | None = None) -> pl.DataFrame:
        """Cursor and key of a range."""
        statement = sql.keys(SQLITE, self._relation, sql.shape(self._relation, after), "open" if low is None else "low")
        return self._whole_groups(statement, sql.position_parameters(after) | sql.count_parameters(low, high), limit)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return empty(self._relation, "rows")
        size, values = sql.among_parameters(self._relation, wanted)
        return sql.exactly(self._relation, self._frame(sql.rows(SQLITE, self._relation, size), values), wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        wanted = [Position(value) for value in values]
        if not wanted:
            return empty(self._relation, "rows")
        size, parameters = sql.among_parameters(replace(self._relation, key=()), wanted)
        return self._frame(sql.by_cursor(SQLITE, self._relation, size), parameters)

    def head(self) -> str | None:
        """The highest cursor."""
        rows = self._told(sql.head(SQLITE, self._relation), {})
        return position_text(rows[0][0]) if rows else None

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        return int(self._told(sql.null_cursors(SQLITE, self._relation), {})[0][0])

    def count(self, low: str | None, high: str) -> int:
        """How many rows are in the range."""
        statement = sql.count(SQLITE, self._relation, "open" if low is None else "low")
        return int(self._told(statement, sql.count_parameters(low, high))[0][0])

    def explained(self, after: Position | None, limit: int) -> list[str]:
        """SQLite's plan for the page, one line a step."""
        statement = sql.page(SQLITE, self._relation, sql.shape(self._relation, after), "open")
        values = self._bound(sql.position_parameters(after)) | {"n": limit} | dict(statement.constants)
        # Python keeps prepared statements, and a prepared EXPLAIN does not notice a new index: make each its own.
        fresh = f"EXPLAIN QUERY PLAN /* {time.monotonic_ns()} */ {statement.text}"
        return [row[3] for row in self.ask(fresh, values)]

    def ask(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        try:
            try:
                return self._connection.execute(statement, dict(values)).fetchall()
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                return self._tolerant(statement, values)
        except sqlite3.Error as error:
            raise failure(error, self._place, f"view {self._relation.name}") from None

    def _tolerant(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Text that is not UTF-8 arrives as bytes, and so spoils its own row only."""
        self._connection.text_factory = text_or_bytes
        try:
            return self._connection.execute(statement, dict(values)).fetchall()
        finally:
            self._connection.text_factory = str

    def _whole_groups(self, statement: Statement, values: dict[str, str], limit: int) -> pl.DataFrame:
        if self._relation.key:
            return self._frame(statement, values, limit)
        return groups.complete(lambda rows: self._frame(statement, values, rows), limit)

    def _frame(self, statement: Statement, values: dict[str, str], limit: int | None = None) -> pl.DataFrame:
        rows = self._told(statement, values, limit)
        if not rows:
            return empty(self._relation, "rows" if statement.columns else "positions")
        positions = [
            pl.Series(name, [position_text(row[index]) for row in rows], dtype=pl.String)
            for name, index in statement.positions
        ]
        if not statement.columns:
            return pl.DataFrame(positions)
        return frame(statement.columns, rows, self._relation.timezone).hstack(positions)

    def _told(self, statement: Statement, values: Mapping[str, str], limit: int | None = None) -> list[tuple[Any, ...]]:
        return self.ask(statement.text, self._bound(values) | dict(statement.constants) | {"n": limit})

    def _bound(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Parameters as values of their columns; `k3` and `k3_17` belong to the key's part 3, all others to the cursor."""
        bound = {}
        for parameter, text in values.items():
            part = re.fullmatch(r"k(\d+)(_\d+)?", parameter)
            column = self._relation.column(self._relation.key[int(part.group(1))] if part else self._relation.cursor)
            bound[parameter] = text if column is None else stored(column.family, text)
        return bound
