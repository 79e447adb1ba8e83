"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation, Snapshot
from smartico_sync.errors import SourceError
from smartico_sync.sources import groups, sql
from smartico_sync.sources.frames import empty, from_texts
from smartico_sync.sources.postgresql.session import Answer, Session, literal
from smartico_sync.sources.postgresql.types import POSTGRESQL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.sources.sql import Statement

__all__ = ["PostgresReading", "begin"]

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


class PostgresReading:
    """Reads through one session; the transaction opens with the first question and travels with it."""

    def __init__(self, session: Session, relation: Relation, timeout_ms: int) -> None:
        self._session = session
        self._relation = relation
        self._what = f"view {relation.name}"
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

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        bound = "open" if through is None else "through"
        statement = sql.page(POSTGRESQL, self._relation, sql.shape(self._relation, after), bound)
        values = sql.position_parameters(after) | ({} if through is None else {"through": through})
        return self._whole_groups(statement, values, limit)

    def keys(self, low: str | None, high: str, limit: int, after: Position | None = None) -> pl.DataFrame:
        """Cursor and key of a range."""
        statement = sql.keys(
            POSTGRESQL, self._relation, sql.shape(self._relation, after), "open" if low is None else "low"
        )
        values = sql.position_parameters(after) | sql.count_parameters(low, high)
        return self._whole_groups(statement, values, limit)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return empty(self._relation, "rows")
        size, values = sql.among_parameters(self._relation, wanted)
        return sql.exactly(self._relation, self._frame(sql.rows(POSTGRESQL, self._relation, size), values), wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        keyless = replace(self._relation, key=())
        wanted = [Position(value) for value in values]
        if not wanted:
            return empty(self._relation, "rows")
        size, parameters = sql.among_parameters(keyless, wanted)
        return self._frame(sql.by_cursor(POSTGRESQL, self._relation, size), parameters)

    def head(self) -> str | None:
        """The highest cursor."""
        rows = self.ask(sql.head(POSTGRESQL, self._relation).text % {}).rows
        return rows[0][0] if rows else None

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        return int(self.ask(sql.null_cursors(POSTGRESQL, self._relation).text % {}).rows[0][0] or 0)

    def count(self, low: str | None, high: str) -> int:
        """How many rows are in the range."""
        statement = sql.count(POSTGRESQL, self._relation, "open" if low is None else "low")
        return int(self.ask(_filled(statement, sql.count_parameters(low, high))).rows[0][0] or 0)

    def end(self) -> None:
        """End the transaction if one was begun."""
        if self._session.in_transaction:
            self._session.run("ROLLBACK", self._what)

    def end_quietly(self) -> None:
        """End the transaction on the way out of a failure."""
        with suppress(SourceError):
            self.end()

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction, which the first question opens in the same round trip."""
        if self._facts:
            return self._session.run(statement, self._what)[0]
        facts, *answers = self._session.run(self._opening + statement, self._what)
        self._facts = facts.rows[0]
        return answers[0]

    def explained(self, after: Position | None, limit: int) -> str:
        """The exact text of the page's statement."""
        statement = sql.page(POSTGRESQL, self._relation, sql.shape(self._relation, after), "open")
        return _filled(statement, {**sql.position_parameters(after), "n": limit})

    @property
    def _opened(self) -> tuple[str | None, ...]:
        if not self._facts:
            self._facts = self._session.run(self._opening, self._what)[0].rows[0]
        return self._facts

    def _whole_groups(self, statement: Statement, values: dict[str, str], limit: int) -> pl.DataFrame:
        if self._relation.key:
            return self._frame(statement, {**values, "n": limit})
        return groups.complete(lambda rows: self._frame(statement, {**values, "n": rows}), limit)

    def _frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        query = _filled(statement, values)
        data = self.ask(f"COPY ({query}) TO STDOUT (FORMAT csv, NULL {literal(ABSENT)})").data
        columns = statement.columns
        if not data:
            return empty(self._relation, "rows" if columns else "positions")
        texts = _parsed(data, statement.width, self._what)
        frame = from_texts(columns, texts[: len(columns)], self._relation.timezone)
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


def _filled(statement: Statement, values: Mapping[str, str | int]) -> str:
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
