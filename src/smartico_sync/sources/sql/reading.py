"""The questions of `protocol.Reading`, asked in SQL: an engine only says how a statement is run."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit import keyless_pages
from smartico_sync.sources.kit.frames import empty
from smartico_sync.sources.kit.values import moment_text
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation, Snapshot
    from smartico_sync.sources.protocol import End
    from smartico_sync.sources.sql.statements import DialectAdapter, Statement

__all__ = ["SqlReading"]

Values = dict[str, str | int]


class SqlReading(ABC):
    """One short read-only transaction over one described relation, see `protocol.Reading`."""

    adapter: DialectAdapter
    offset = ""  # what the engine writes behind an instant in UTC

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.what = f"view {relation.name}"

    @property
    def snapshot(self) -> Snapshot | None:
        """None: most engines have none that can serve as a fence."""
        return None

    @abstractmethod
    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Run a statement in the reading's transaction; its columns, typed, and its positions (`statement.positions`).

        `values` are the parameters by name; `n` is a number of rows, all others are texts of positions. For no row the
        frame is `frames.empty`.
        """

    @abstractmethod
    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """Run a statement of one column; the first row's value as text, None for NULL or no row."""

    def end(self) -> None:  # noqa: B027  - not every engine has transactions
        """End the transaction if one was begun."""

    def end_quietly(self) -> None:
        """End the transaction on the way out of a failure."""
        with suppress(SourceError):
            self.end()

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        bound = "open" if through is None else "through"
        statement = statements.page(self.adapter, self.relation, statements.shape(self.relation, after), bound)
        values: Values = {**statements.position_parameters(after), **({} if through is None else {"high": through})}
        return self._whole_groups(statement, values, limit)

    def keys(
        self, low: str | None, high: str, limit: int, after: Position | None = None, end: End = "through"
    ) -> pl.DataFrame:
        """Cursor and key of a range."""
        scan, begin = statements.shape(self.relation, after), "open" if low is None else "low"
        statement = statements.keys(self.adapter, self.relation, scan, begin, end)
        return self._whole_groups(
            statement, {**statements.position_parameters(after), **statements.range_parameters(low, high)}, limit
        )

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return empty(self.relation, "rows")
        size, values = statements.among_parameters(
            [(each.cursor, *each.key) for each in wanted], ("c", *self._key_lists())
        )
        found = self.frame(statements.rows(self.adapter, self.relation, size), values)
        return statements.exactly(self.relation, found, wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        wanted = [(value,) for value in values]
        if not wanted:
            return empty(self.relation, "rows")
        size, parameters = statements.among_parameters(wanted, ("c",))
        return self.frame(statements.by_cursor(self.adapter, self.relation, size), parameters)

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, whatever their cursor."""
        wanted = list(keys)
        if not wanted:
            return empty(self.relation, "rows")
        size, parameters = statements.among_parameters(wanted, self._key_lists())
        found = self.frame(statements.by_key(self.adapter, self.relation, size), parameters)
        return statements.with_keys(self.relation, found, wanted)

    def without_cursor(self, limit: int, after: tuple[str, ...] = ()) -> pl.DataFrame:
        """Rows whose cursor is NULL, in order of their key."""
        statement = statements.without_cursor(self.adapter, self.relation, "after" if after else "from the start")
        return self.frame(statement, {**statements.key_parameters(after), "n": limit})

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, up to a bound."""
        statement = statements.head(self.adapter, self.relation, "open" if through is None else "through")
        return self.value(statement, {} if through is None else {"high": through})

    def moment(self, at_ms: int) -> str:
        """An epoch ms as a cursor's text."""
        return moment_text(self.relation, at_ms, offset=self.offset)

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        return int(self.value(statements.null_cursors(self.adapter, self.relation), {}) or 0)

    def count(self, low: str | None, high: str, end: End = "through") -> int:
        """How many rows are in the range."""
        statement = statements.count(self.adapter, self.relation, "open" if low is None else "low", end)
        return int(self.value(statement, statements.range_parameters(low, high)) or 0)

    def compared(self, parameter: str) -> Column | None:
        """The column that a parameter is compared with; None for `n`, the number of rows."""
        key = re.fullmatch(r"k(\d+)(_\d+)?", parameter)
        if parameter == "n":
            return None
        return self.relation.column(self.relation.key[int(key.group(1))] if key else self.relation.cursor)

    def explained(self, after: Position | None, limit: int) -> tuple[Statement, Values]:
        """The exact statement of a page, and its parameters."""
        statement = statements.page(self.adapter, self.relation, statements.shape(self.relation, after), "open")
        return statement, {**statements.position_parameters(after), "n": limit}

    def _key_lists(self) -> tuple[str, ...]:
        return tuple(f"k{index}_" for index in range(len(self.relation.key)))

    def _whole_groups(self, statement: Statement, values: Values, limit: int) -> pl.DataFrame:
        if self.relation.key:
            return self.frame(statement, {**values, "n": limit})
        return keyless_pages.complete(lambda rows: self.frame(statement, {**values, "n": rows}), limit)
