"""One short read-only transaction over one view."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from smartico_sync.sources.kit.frames import decoded, shortest
from smartico_sync.sources.redshift.session import Answer, Session
from smartico_sync.sources.redshift.types import REDSHIFT
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from smartico_sync.core.relation import Column
    from smartico_sync.sources.protocol import NullScan
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["RedshiftReading"]

NOW = "SELECT now()"  # when the transaction began


class RedshiftReading(ColumnReading[Session]):
    """Reads through one session. `clock_ms` is the server's now when the transaction began, just before its snapshot."""

    adapter = REDSHIFT
    offset = "+00"

    def begin(self) -> None:
        """Open the transaction."""
        self.session.begin(self.what)
        now = self.session.run(NOW, self.what).texts[0][0] or ""
        self.clock_ms = int(datetime.fromisoformat(now).timestamp() * 1000)

    def null_scan(self) -> NullScan:
        """There are no indexes."""
        return "by reading all"

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> Answer:
        """One statement in the reading's transaction."""
        return self.session.run(statement, self.what, values, self.intake)

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """Rows as columns of the text the server sent."""
        return [decoded(part) for part in zip(*self.ask(statement.text, values).rows, strict=True)]

    def shown(self, column: Column, series: pl.Series) -> pl.Series:
        """CHAR without its padding, REAL as it was stored."""
        if column.type.startswith("char("):
            return series.str.strip_chars_end(" ")
        return shortest(series) if column.type == "real" else series
