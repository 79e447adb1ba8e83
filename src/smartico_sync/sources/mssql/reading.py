"""One short transaction over one view: a snapshot where the database allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.frames import dtype, shortest
from smartico_sync.sources.kit.positions import described, labels
from smartico_sync.sources.kit.values import position_text
from smartico_sync.sources.mssql.failures import NO_SNAPSHOT
from smartico_sync.sources.mssql.session import Answer, Session
from smartico_sync.sources.mssql.types import MSSQL, truncated, type_word
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Column
    from smartico_sync.core.replication import Replication
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["COMMITTED", "FRESH", "SNAPSHOT", "MssqlReading", "isolation"]

SNAPSHOT, COMMITTED = "SNAPSHOT", "READ COMMITTED"
BEGIN = "SET TRANSACTION ISOLATION LEVEL {isolation}; BEGIN TRANSACTION"
ALLOWED = "SELECT snapshot_isolation_state AS state FROM sys.databases WHERE name = DB_NAME()"
ON = 1
# A plan for these very values: one made for the first page of a long history would read the whole table at the head.
FRESH = " OPTION (RECOMPILE)"
MOST_PARAMETERS = 2_000  # the server takes 2,100
STOPPED = "on the secondary replica: ALTER DATABASE … SET HADR RESUME, or look why it does not follow"
MICROSECONDS = len("2026-01-01 00:00:00.000000")


class MssqlReading(ColumnReading[Session]):
    """Reads through one session.

    `clock_ms` is the server's now, taken just before the snapshot; on a replica the last commit it has replayed.
    """

    adapter = MSSQL

    def begin(self) -> None:
        """Read the clock and open the transaction, in one batch."""
        level = COMMITTED if self.relation.name in self.session.old_views else isolation(self.session, self.what)
        opening = f"{self.session.clock.question(self.session, self.what)}; {BEGIN.format(isolation=level)}"
        (now,) = self.session.begin(self.what, opening).rows
        self._replay = self.session.clock.replay(self.session, now)
        self.clock_ms = self.session.clock.complete_ms(self._replay)

    def replication(self) -> Replication:
        """Whether it is a secondary replica, and how it follows, as far as the login may ask."""
        return self.session.clock.replication(self._replay, STOPPED)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> Answer:
        """One statement in the reading's transaction."""
        try:
            return self.session.attempt(statement, self.what, values, expected=(NO_SNAPSHOT,), intake=self.intake)
        except StatementFailed:
            # The first question of the reading, or it would have failed before: nothing has been read yet.
            self.session.old_views.add(self.relation.name)
            self.end()
            self.begin()
            return self.session.run(statement, self.what, values, self.intake)

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """Rows turned to columns."""
        taken = list(zip(*self.ask(statement.text + FRESH, values).rows, strict=True))
        if not taken or not statement.positions:  # a count
            return [pl.Series([position_text(value) for value in part], dtype=pl.String) for part in taken]
        columns = statement.columns or [described(self.relation, name) for _, name in labels(self.relation)]
        return [_series(column, part) for column, part in zip(columns, taken, strict=False)]

    def text(self, series: pl.Series) -> pl.Series:
        """The texts of positions."""
        match series.dtype:
            case pl.String:
                return series
            case pl.Binary:
                return series.bin.encode("hex")
            case pl.Float64:
                return pl.Series([position_text(value) for value in series], dtype=pl.String)
            case pl.Boolean:
                return series.cast(pl.Int8).cast(pl.String)
        return series.cast(pl.String)

    def shown(self, column: Column, series: pl.Series) -> pl.Series:
        """Times to the microsecond; a `real` as it was stored."""
        if column.family in ("timestamp", "instant"):
            return series.str.head(MICROSECONDS)
        return shortest(series).cast(pl.Float64) if type_word(column) == "real" else series

    def moment(self, at_ms: int) -> str:
        """An epoch ms as a cursor's text; one with a zone is written in UTC."""
        return truncated(described(self.relation, self.relation.cursor), super().moment(at_ms))

    def most_listed(self, parts: int) -> int:
        """Lists are filled up to a power of two."""
        return 1 << ((MOST_PARAMETERS // parts).bit_length() - 1)


def isolation(session: Session, what: str) -> str:
    """SNAPSHOT where the database allows it; asked once a connection."""
    if not session.isolation:
        rows = session.run(ALLOWED, what).rows
        session.isolation = SNAPSHOT if rows and rows[0][0] == ON else COMMITTED
    return session.isolation


def _series(column: Column, values: Sequence[Any]) -> pl.Series:
    """A column as the driver gave it: times and decimals still as text."""
    kind = pl.String() if column.family in ("timestamp", "instant") else dtype(column.family)
    if column.family == "binary":
        return pl.Series(column.name, [None if value is None else bytes(value) for value in values], dtype=kind)
    return pl.Series(column.name, values, dtype=kind)
