"""One short transaction over one view: a snapshot where the database allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.sources.kit.frames import UNREADABLE, dtype, empty, from_texts
from smartico_sync.sources.kit.values import position_text
from smartico_sync.sources.mssql.failures import NO_SNAPSHOT
from smartico_sync.sources.mssql.session import Answer, Failed, Session
from smartico_sync.sources.mssql.types import MSSQL, bare, floored
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.mssql.clock import Clock
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["COMMITTED", "FRESH", "SNAPSHOT", "MssqlReading", "isolation"]

SNAPSHOT, COMMITTED = "SNAPSHOT", "READ COMMITTED"
BEGIN = "SET TRANSACTION ISOLATION LEVEL {isolation}; BEGIN TRANSACTION"
ALLOWED = "SELECT snapshot_isolation_state AS state FROM sys.databases WHERE name = DB_NAME()"
ON = 1
# A plan for these very values: one made for the first page of a long history would read the whole table at the head.
FRESH = " OPTION (RECOMPILE)"
MOST_PARAMETERS = 2_000  # the server takes 2,100
MICROSECONDS = len("2026-01-01 00:00:00.000000")


class MssqlReading(SqlReading):
    """Reads through one session; the transaction opens with the first question.

    `old_views` holds names of views for which SNAPSHOT is not to be had, because they read a database that does not allow it.
    """

    adapter = MSSQL

    def __init__(self, session: Session, relation: Relation, clock: Clock, old_views: set[str]) -> None:
        super().__init__(relation)
        self._session = session
        self._clock = clock
        self._old_views = old_views
        self._opened_ms: int | None = None

    @property
    def clock_ms(self) -> int:
        """The server's now, taken just before the snapshot; on a replica the last commit it has replayed."""
        if self._opened_ms is None:
            level = COMMITTED if self.relation.name in self._old_views else isolation(self._session, self.what)
            opening = f"{self._clock.question(self._session, self.what)}; {BEGIN.format(isolation=level)}"
            (now,) = self._session.begin(opening, self.what).rows
            self._opened_ms = self._clock.read(self._clock.replay(self._session, now))
        return self._opened_ms

    def end(self) -> None:
        """End the transaction if one was begun."""
        self._session.end(self.what)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> Answer:
        """One statement in the reading's transaction."""
        assert self.clock_ms is not None, "opens the transaction"
        try:
            return self._session.attempt(statement, self.what, values, (NO_SNAPSHOT,))
        except Failed:
            # The first question of the reading, or it would have failed before: nothing has been read yet.
            self._old_views.add(self.relation.name)
            self.end()
            self._opened_ms = None
            assert self.clock_ms is not None, "opens another transaction"
            return self._session.run(statement, self.what, values)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self._asked(statement, values)
        return position_text(rows[0][0]) if rows else None

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows turned to columns."""
        rows, columns = self._asked(statement, values), statement.columns
        if not rows:
            return empty(self.relation, "rows" if columns else "positions")
        taken = list(zip(*rows, strict=True))
        if not columns:
            named = [self.relation.column(name) for name in (self.relation.cursor, *self.relation.key)]
            return pl.DataFrame(
                [
                    _text(_series(column, taken[index])).alias(label)
                    for column, (label, index) in zip(named, statement.positions, strict=True)
                    if column is not None
                ]
            )
        series = [_series(column, part) for column, part in zip(columns, taken, strict=False)]
        positions = [_text(series[index]).alias(label) for label, index in statement.positions]
        return _typed(columns, series, self.relation.timezone).hstack(positions)

    def moment(self, at_ms: int) -> str:
        """An epoch ms as a cursor's text; one with a zone is written in UTC."""
        text, column = super().moment(at_ms), self.relation.column(self.relation.cursor)
        return text if column is None else floored(column, text)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions, asked for in portions."""
        ask = super().rows
        return self._portioned(ask, list(positions), 1 + len(self.relation.key))

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, asked for in portions."""
        ask = super().by_key
        return self._portioned(ask, list(keys), len(self.relation.key))

    def _portioned(
        self, ask: Callable[[Sequence[Any]], pl.DataFrame], wanted: Sequence[Any], parts: int
    ) -> pl.DataFrame:
        size = 1 << ((MOST_PARAMETERS // parts).bit_length() - 1)  # lists are filled up to a power of two
        portions = [wanted[at : at + size] for at in range(0, len(wanted), size)] or [[]]
        found = [ask(portion) for portion in portions]
        return found[0] if len(found) == 1 else pl.concat(found, how="diagonal")

    def _asked(self, statement: Statement, values: Mapping[str, str | int]) -> Sequence[Sequence[Any]]:
        return self.ask(statement.text + FRESH, values).rows


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


def _text(series: pl.Series) -> pl.Series:
    """A position's text."""
    match series.dtype:
        case pl.String:
            return series
        case pl.Binary:
            return series.bin.encode("hex")
        case pl.Float64:
            return pl.Series([position_text(value) for value in series], dtype=pl.String)
        case pl.Boolean:
            return series.cast(pl.Int8).cast(pl.String)
        case _:
            return series.cast(pl.String)


def _typed(columns: Sequence[Column], series: Sequence[pl.Series], timezone: str) -> pl.DataFrame:
    """Times from text, and all others as they are."""
    times = [column for column in columns if column.family in ("timestamp", "instant")]
    texts = [part.str.head(MICROSECONDS) for column, part in zip(columns, series, strict=True) if column in times]
    parsed = from_texts(times, texts, timezone)
    shown = [
        parsed[column.name] if column in times else _shown(column, part)
        for column, part in zip(columns, series, strict=True)
    ]
    return pl.DataFrame([*shown, *([parsed[UNREADABLE]] if UNREADABLE in parsed.columns else [])])


def _shown(column: Column, series: pl.Series) -> pl.Series:
    """A `real` has 24 bits: its shortest decimal is what was stored, where the double it travels as has a long tail."""
    return series.cast(pl.Float32).cast(pl.String).cast(pl.Float64) if bare(column) == "real" else series
