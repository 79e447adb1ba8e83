"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

import codecs
import json
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.few_texts import FEW
from smartico_sync.core.relation import Snapshot
from smartico_sync.errors import PositionUnfit, SourceError, ViewBroken
from smartico_sync.sources.kit.frames import with_reasons
from smartico_sync.sources.kit.positions import compared
from smartico_sync.sources.postgresql.digests import FIRST_TO_HASH, digest_of, told
from smartico_sync.sources.postgresql.facts import ask_pins
from smartico_sync.sources.postgresql.replication import ask_replication
from smartico_sync.sources.postgresql.session import Answer, Session, literal
from smartico_sync.sources.postgresql.transaction import FIRST_TO_TIME_EACH
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.protocol import Scan
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column
    from smartico_sync.core.replication import Replication
    from smartico_sync.sources.protocol import Digest, Landmarks, NullScan
    from smartico_sync.sources.sql.reading import Values
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["PostgresReading"]

# What COPY prints for NULL: nobody can have stored it, so it never hides a value.
ABSENT = "\\" + secrets.token_hex(4)
NO_TEXT = secrets.token_hex(8)  # stands for bytes that are no text, until their value is left out; likewise
MARKED = "smartico-sync-marked"
CHEAP = 1_000  # of the planner's units, each a page read in order: 8 MB
FEW_ROWS = 10_000  # up to so many COPY saves little; positions alone are few bytes a row, however many they are


