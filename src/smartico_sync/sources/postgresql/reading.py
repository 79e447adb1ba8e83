"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.relation import Snapshot
from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.frames import empty, from_texts
from smartico_sync.sources.postgresql.session import Answer, Session, literal
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["PostgresReading", "begin", "filled"]

FIRST_WITH_PG_SNAPSHOT = 130_000  # before 13 the same functions are called txid_*
FIRST_WITH_FENCE = 100_000
# What COPY prints for NULL: nobody can have stored it, so it never hides a value.
ABSENT = "\\" + secrets.token_hex(4)
# A standby knows everything up to the last commit it has replayed, and no more: also when all that was received is
# replayed, for what the primary has not shipped yet may be older than now.
CLOCK = """CASE WHEN pg_is_in_recovery()
 THEN coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()) ELSE now() END"""


def begin(timeout_ms: int) -> str:
    """Opens a read-only transaction; everything is set in it, so that a pooler between us and the server does no harm."""
    return (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        f"SET LOCAL TimeZone='UTC';SET LOCAL DateStyle='ISO, YMD';SET LOCAL statement_timeout={timeout_ms};"
        "SET LOCAL IntervalStyle='postgres';SET LOCAL extra_float_digits=3;SET LOCAL bytea_output='hex';"
    )


class PostgresReading(SqlReading):
    """Reads through one session; the transaction opens with the first question and travels with it."""

    adapter = POSTGRESQL
    offset = "+00"

    def __init__(self, session: Session, relation: Relation, timeout_ms: int) -> None:
        super().__init__(relation)
        self._session = session
        self._opening = begin(timeout_ms) + _facts(session.version)
        self._facts: tuple[str | None, ...] = ()

    @property
    def clock_ms(self) -> int:
        """The transaction's start by the server's clock; on a standby the time it has replayed up to."""
        return int(self._opened[0] or 0)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot every page of this reading sees."""
        _, low, high = self._opened
        return None if low is None or high is None else Snapshot(int(low), int(high))

    def end(self) -> None:
        """End the transaction if one was begun."""
        if self._session.in_transaction:
            self._session.run("ROLLBACK", self.what)

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction, which the first question opens in the same round trip."""
        if self._facts:
            return self._session.run(statement, self.what)[0]
        facts, *answers = self._session.run(self._opening + statement, self.what)
        self._facts = facts.rows[0]
        return answers[0]

    @property
    def _opened(self) -> tuple[str | None, ...]:
        if not self._facts:
            self._facts = self._session.run(self._opening, self.what)[0].rows[0]
        return self._facts

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self.ask(filled(statement, values)).rows
        return rows[0][0] if rows else None

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows by COPY, which gives each value as the text the server prints."""
        query = filled(statement, values)
        data = self.ask(f"COPY ({query}) TO STDOUT (FORMAT csv, NULL {literal(ABSENT)})").data
        columns = statement.columns
        if not data:
            return empty(self.relation, "rows" if columns else "positions")
        texts = _parsed(data, statement.width, self.what)
        frame = from_texts(columns, texts[: len(columns)], self.relation.timezone)
        positions = [texts[index].alias(name) for name, index in statement.positions]
        return frame.hstack(positions) if columns else pl.DataFrame(positions)


def _facts(version: int) -> str:
    if version < FIRST_WITH_FENCE:
        return "SELECT floor(extract(epoch FROM now()) * 1000)::bigint, NULL, NULL;"
    if version < FIRST_WITH_PG_SNAPSHOT:
        xmax = "txid_snapshot_xmax(txid_current_snapshot())"
        snapshot = f"txid_snapshot_xmin(txid_current_snapshot()), {xmax} + age((({xmax}) % 4294967296)::text::xid)"
    else:
        # A snapshot's xmax is one past the last id that ended; its age leads to the next one that will be given out.
        xmax = "pg_snapshot_xmax(pg_current_snapshot())"
        snapshot = f"pg_snapshot_xmin(pg_current_snapshot()), {xmax}::text::bigint + age({xmax}::xid)"
    return f"SELECT floor(extract(epoch FROM {CLOCK}) * 1000)::bigint, {snapshot};"  # noqa: S608  - constants only


def filled(statement: Statement, values: Mapping[str, str | int]) -> str:
    """The statement's text with its parameters as constants."""
    return statement.text % {name: literal(value) for name, value in values.items()}


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
