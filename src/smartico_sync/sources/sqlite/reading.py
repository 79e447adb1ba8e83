"""One deferred transaction over one view of a SQLite file."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec.structs import replace

from smartico_sync.sources.kit.frames import empty, from_values
from smartico_sync.sources.kit.positions import compared
from smartico_sync.sources.kit.values import MILLISECONDS_FROM, position_text
from smartico_sync.sources.protocol import Digest, Landmarks, Scan
from smartico_sync.sources.sql import looks, statements
from smartico_sync.sources.sql.reading import SqlReading
from smartico_sync.sources.sqlite.session import Session
from smartico_sync.sources.sqlite.types import SQLITE, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Family
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["SqliteReading"]

DECLARED = ("integer", "decimal")  # numbers that are read as text where one is more than a number
EXACT = 2**53  # whole numbers up to here are the same as a double
# How a time is written in text; what stands there decides how texts compare.
FORM = re.compile(r"\d{4}-\d\d-\d\d(?P<between>[ T])\d\d:\d\d:\d\d(?P<fraction>(?:\.\d+)?)(?P<zone>Z|(?:[+-][\d:]+)?)")


def as_stored(
    columns: Sequence[Column], values_of: Sequence[Sequence[Any]], cursor: str
) -> tuple[Sequence[Column], Sequence[Sequence[Any]]]:
    """Columns and their values; a column that holds more than the numbers its declared type, or its first value, promised is text.

    What reads the text decides whether it means something. The declared type of a cursor holds.
    """
    told, held = list(columns), list(values_of)
    for place, column in enumerate(columns):
        if column.family not in (DECLARED if column.type else ("integer", "float")) or column.name == cursor:
            continue
        values = held[place]
        kinds = set(map(type, values))
        if column.type and str in kinds:
            values = [None if isinstance(value, str) and not value.strip() else value for value in values]
            kinds = set(map(type, values))
        exact = not column.type and int in kinds and any(exact_only_as_text(column.family, value) for value in values)
        if str in kinds or exact:
            told[place], held[place] = replace(column, family="text"), [as_written(value) for value in values]
    return told, held


def exact_only_as_text(family: Family, value: object) -> bool:
    """Whether a whole number would lose digits among floating-point ones."""
    return family == "float" and isinstance(value, int) and abs(value) > EXACT


def as_written(value: float | str | bytes | None) -> str | bytes | None:
    """A number as text, a whole one without its point."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, int) else value


def position_texts(name: str, values: Sequence[Any]) -> pl.Series:
    """See `position_text`; most positions are texts or whole numbers all."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return pl.Series(name, values, dtype=pl.String)
    if kinds == {int}:
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.String)
    return pl.Series(name, [position_text(value) for value in values], dtype=pl.String)


class SqliteReading(SqlReading[Session]):
    """One transaction through one session."""

    adapter = SQLITE

    def begin(self) -> None:
        """Read the clock, which file and daemon share, then open the transaction."""
        self.clock_ms = time.time_ns() // 1_000_000
        self.session.begin(self.what)

    def moment(self, at_ms: int) -> str:
        """An epoch ms in the form the file's newest cursor has: texts are compared letter by letter."""
        if self.relation.epoch:
            return super().moment(at_ms)
        head = self.head() or ""
        if head.lstrip("-").isdigit():
            return str(at_ms if int(head) >= MILLISECONDS_FROM else at_ms // 1000)
        text = super().moment(at_ms)
        form = FORM.fullmatch(head)
        if form is None:
            return text
        day, _, time_of_day = text.partition(" ")
        second, _, fraction = time_of_day.partition(".")
        fraction = fraction.ljust(len(form["fraction"]) - 1, "0")
        return f"{day}{form['between']}{second}{'.' if fraction else ''}{fraction}{form['zone']}"

    def steps(self, after: Position | None, limit: int) -> list[str]:
        """SQLite's plan for the page, one line a step."""
        statement, values = self.poll_statement(after, limit)
        # Python keeps prepared statements, and a prepared EXPLAIN does not notice a new index: make each its own.
        fresh = f"EXPLAIN QUERY PLAN /* {time.monotonic_ns()} */ {statement.text}"
        return [row[3] for row in self.ask(fresh, self._bound(values) | dict(statement.constants))]

    def behind(self, after: Position | None) -> bool:
        """Whether `page` would return any row, told by the poll's own statement."""
        return bool(self._told(*self.poll_statement(after, 1)))

    def without_place(self) -> bool:
        """Whether a row has no cursor."""
        return bool(self._told(statements.null_rows(SQLITE, self.relation), {}))

    def digest(self, of: Literal["rows", "keys"], after: Position | None, high: str) -> Digest:
        """Summed up row by row, and no row kept: the file is read in this process."""
        return self._summed(looks.scanned(SQLITE, self.relation, Scan(of, after, high)))

    def landmarks(self, landmarks: Landmarks) -> Digest:
        """Likewise, and the ends of the order."""
        parts = [self._summed(look) for look in looks.landmarks(SQLITE, self.relation, landmarks)]
        lowest = self._summed(looks.first(SQLITE, self.relation, landmarks.high))
        ends = f"{lowest.sum} {self.head()!r}"
        return Digest(sum(part.rows for part in parts), " ".join([*(part.sum for part in parts), ends]))

    def told(self, what: Scan | Landmarks) -> Digest:
        """Either of the two."""
        return self.landmarks(what) if isinstance(what, Landmarks) else self.digest(what.of, what.after, what.high)

    def _summed(self, look: looks.Filled) -> Digest:
        statement, values = look
        return Digest(*self.session.sum(statement.text, self.what, self._bound(values) | dict(statement.constants)))

    def ask(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self.session.ask(statement, self.what, values, self.intake)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        rows = self._told(statement, values)
        return position_text(rows[0][0]) if rows else None

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as Python's values, turned to columns."""
        rows = self._told(statement, values)
        if not rows:
            return empty(self.relation, "rows" if statement.columns else "positions")
        selected = tuple(zip(*rows, strict=True))
        positions = [position_texts(name, selected[index]) for name, index in statement.positions]
        if not statement.columns:
            return pl.DataFrame(positions)
        columns, values_of = as_stored(statement.columns, selected[: len(statement.columns)], self.relation.cursor)
        return from_values(columns, values_of, self.relation.timezone).hstack(positions)

    def _told(self, statement: Statement, values: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
        return self.ask(statement.text, self._bound(values) | dict(statement.constants))

    def _bound(self, values: Mapping[str, str | int]) -> dict[str, Any]:
        """Parameters as values of their columns."""
        bound: dict[str, Any] = {}
        for parameter, text in values.items():
            column = compared(self.relation, parameter)
            bound[parameter] = text if column is None or isinstance(text, int) else stored(column.family, text)
        return bound
