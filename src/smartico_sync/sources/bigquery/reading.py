"""One reading over one view: questions that are each answered from a snapshot of their own."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.errors import SourceError
from smartico_sync.sources.bigquery.types import BIGQUERY, parameter
from smartico_sync.sources.kit.arrow import from_arrow, position_texts
from smartico_sync.sources.kit.frames import empty
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from google.cloud.bigquery import ScalarQueryParameter

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.bigquery.session import Estimate, Session
    from smartico_sync.sources.kit.server_clock import ServerClock
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["BigQueryReading", "Remembered"]

DAY_MS = 86_400_000
NEAR_MS = (DAY_MS, 32 * DAY_MS)  # how far back the highest cursor is looked for before everything is read for it
COUNTED_S = 3_600.0  # a count of NULL cursors reads two columns from end to end


class Remembered:
    """Answers that are asked for again and again, and would be billed each time; kept for the whole source."""

    def __init__(self) -> None:
        self.heads: dict[Relation, str] = {}
        self.nulls: dict[Relation, tuple[float, int]] = {}


class BigQueryReading(SqlReading):
    """Reads through one session.

    Each query sees what is committed when it begins. A later one of a reading may therefore see more than an earlier one,
    never less, and the clock is read before both: what appears in between is above the page, or found as a straggler.
    """

    adapter = BIGQUERY
    offset = "+00:00"

    def __init__(self, session: Session, relation: Relation, clock: ServerClock, remembered: Remembered) -> None:
        super().__init__(relation)
        self._session = session
        self._clock = clock
        self._remembered = remembered
        self._opened_ms: int | None = None

    @property
    def _cursor(self) -> Column:
        column = self.relation.column(self.relation.cursor)
        assert column is not None, "describe() has checked the cursor"
        return column

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

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, looked for where it was or must be, so that older partitions are not read."""
        near: list[str] = []
        if self.relation in self._remembered.heads:
            near = [self._remembered.heads[self.relation]]
        elif self._cursor.family in ("timestamp", "instant", "date"):
            near = [self.moment(self.clock_ms - back) for back in NEAR_MS]
        statement = statements.head(self.adapter, self.relation, "low" if through is None else "low and through")
        bounds = ({"low": low} if through is None else {"low": low, "high": through} for low in near)
        found = next((found for values in bounds if (found := self.value(statement, values)) is not None), None)
        if found is None:
            found = super().head(through)
        if found is not None and through is None:
            self._remembered.heads[self.relation] = found
        return found

    def null_cursors(self) -> int:
        """How many rows have no place in the order, counted once an hour; NULL keys only where that may be paid for."""
        counted = self._remembered.nulls.get(self.relation)
        if counted is None or time.monotonic() - counted[0] > COUNTED_S:
            statement, most = statements.null_cursors(self.adapter, self.relation), self._session.most_bytes
            if most is not None and self.estimate(statement, {}).size > most:
                # NULL cursors lie in a partition of their own, and are found without the rest.
                statement = statements.null_cursors(self.adapter, replace(self.relation, key=()))
            counted = (time.monotonic(), int(self.value(statement, {}) or 0))
            self._remembered.nulls[self.relation] = counted
        return counted[1]

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
        if text is None or self._cursor.family != "decimal":
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
