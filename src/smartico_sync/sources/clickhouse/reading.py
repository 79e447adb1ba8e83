"""One reading over one view: questions that are each answered from the parts of a moment of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from smartico_sync.sources.clickhouse.session import Session
from smartico_sync.sources.clickhouse.types import CLICKHOUSE, WIDE
from smartico_sync.sources.kit.arrow import from_arrow, position_texts
from smartico_sync.sources.kit.frames import decoded, empty
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["ClickHouseReading"]


class ClickHouseReading(SqlReading[Session]):
    """Reads through one session.

    ClickHouse knows no transaction over several queries: each sees the parts that are there when it begins. A later question
    of a reading may therefore see more than an earlier one, and the clock is read before both: what appears in between is
    above the page, or found as a late row.
    """

    adapter = CLICKHOUSE

    def begin(self) -> None:
        """Read the time up to which the server knows everything."""
        self.clock_ms = self.session.replication.read(self.session, self.relation)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> pa.Table:
        """One question; its answer as a table."""
        return self.session.table(statement, values or {}, self.what)

    def rows_of(self, statement: str, values: Mapping[str, str | int]) -> list[list[object]]:
        """Rows of a question about a statement."""
        return self.session.rows(statement, self.what, values)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        table = self.ask(statement.text, values)
        if not table.num_rows:
            return None
        text: str | None = position_texts(_decoded(pl.Series(pl.from_arrow(_safe(table.column(0))))))[0]
        return text

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as the driver's Arrow table, typed."""
        table = self.ask(statement.text, values)
        if not table.num_rows:
            return empty(self.relation, "rows" if statement.columns else "positions")
        columns = [_safe(values) for values in table.columns]
        columns = [_naive(values, column) for values, column in _paired(columns, statement.columns)]
        found = from_arrow(
            self.relation, _as_sent(statement), [pa.table(columns, names=list(map(str, range(len(columns)))))]
        )
        broken = [(name, columns[at]) for name, at in statement.positions if pa.types.is_binary(columns[at].type)]
        found = found.with_columns(_decoded(pl.Series(pl.from_arrow(values))).alias(name) for name, values in broken)
        wide = [column.name for column in statement.columns if column.type in WIDE]
        return found.with_columns(_narrow(found[name]) for name in wide)


def _paired(columns: list[pa.ChunkedArray], told: tuple[Column, ...]) -> list[tuple[pa.ChunkedArray, Column | None]]:
    return [(values, told[at] if at < len(told) else None) for at, values in enumerate(columns)]


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


def _decoded(values: pl.Series) -> pl.Series:
    """Bytes that should be text: a position must be something."""
    return decoded(values) if values.dtype == pl.Binary else values


def _naive(values: pa.ChunkedArray, column: Column | None) -> pa.ChunkedArray:
    """Times without a zone of their own as the wall clock in UTC, which the source's zone is then applied to."""
    if column is not None and column.family == "timestamp" and pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp(values.type.unit))
    return values
