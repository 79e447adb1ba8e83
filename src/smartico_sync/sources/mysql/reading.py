"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.position import Position
from smartico_sync.errors import SourceError
from smartico_sync.sources import groups, sql
from smartico_sync.sources.frames import empty, from_texts
from smartico_sync.sources.mysql.session import BEGIN, Answer, Session, literal
from smartico_sync.sources.mysql.types import MYSQL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.core.relation import Column, Relation, Snapshot
    from smartico_sync.sources.mysql.clock import Clock
    from smartico_sync.sources.sql import Statement

__all__ = ["MySQLReading"]


class MySQLReading:
    """Reads through one session; the transaction opens with the first question."""

    snapshot: Snapshot | None = None  # a replica shows nothing of its primary's open transactions

    def __init__(self, session: Session, relation: Relation, clock: Clock) -> None:
        self._session = session
        self._relation = relation
        self._what = f"view {relation.name}"
        self._clock = clock
        self._opened_ms: int | None = None

    @property
    def clock_ms(self) -> int:
        """The server's now, taken just before the snapshot; on a replica the time it has replayed up to."""
        if self._opened_ms is None:
            now = self._clock.read(self._session, self._what)
            self._session.run(BEGIN, self._what)
            self._opened_ms = now
        return self._opened_ms

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        bound = "open" if through is None else "through"
        statement = sql.page(MYSQL, self._relation, sql.shape(self._relation, after), bound)
        values = sql.position_parameters(after) | ({} if through is None else {"through": through})
        return self._whole_groups(statement, values, limit)

    def keys(self, low: str | None, high: str, limit: int, after: Position | None = None) -> pl.DataFrame:
        """Cursor and key of a range."""
        statement = sql.keys(MYSQL, self._relation, sql.shape(self._relation, after), "open" if low is None else "low")
        return self._whole_groups(statement, sql.position_parameters(after) | sql.count_parameters(low, high), limit)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return empty(self._relation, "rows")
        size, values = sql.among_parameters(self._relation, wanted)
        return sql.exactly(self._relation, self._frame(sql.rows(MYSQL, self._relation, size), values), wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        wanted = [Position(value) for value in values]
        if not wanted:
            return empty(self._relation, "rows")
        size, parameters = sql.among_parameters(replace(self._relation, key=()), wanted)
        return self._frame(sql.by_cursor(MYSQL, self._relation, size), parameters)

    def head(self) -> str | None:
        """The highest cursor."""
        rows = self.ask(sql.head(MYSQL, self._relation).text % {}).rows
        return rows[0][0] if rows else None

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        return int(self.ask(sql.null_cursors(MYSQL, self._relation).text % {}).rows[0][0] or 0)

    def count(self, low: str | None, high: str) -> int:
        """How many rows are in the range."""
        statement = sql.count(MYSQL, self._relation, "open" if low is None else "low")
        return int(self.ask(_filled(statement, sql.count_parameters(low, high))).rows[0][0] or 0)

    def end(self) -> None:
        """End the transaction if one was begun."""
        if self._session.in_transaction:
            self._session.run("ROLLBACK", self._what)

    def end_quietly(self) -> None:
        """End the transaction on the way out of a failure."""
        with suppress(SourceError):
            self.end()

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction."""
        assert self.clock_ms is not None, "opens the transaction"
        return self._session.run(statement, self._what)

    def explained(self, after: Position | None, limit: int) -> str:
        """The exact text of the page's statement."""
        statement = sql.page(MYSQL, self._relation, sql.shape(self._relation, after), "open")
        return _filled(statement, {**sql.position_parameters(after), "n": limit})

    def _whole_groups(self, statement: Statement, values: dict[str, str], limit: int) -> pl.DataFrame:
        if self._relation.key:
            return self._frame(statement, {**values, "n": limit})
        return groups.complete(lambda rows: self._frame(statement, {**values, "n": rows}), limit)

    def _frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        data, columns = self.ask(_filled(statement, values)).values, statement.columns
        if not data:
            return empty(self._relation, "rows" if columns else "positions")
        texts = [_text(data[index :: statement.width]) for index in range(statement.width)]
        positions = [texts[index].alias(name) for name, index in statement.positions]
        if not columns:
            return pl.DataFrame(positions)
        shown = [_shown(column, text) for column, text in zip(columns, texts, strict=False)]
        return from_texts(columns, shown, self._relation.timezone).hstack(positions)


def _filled(statement: Statement, values: Mapping[str, str | int]) -> str:
    return statement.text % {name: literal(value) for name, value in values.items()}


def _text(values: Sequence[bytes | None]) -> pl.Series:
    """Values as text; what an old client stored in the wrong encoding keeps its readable characters."""
    data = pl.Series(values, dtype=pl.Binary)
    try:
        return data.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(
            [None if value is None else value.decode(errors="replace") for value in values], dtype=pl.String
        )


def _shown(column: Column, text: pl.Series) -> pl.Series:
    """A FLOAT has 24 bits: its shortest decimal is what was stored, where the double it travels as has a long tail."""
    return text.cast(pl.Float32).cast(pl.String) if column.type == "float" else text
