"""The questions of `protocol.Reading`, asked in SQL: an engine only says how a statement is run."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from smartico_sync.core.picked import table
from smartico_sync.sources.kit import keyless_pages, whole_ties
from smartico_sync.sources.kit.few_values import few_rows
from smartico_sync.sources.kit.frames import CURSOR, empty
from smartico_sync.sources.kit.pool import Link
from smartico_sync.sources.kit.positions import (
    among_parameters,
    key_parameters,
    position_parameters,
    range_parameters,
    tie_breakers,
)
from smartico_sync.sources.kit.printed import from_texts
from smartico_sync.sources.kit.reading import BaseReading
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Family, Relation
    from smartico_sync.sources.kit.positions import Label
    from smartico_sync.sources.kit.whole_ties import Place
    from smartico_sync.sources.protocol import End, Nulls
    from smartico_sync.sources.sql.statements import Adapter, Statement

__all__ = ["ColumnReading", "SqlReading", "SqlSession", "Ties", "Values"]

Values = dict[str, str | int]
Ties = Literal[
    "by collation",  # the engine may take keys for equal that differ in letter case, accents or trailing blanks
    "exact",  # two keys are equal where their texts are: a question at each edge of a page would cost too much
]

# Families whose equal values may have two texts: letter case and blanks, 1.0 and 1.00.
WRITTEN_IN_MANY_WAYS: tuple[Family, ...] = ("text", "decimal", "float", "other")
ALL = 2**31 - 1  # rows, as every engine can count them


class SqlSession(Link, Protocol):
    """One connection."""

    def begin(self, what: str) -> Any:
        """Open a read-only transaction, where the engine has one. `what` names the view for messages, here and below."""

    def end(self, what: str) -> None:
        """End the transaction if one was begun."""


S = TypeVar("S", bound=SqlSession)


class SqlReading(BaseReading, Generic[S]):
    """One short read-only transaction over one described relation, through one session.

    `values` are a statement's parameters by name; `n` is a number of rows, all others are texts of positions.
    """

    adapter: Adapter
    ties: Ties = "by collation"

    def __init__(self, session: S, relation: Relation) -> None:
        super().__init__(relation)
        self.session = session

    def end(self) -> None:
        """End the transaction if one was begun."""
        self.session.end(self.what)

    @abstractmethod
    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Run a statement in the transaction; its columns, typed, and its positions (`statement.positions`).

        For no row the frame is `frames.empty`.
        """

    @abstractmethod
    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """Run a statement of one column; the first row's value as text, None for NULL or no row."""

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        statement, values = self.page_question(after, through)
        with self.bounded(limit):
            return self.noted(self._whole_groups(statement, values, limit))

    def keys(
        self, low: str | None, high: str, limit: int, after: Position | None = None, end: End = "through"
    ) -> pl.DataFrame:
        """Cursor and key of a range."""
        statement, values = self.keys_question(low, high, after, end)
        return self._whole_groups(statement, values, limit)

    def page_question(self, after: Position | None, through: str | None = None) -> tuple[Statement, Values]:
        """The statement of a page, and its parameters but for how many rows."""
        bound = "open" if through is None else "through"
        statement = statements.page(self.adapter, self.relation, statements.shape(self.relation, after), bound)
        return statement, {**position_parameters(after), **range_parameters(None, through)}

    def keys_question(
        self, low: str | None, high: str, after: Position | None, end: End = "through"
    ) -> tuple[Statement, Values]:
        """The same of the keys of a range."""
        scan, begin = statements.shape(self.relation, after), "open" if low is None else "low"
        statement = statements.keys(self.adapter, self.relation, scan, begin, end)
        return statement, {**position_parameters(after), **range_parameters(low, high)}

    def asked_first(self, limit: int) -> int:
        """How many rows are asked for to find so many, and to see whether the next one belongs to the last."""
        return limit + 1 if self.relation.key else limit

    def newest(self, limit: int) -> pl.DataFrame:
        """The rows with the highest cursors, in order."""
        with self.bounded(limit):
            found = self.frame(statements.newest(self.adapter, self.relation, "open"), {"n": limit})
        return self.noted(found.reverse())

    def among(self, listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> pl.DataFrame:
        """A superset of the rows with these tuples."""
        size, values = among_parameters(listed, wanted)
        return self.noted(self.frame(statements.among(self.adapter, self.relation, tuple(listed), size), values))

    def without_cursor(self, limit: int, after: tuple[str, ...] = ()) -> pl.DataFrame:
        """Rows whose cursor is NULL, in order of their key."""
        statement = statements.without_cursor(self.adapter, self.relation, "after" if after else "from the start")
        with self.bounded(limit):
            return self.noted(self.frame(statement, {**key_parameters(after), "n": limit}))

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, up to a bound."""
        statement = statements.head(self.adapter, self.relation, "open" if through is None else "through")
        return self.value(statement, range_parameters(None, through))

    def null_cursors(self, of: Nulls = "cursor or key", patience_ms: int | None = None) -> int:
        """How many rows have no place in the order."""
        if of == "key" and not tie_breakers(self.relation):
            return 0
        statement = statements.null_cursors(self.adapter, self.relation, of)
        if patience_ms is not None:
            statement = self.within(statement, patience_ms)
        return int(self.value(statement, {}) or 0)

    def within(self, statement: Statement, patience_ms: int) -> Statement:  # noqa: ARG002  - for engines that can be told
        """The statement as the server ends it after so long; here that is left to the source's `statement_timeout`."""
        return statement

    def count(self, low: str | None, high: str, end: End = "through") -> int:
        """How many rows are in the range."""
        statement = statements.count(self.adapter, self.relation, "open" if low is None else "low", end)
        return int(self.value(statement, range_parameters(low, high)) or 0)

    def poll_statement(self, after: Position | None, limit: int) -> tuple[Statement, Values]:
        """The exact statement of a page, and its parameters."""
        statement, values = self.page_question(after)
        return statement, {**values, "n": limit}

    def _whole_groups(self, statement: Statement, values: Mapping[str, str | int], limit: int) -> pl.DataFrame:
        if self.relation.key:
            found = self.frame(statement, {**values, "n": self.asked_first(limit)})
            return whole_ties.complete(found, limit, self.relation, self.among, self._may_be_equal)
        return keyless_pages.complete(lambda rows: self.frame(statement, {**values, "n": rows}), limit, self._equal_to)

    def _equal_to(self, cursor: str) -> Iterable[str]:
        """The cursors that the database takes for this one, where it may take others for it than its own text."""
        if self.ties == "exact" or self.relation.cursor_column.family not in WRITTEN_IN_MANY_WAYS:
            return (cursor,)
        statement = statements.keys(self.adapter, self.relation, "from the start", "low", "through")
        return {cursor, *self.frame(statement, {**range_parameters(cursor, cursor), "n": ALL})[CURSOR]}

    def _may_be_equal(self, last: Place, following: Place) -> bool:
        return last[0] == following[0] and (self.ties == "by collation" or last == following)


class ColumnReading(SqlReading[S]):
    """Reads through a session whose answers are columns of a few plain types, mostly text."""

    @abstractmethod
    def series(self, statement: Statement, values: Mapping[str, str | int]) -> Sequence[pl.Series]:
        """Run a statement; what it selects, a series each, and none for no row."""

    def text(self, series: pl.Series) -> pl.Series:
        """The texts of positions."""
        return series

    def shown(self, column: Column, series: pl.Series) -> pl.Series:  # noqa: ARG002  - for engines that write in ways of their own
        """A column's values as `from_texts` takes them."""
        return series

    def typed(self, columns: Sequence[Column], series: Sequence[pl.Series]) -> pl.DataFrame:
        """These columns and, where some value does not fit, `@unreadable`."""
        return from_texts(columns, list(map(self.shown, columns, series)), self.relation.timezone)

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows, typed."""
        return self.framed(statement, self.series(statement, values))

    def few(self, statement: Statement, texts: Sequence[Sequence[str | None]]) -> pl.DataFrame | None:
        """A handful of rows of texts, typed; None where that takes a closer look."""
        made = few_rows(statement.columns, statement.positions, texts, self.relation.timezone)
        self.fitting = made if made is not None else self.fitting
        return made

    def framed(self, statement: Statement, series: Sequence[pl.Series]) -> pl.DataFrame:
        """What a statement selected, typed."""
        columns = statement.columns
        if not series:
            return empty(self.relation, "rows" if columns else "positions")
        positions = [self.text(series[index]).alias(name) for name, index in statement.positions]
        return self.typed(columns, series[: len(columns)]).hstack(positions) if columns else table(positions)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        series = self.series(statement, values)
        text: str | None = self.text(series[0])[0] if series else None
        return text
