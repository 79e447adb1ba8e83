"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.relation import Snapshot
from smartico_sync.errors import SourceError
from smartico_sync.sources.postgresql.facts import ask_pins
from smartico_sync.sources.postgresql.session import Answer, Session, literal
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.sources.sql.statements import Statement

__all__ = ["PostgresReading"]

# What COPY prints for NULL: nobody can have stored it, so it never hides a value.
ABSENT = "\\" + secrets.token_hex(4)


class PostgresReading(ColumnReading[Session]):
    """Reads through one session; the snapshot, and the clock with it, is taken when the transaction begins.

    `clock_ms` is the transaction's start by the server's clock; on a standby the time it has replayed up to.
    """

    adapter = POSTGRESQL
    offset = "+00"

    def begin(self) -> None:
        """Open the transaction."""
        clock_ms, low, high, server = self.session.begin_reading(self.what)
        self.clock_ms = int(clock_ms or 0)
        self.server = server or ""
        self.snapshot = None if low is None or high is None else Snapshot(int(low), int(high))

    def pinned_by(self) -> str:
        """The oldest writer of any database, prepared transaction or replication slot."""
        return ask_pins(self.session)

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction."""
        return self.session.run(statement, self.what)[0]

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self.ask(statement.filled(literal, values)).rows
        return rows[0][0] if rows else None

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """Rows by COPY, which gives each value as the text the server prints."""
        query = statement.filled(literal, values)
        data = self.ask(f"COPY ({query}) TO STDOUT (FORMAT csv, NULL {literal(ABSENT)})").data
        return _parsed(data, statement.width, self.what) if data else []


def _parsed(data: bytes, width: int, what: str) -> list[pl.Series]:
    names = [str(index) for index in range(width)]
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            null_values=[ABSENT],
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        raise SourceError(
            f"{what}: a value is not valid UTF-8", hint="the database's encoding is SQL_ASCII: convert it in the view"
        ) from None
    return frame.get_columns()
