"""One reading over one view: questions that are each answered from the parts of a moment of their own."""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from msgspec.structs import replace

from smartico_sync.sources.clickhouse.session import Session
from smartico_sync.sources.clickhouse.types import CLICKHOUSE, WIDE
from smartico_sync.sources.kit.arrow import from_arrow
from smartico_sync.sources.kit.frames import decoded
from smartico_sync.sources.sql.warehouse import WarehouseReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["ClickHouseReading"]


class ClickHouseReading(WarehouseReading[Session]):
    """ClickHouse knows no transaction over several queries: each sees the parts that are there when it begins."""

    adapter = CLICKHOUSE
    offset = ""

    def begin(self) -> None:
        """Read the time up to which the server knows everything."""
        self.clock_ms = self.session.replication.read(self.session, self.relation)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[pa.Table]:
        """One question; its answer as a table, none when there is no row."""
        table = self.session.table(statement, values or {}, self.what, self.intake)
        return [table] if table.num_rows else []

    def rows_of(self, statement: str, values: Mapping[str, str | int]) -> list[list[object]]:
        """Rows of a question about a statement."""
        return self.session.rows(statement, self.what, values)

    def series(self, values: pa.ChunkedArray) -> pl.Series:
        """Bytes that should be text are decoded: a position must be something."""
        safe = super().series(_safe(values))
        return decoded(safe) if safe.dtype == pl.Binary else safe

    def typed(self, statement: Statement, tables: list[pa.Table]) -> pl.DataFrame:
        """What the statement selected, from its one table."""
        columns = [_safe(values) for values in tables[0].columns]
        columns = [_naive(values, column) for values, column in zip_longest(columns, statement.columns)]
        found = from_arrow(
            self.relation, _as_sent(statement), [pa.table(columns, names=list(map(str, range(len(columns)))))]
        )
        broken = [(name, columns[at]) for name, at in statement.positions if pa.types.is_binary(columns[at].type)]
        found = found.with_columns(self.series(values).alias(name) for name, values in broken)
        wide = [column.name for column in statement.columns if column.type in WIDE]
        return found.with_columns(_narrow(found[name]) for name in wide)


@lru_cache(maxsize=256)
def _as_sent(statement: Statement) -> Statement:
    """Wide integers travel as text."""
    columns = (replace(column, family="text") if column.type in WIDE else column for column in statement.columns)
    return replace(statement, columns=tuple(columns))


def _narrow(text: pl.Series) -> pl.Series:
    """Integers where 64 bits hold them all."""
    narrow = text.cast(pl.Int64, strict=False)
    return narrow if narrow.null_count() == text.null_count() else text


def _safe(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Plain columns; texts as such where they are UTF-8, which ClickHouse does not ask of them, else as bytes."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_binary(values.type):
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            return values
    if pa.types.is_string(values.type):
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            return values.cast(pa.binary())
    return values


def _naive(values: pa.ChunkedArray, column: Column | None) -> pa.ChunkedArray:
    """Times without a zone of their own as the wall clock in UTC, which the source's zone is then applied to."""
    if column is not None and column.family == "timestamp" and pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp(values.type.unit))
    return values
