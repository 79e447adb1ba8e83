"""One reading over one view: questions that are each answered from a snapshot of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.errors import SourceError
from smartico_sync.sources.arrow import from_arrow, position_texts
from smartico_sync.sources.bigquery.types import BIGQUERY, parameter
from smartico_sync.sources.frames import empty
from smartico_sync.sources.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from google.cloud.bigquery import ScalarQueryParameter

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.bigquery.session import Estimate, Session
    from smartico_sync.sources.distant import DistantClock
    from smartico_sync.sources.sql import Statement

__all__ = ["BigQueryReading"]


class BigQueryReading(SqlReading):
    """Reads through one session.

    Each query sees what is committed when it begins. A later one of a reading may therefore see more than an earlier one,
    never less, and the clock is read before both: what appears in between is above the page, or found as a straggler.
    """

    grammar = BIGQUERY
    offset = "+00:00"

    def __init__(self, session: Session, relation: Relation, clock: DistantClock) -> None:
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
        return self._session.tables(statement, self.parameters(values or {}), self.what)

    def estimate(self, statement: Statement, values: Mapping[str, str | int]) -> Estimate:
        """What the question would cost."""
        return self._session.estimate(statement.text, self.parameters(values), self.what)

    def parameters(self, values: Mapping[str, str | int]) -> list[ScalarQueryParameter]:
        """Parameters of their columns' types."""
        try:
            return [parameter(name, self.compared(name), value) for name, value in values.items()]
        except ValueError:
            raise SourceError(
                f"{self.what}: a position is no value of its column's type", hint="`sync watermark show`"
            ) from None

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        tables = self.ask(statement.text, values)
        if not tables:
            return None
        text: str | None = position_texts(pl.Series(pl.from_arrow(tables[0].column(0))))[0]
        cursor = self.relation.column(self.relation.cursor)
        if text is None or cursor is None or cursor.family != "decimal":
            return text
        return str(_plain(pl.Series([text]))[0])

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as Arrow tables, typed."""
        tables = self.ask(statement.text, values)
        if not tables:
            return empty(self.relation, "rows" if statement.columns else "positions")
        found = from_arrow(self.relation, statement, tables)
        decimals = [column.name for column in self.relation.columns if column.family == "decimal"]
        named = [
            ("@cursor", self.relation.cursor),
            *((f"@key.{at}", name) for at, name in enumerate(self.relation.key)),
        ]
        decimals += [label for label, name in named if name in decimals]
        return found.with_columns(_plain(found[name]) for name in decimals if name in found.columns)


def _plain(numbers: pl.Series) -> pl.Series:
    """Decimals without the zeros that say nothing: BigQuery keeps no scale, and Arrow writes them all out."""
    pointed = numbers.str.contains(".", literal=True)
    short = numbers.str.strip_chars_end("0").str.strip_chars_end(".")
    return short if pointed.all() else short.zip_with(pointed, numbers)