class PostgresReading(ColumnReading[Session]):
    """Reads through one session; the snapshot, and the clock with it, is taken when the transaction begins.

    `clock_ms` is the transaction's start by the server's clock; on a standby the time it has replayed up to.
    """

    adapter = POSTGRESQL
    offset = "+00"
    star: Answer | None = None
    """The view's columns as they were after all that was asked, where the beginning of the reading brought them."""
    _came: Sequence[tuple[Statement, Mapping[str, str | int], Answer]] = ()
    _before = ""  # what goes with the next statement
    _bytes: Literal["text", "some that are no text"] = "text"  # of all that this reading was answered

    def begin(self) -> None:
        """Open the transaction, if it can be with what will be asked for first."""
        asked = list(self._foreseen_questions())
        queries = [statement.filled(literal, values) for statement, values in asked]
        if asked and self.foreseen is not None and self.foreseen.holds == "rows":
            queries.append(f"{statements.star(self.adapter, self.relation) % {}}\n")
        with self.bounded(self.foreseen.limit if asked and self.foreseen is not None else 1):
            begun, came = self.session.begin_reading(self.what, ";".join(queries), self.intake)
        clock_ms, low, high, server = begun
        self._came = [(*question, answer) for question, answer in zip(asked, came, strict=False)]
        self.first = self.foreseen if came else None
        self.star = came[-1] if len(came) > len(asked) else None
        self.clock_ms = int(clock_ms or 0)
        self.server = server or ""
        self.snapshot = None if low is None or high is None else Snapshot(int(low), int(high))

    def _foreseen_questions(self) -> Iterator[tuple[Statement, Values]]:
        """The page that is foreseen, and keys; nothing where it is to be asked for on its own."""
        first, session = self.foreseen, self.session
        if first is None or first.limit >= FEW_ROWS or session.version < FIRST_TO_TIME_EACH or session.raw:
            return
        statement, values = self.page_question(first.after)
        yield statement, {**values, "n": self.asked_first(first.limit)}
        if (keys := first.keys) is not None:
            statement, values = self.keys_question(keys.low, keys.high, keys.after)
            yield statement, {**values, "n": self.asked_first(keys.limit)}

    def replication(self) -> Replication:
        """Whether it is a standby, and how it follows."""
        return ask_replication(self.session, self.what)

    def pinned_by(self) -> str:
        """The oldest writer of any database, and the oldest prepared transaction."""
        return ask_pins(self.session)

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction."""
        self.star = None
        before, self._before = self._before, ""
        return self.session.run(f"{before}{statement}", self.what, self.intake)[-1]

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self.ask(statement.filled(literal, values)).rows
        return rows[0][0] if rows else None

    def digest(self, of: Literal["rows", "keys"], after: Position | None, high: str) -> Digest | None:
        """Summed up by the server, so that one row is sent."""
        if self.session.version < FIRST_TO_HASH:
            return None
        return told(self.ask(digest_of(self.relation, Scan(of, after, high))))

    def landmarks(self, landmarks: Landmarks) -> Digest | None:
        """Likewise."""
        if self.session.version < FIRST_TO_HASH:
            return None
        return told(self.ask(digest_of(self.relation, landmarks)))

    def within(self, statement: Statement, patience_ms: int) -> Statement:
        """The server's own timeout, for the rest of the transaction; set in the same round trip where it then holds at once."""
        limit = f"SELECT set_config('statement_timeout', '{patience_ms}', true);"
        if self.session.version < FIRST_TO_TIME_EACH:
            self.ask(limit)
        else:
            self._before = limit
        return statement

    def null_scan(self) -> NullScan:
        """By the planner's cost, which is that of a few pages where an index serves or the table is small."""
        query = statements.null_rows(self.adapter, self.relation).filled(literal, {})
        document = "\n".join(row[0] or "" for row in self.ask(f"EXPLAIN (FORMAT JSON) {query}").rows)
        return "by index" if json.loads(document)[0]["Plan"]["Total Cost"] < CHEAP else "by reading all"

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows, typed; a handful one by one."""
        answer = self._answer(statement, values)
        if answer.result is not None and 0 < answer.height <= FEW:
            with suppress(UnicodeDecodeError):
                made = self.few(statement, answer.texts)
                if made is not None:
                    return made
        return self.framed(statement, self._series(statement, answer))

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """The same as texts."""
        return self._series(statement, self._answer(statement, values))

    def _answer(self, statement: Statement, values: Mapping[str, str | int]) -> Answer:
        """Rows as the texts that the server prints: many by COPY, which is faster, few by the SELECT itself.

        Until PostgreSQL 16 each COPY is a statement of its own for pg_stat_statements, whose constants are not left out: one
        for every poll would drive all others from its table.
        """
        for question, foreseen, came in self._came:
            if question is statement and foreseen == values:
                return came
        query = statement.filled(literal, values)
        try:
            if int(values.get("n", 0)) <= FEW_ROWS or not statement.columns:
                return self.ask(query)
            return self.ask(f"COPY ({query}) TO STDOUT (FORMAT csv, NULL {literal(ABSENT)})")
        except ViewBroken as broken:
            raise self._no_position(values) or broken from None

    def _series(self, statement: Statement, answer: Answer) -> list[pl.Series]:
        if answer.result is not None:
            return self._decoded(answer)
        return self._parsed(answer.data, statement.width) if answer.data else []

    def _decoded(self, answer: Answer) -> list[pl.Series]:
        if not answer.height:
            return []
        columns = answer.columns
        try:
            return [pl.Series(values, dtype=pl.Binary).cast(pl.String) for values in columns]
        except (pl.exceptions.PolarsError, UnicodeDecodeError):
            self._bytes = "some that are no text"
        marked = [[value if value is None else value.decode(errors=MARKED) for value in values] for values in columns]
        return [pl.Series(values, dtype=pl.String) for values in marked]

    def typed(self, columns: Sequence[Column], series: Sequence[pl.Series]) -> pl.DataFrame:
        """As of any engine; a value with bytes that are no text spoils its own row only."""
        if self._bytes == "text":
            return super().typed(columns, series)
        spoilt = [values.str.contains(NO_TEXT, literal=True).fill_null(value=False) for values in series]
        kept = [values.set(rows, None) for values, rows in zip(series, spoilt, strict=True)]
        unfit = [(column, rows) for column, rows in zip(columns, spoilt, strict=True) if rows.any()]
        why = f"not valid UTF-8 (the database's encoding is {self.session.encoding}): convert it in the view"
        return with_reasons(super().typed(columns, kept), unfit, why)

    def text(self, series: pl.Series) -> pl.Series:
        """The texts of positions."""
        return series if self._bytes == "text" else series.str.replace_all(NO_TEXT, "\ufffd", literal=True)

    def _no_position(self, values: Mapping[str, str | int]) -> PositionUnfit | None:
        """After a failure: whether it was a value of the position that is none of its column's."""
        for parameter, text in values.items():
            column = compared(self.relation, parameter)
            if column is None:
                continue
            try:
                self.session.end(self.what)
                self.session.begin(self.what)
                self.session.run(f"SELECT {literal(text)}::{column.type}", self.what)
            except ViewBroken:
                return PositionUnfit(
                    f"{self.what}: its position holds what is no {column.type}, the type that {column.name} has now",
                    hint=f"place it anew: smartico-sync watermark rewind {self.relation.name} --to …",
                )
            except SourceError:
                return None
        return None

    def _parsed(self, data: bytes, width: int) -> list[pl.Series]:
        try:
            frame = _csv(data, width)
        except pl.exceptions.PolarsError:
            self._bytes = "some that are no text"
            frame = _csv(data.decode(errors=MARKED).encode(), width)
        # What was parsed in pieces would be gathered and joined again by each step that follows.
        return frame.rechunk().get_columns()


def _csv(data: bytes, width: int) -> pl.DataFrame:
    return pl.read_csv(
        data,
        has_header=False,
        schema=dict.fromkeys((str(index) for index in range(width)), pl.String),
        null_values=[ABSENT],
        empty_string_is_null=False,
    )


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return NO_TEXT, error.end


codecs.register_error(MARKED, _marked)
