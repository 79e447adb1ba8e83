"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.frames import empty, from_texts
from smartico_sync.sources.mysql.session import BEGIN, Answer, Session, literal
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.mysql.clock import Clock
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["MySQLReading", "filled"]


class MySQLReading(SqlReading):
    """Reads through one session; the transaction opens with the first question."""

    adapter = MYSQL

    def __init__(self, session: Session, relation: Relation, clock: Clock) -> None:
        super().__init__(relation)
        self._session = session
        self._clock = clock
        self._opened_ms: int | None = None

    @property
    def clock_ms(self) -> int:
        """The server's now, taken just before the snapshot; on a replica the time it has replayed up to."""
        if self._opened_ms is None:
            now = self._clock.read(self._session, self.what)
            self._session.run(BEGIN, self.what)
            self._opened_ms = now
        return self._opened_ms

    def end(self) -> None:
        """End the transaction if one was begun."""
        if self._session.in_transaction:
            self._session.run("ROLLBACK", self.what)

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction."""
        assert self.clock_ms is not None, "opens the transaction"
        return self._session.run(statement, self.what)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self.ask(filled(statement, values)).rows
        return rows[0][0] if rows else None

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as columns of the text the server prints."""
        data, columns = self.ask(filled(statement, values)).values, statement.columns
        if not data:
            return empty(self.relation, "rows" if columns else "positions")
        texts = [_text(data[index :: statement.width]) for index in range(statement.width)]
        positions = [texts[index].alias(name) for name, index in statement.positions]
        if not columns:
            return pl.DataFrame(positions)
        shown = [_shown(column, text) for column, text in zip(columns, texts, strict=False)]
        return from_texts(columns, shown, self.relation.timezone).hstack(positions)


def filled(statement: Statement, values: Mapping[str, str | int]) -> str:
    """The statement's text with its parameters as constants."""
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
