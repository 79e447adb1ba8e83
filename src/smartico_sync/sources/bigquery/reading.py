"""One reading over one view: questions that are each answered from a snapshot of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.errors import SourceError
from smartico_sync.sources.bigquery.session import Estimate, Session
from smartico_sync.sources.bigquery.types import BIGQUERY, parameter
from smartico_sync.sources.kit.positions import compared, described, labels, tie_breakers
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.warehouse import WarehouseReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from google.cloud.bigquery import ScalarQueryParameter

    from smartico_sync.sources.protocol import Nulls
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["BigQueryReading"]

DAY_MS = 86_400_000
NEAR_MS = (DAY_MS, 32 * DAY_MS)  # how far back the highest cursor is looked for before everything is read for it
COUNTED_S = 3_600.0  # a count of NULL cursors reads two columns from end to end


class BigQueryReading(WarehouseReading[Session]):
    """Reads through one session, and asks nothing twice that would be billed twice."""

    adapter = BIGQUERY

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[pa.Table]:
        """One question; its answer as tables of some rows."""
        return self.session.tables(statement, self.parameters(values or {}), self.what, self.intake)

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, looked for where it was or must be, so that older partitions are not read."""
        near: list[str] = []
        if self.relation in self.session.cache.heads:
            near = [self.session.cache.heads[self.relation]]
        elif described(self.relation, self.relation.cursor).family in ("timestamp", "instant", "date"):
            near = [self.moment(self.clock_ms - back) for back in NEAR_MS]
        statement = statements.head(self.adapter, self.relation, "low" if through is None else "low and through")
        bounds = ({"low": low} if through is None else {"low": low, "high": through} for low in near)
        found = next((found for values in bounds if (found := self.value(statement, values)) is not None), None)
        if found is None:
            found = super().head(through)
        if found is not None and through is None:
            self.session.cache.heads[self.relation] = found
        return found

    def newest(self, limit: int) -> pl.DataFrame:
        """The rows with the highest cursors, looked for where those must be, so that older partitions are not read."""
        if described(self.relation, self.relation.cursor).family in ("timestamp", "instant", "date"):
            statement = statements.newest(self.adapter, self.relation, "low")
            found = self.frame(statement, {"low": self.moment(self.clock_ms - NEAR_MS[0]), "n": limit})
            if found.height:
                return found.reverse()
        return super().newest(limit)

    def null_cursors(self, of: Nulls = "cursor or key", patience_ms: int | None = None) -> int:  # noqa: ARG002  - bytes are what counts here
        """How many rows have no place in the order, counted once an hour; NULL keys only where that may be paid for."""
        counted = self.session.cache.nulls.get((self.relation, of))
        if counted is None or time.monotonic() - counted[0] > COUNTED_S:
            counted = (time.monotonic(), self._nulls(of))
            self.session.cache.nulls[self.relation, of] = counted
        return counted[1]

    def _nulls(self, of: Nulls) -> int:
        if of == "key" and not tie_breakers(self.relation):
            return 0
        statement, most = statements.null_cursors(self.adapter, self.relation, of), self.session.most_bytes
        if of != "cursor" and most is not None and self.estimate(statement, {}).size > most:
            if of == "key":
                return 0
            # NULL cursors lie in a partition of their own, and are found without the rest.
            statement = statements.null_cursors(self.adapter, self.relation, "cursor")
        return int(self.value(statement, {}) or 0)

    def estimate(self, statement: Statement, values: Mapping[str, str | int]) -> Estimate:
        """What the question would cost."""
        return self.session.estimate(statement.text, self.parameters(values), self.what)

    def parameters(self, values: Mapping[str, str | int]) -> list[ScalarQueryParameter]:
        """Parameters of their columns' types."""
        try:
            return [parameter(name, compared(self.relation, name), value) for name, value in values.items()]
        except ValueError:
            raise SourceError(
                f"{self.what}: a position is no value of its column's type", hint="`smartico-sync watermark show`"
            ) from None

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        text = super().value(statement, values)
        if text is None or described(self.relation, self.relation.cursor).family != "decimal":
            return text
        return str(_plain(pl.Series([text]))[0])

    def typed(self, statement: Statement, tables: list[pa.Table]) -> pl.DataFrame:
        """What the statement selected, from tables of some rows."""
        found = super().typed(statement, tables)
        decimals = [column.name for column in self.relation.columns if column.family == "decimal"]
        decimals += [label for label, name in labels(self.relation) if name in decimals]
        return found.with_columns(_plain(found[name]) for name in decimals if name in found.columns)


def _plain(numbers: pl.Series) -> pl.Series:
    """Decimals without the zeros that say nothing: BigQuery keeps no scale, and Arrow writes them all out."""
    pointed = numbers.str.contains(".", literal=True)
    short = numbers.str.strip_chars_end("0").str.strip_chars_end(".")
    return short if pointed.all() else short.zip_with(pointed, numbers)
