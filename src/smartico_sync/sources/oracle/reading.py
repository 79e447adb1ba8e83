"""One short read-only transaction over one view."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
from msgspec.structs import replace

from smartico_sync.core.replication import Replication
from smartico_sync.sources.kit.frames import decoded, shortest, whole
from smartico_sync.sources.kit.positions import compared
from smartico_sync.sources.kit.printed import from_texts
from smartico_sync.sources.oracle.clock import STANDBY
from smartico_sync.sources.oracle.session import Session
from smartico_sync.sources.oracle.types import NATIONAL, ORACLE, stamp
from smartico_sync.sources.sql.names import constant
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import NullScan
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["OracleReading", "bound", "filled"]

LISTED = 512  # values of one IN list
PADDED = ("CHAR", "NCHAR")


class OracleReading(ColumnReading[Session]):
    """Reads through one session.

    `clock_ms` is the database's now, taken just before the snapshot; on a standby the time it has applied up to.
    """

    adapter = ORACLE

    def begin(self) -> None:
        """Read the clock, then open the transaction."""
        self.session.name(self.relation.name)
        self.clock_ms = self.session.clock.read(self.session, self.what)
        self.session.begin(self.what)

    def replication(self) -> Replication:
        """Whether it is a standby, and how far it is behind, as far as the user may ask."""
        standing = self.session.clock.standing(self.session, self.what)
        if standing.role != STANDBY:
            return Replication("primary", standing.now_ms)
        if standing.lag_ms is None:
            return Replication("unknown", standing.now_ms)
        return Replication("replica", standing.now_ms, standing.lag_ms)

    def null_scan(self) -> NullScan:
        """An index leaves out the rows that are NULL in all of its columns."""
        return "not at all"

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> pl.DataFrame:
        """One query in the reading's transaction, as columns."""
        columns = {name: compared(self.relation, name) for name in values or {}}
        national = [name for name, column in columns.items() if column is not None and column.type in NATIONAL]
        return self.session.frames(statement, bound(self.relation, values or {}), national, self.what, self.intake)

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """The driver's columns; a count comes as a float."""
        data = self.ask(statement.text, values)
        if not data.height:
            return []
        series = data.get_columns()
        return series if statement.positions else [
            part.cast(pl.Int64) if part.dtype == pl.Float64 else part for part in series
        ]  # fmt: skip

    def text(self, series: pl.Series) -> pl.Series:
        """The driver does not look at the bytes of a text, and polars trusts it: so they are looked at here."""
        if series.dtype == pl.String:
            return decoded(series.cast(pl.Binary))
        return series.bin.encode("hex") if series.dtype == pl.Binary else series.cast(pl.String)

    def typed(self, columns: Sequence[Column], series: Sequence[pl.Series]) -> pl.DataFrame:
        """What came as text is parsed; integers wider than 64 bits stay text."""
        shown = list(map(self.shown, columns, series))
        kinds = [
            replace(column, family="text") if column.family == "integer" and part.dtype == pl.String else column
            for column, part in zip(columns, shown, strict=True)
        ]
        return from_texts(kinds, shown, self.relation.timezone)

    def shown(self, column: Column, series: pl.Series) -> pl.Series:
        """Plain text, where the server writes values in a way of its own."""
        if series.dtype in (pl.Binary, pl.Boolean):
            return series
        if column.family == "integer":
            numbers = whole(series)
            return numbers if numbers.null_count() == series.null_count() else series.cast(pl.String)
        text = self.text(series)
        if column.type == "NUMBER":
            return _number(text)
        if column.family in ("timestamp", "instant"):
            # A year before 1 has a sign, which a pattern of times would take for one.
            return text.str.replace("^-", "BC ") if text.str.starts_with("-").any() else text
        if column.type in PADDED:
            return text.str.strip_chars_end(" ")
        return shortest(text) if column.type == "BINARY_FLOAT" else text

    def most_listed(self, parts: int) -> int:  # noqa: ARG002  - a limit of each list
        """Oracle takes a thousand, and lists are filled up to a power of two."""
        return LISTED


def bound(relation: Relation, values: Mapping[str, str | int]) -> dict[str, str | int]:
    """Parameters in the form that the statement parses."""
    return {
        name: stamp(column, value) if isinstance(value, str) and (column := compared(relation, name)) else value
        for name, value in values.items()
    }


def filled(relation: Relation, statement: Statement, values: Mapping[str, str | int]) -> str:
    """The statement's text with its parameters as constants, where there can be none."""
    texts = {
        name: constant(value) if isinstance(value, str) else str(value)
        for name, value in bound(relation, values).items()
    }
    # Strings and quoted names stay as they are: a colon in them is no parameter.
    return re.sub(r"""('[^']*'|"[^"]*")|:(\w+)""", lambda found: found[1] or texts[found[2]], statement.text)


def _number(text: pl.Series) -> pl.Series:
    """TM9 leaves out the zero before the point, and writes what is longer than 64 characters with an exponent."""
    pointed = text.str.replace(r"^(-?)\.", "${1}0.")
    odd = pointed.str.contains(r"[^0-9.\-]")
    if not odd.any():
        return pointed
    return pl.Series(text.name, [_plain(value) for value in pointed], dtype=pl.String)


def _plain(value: str | None) -> str | None:
    if value is None or "~" in value:
        return value and "Infinity"
    return format(Decimal(value), "f")
