"""One short read-only transaction over one view."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.frames import empty, from_texts
from smartico_sync.sources.redshift.types import REDSHIFT
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.redshift.session import Answer, Session
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["RedshiftReading"]

NOW = "SELECT now()"  # when the transaction began


class RedshiftReading(SqlReading):
    """Reads through one session; the transaction opens with the first question."""

    adapter = REDSHIFT
    offset = "+00"

    def __init__(self, session: Session, relation: Relation) -> None:
        super().__init__(relation)
        self._session = session
        self._opened_ms: int | None = None

    @property
    def clock_ms(self) -> int:
        """The server's now when the transaction began, just before its snapshot."""
        if self._opened_ms is None:
            self._session.begin(self.what)
            now = self._session.run(NOW, self.what).texts[0][0] or ""
            self._opened_ms = int(datetime.fromisoformat(now).timestamp() * 1000)
        return self._opened_ms

    def end(self) -> None:
        """End the transaction if one was begun."""
        self._session.end(self.what)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> Answer:
        """One statement in the reading's transaction."""
        assert self.clock_ms is not None, "opens the transaction"
        return self._session.run(statement, self.what, values)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self.ask(statement.text, values).texts
        return rows[0][0] if rows else None

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as columns of the text the server sent."""
        rows, columns = self.ask(statement.text, values).rows, statement.columns
        if not rows:
            return empty(self.relation, "rows" if columns else "positions")
        texts = [_text(values) for values in zip(*rows, strict=True)]
        positions = [texts[index].alias(name) for name, index in statement.positions]
        if not columns:
            return pl.DataFrame(positions)
        shown = [_shown(column, text) for column, text in zip(columns, texts, strict=False)]
        return from_texts(columns, shown, self.relation.timezone).hstack(positions)


def _text(values: Sequence[bytes | None]) -> pl.Series:
    """Values as text; what is no UTF-8 keeps its readable characters."""
    data = pl.Series(values, dtype=pl.Binary)
    try:
        return data.cast(pl.String)
    except pl.exceptions.PolarsError:
        texts = [None if value is None else value.decode(errors="replace") for value in values]
        return pl.Series(texts, dtype=pl.String)


def _shown(column: Column, text: pl.Series) -> pl.Series:
    """CHAR without its padding; REAL has 24 bits, whose shortest decimal is what was stored."""
    if column.type.startswith("char("):
        return text.str.strip_chars_end(" ")
    return text.cast(pl.Float32, strict=False).cast(pl.String) if column.type == "real" else text
