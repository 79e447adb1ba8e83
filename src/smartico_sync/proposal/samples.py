"""What columns that say what a row is hold, in a table's newest rows. Nothing that is read here leaves the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.position import Position
from smartico_sync.core.relation import IDS, TIMES, Relation
from smartico_sync.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.relation import Column
    from smartico_sync.core.tables import Table
    from smartico_sync.sources.protocol import Source

__all__ = ["ROWS", "Samples"]

ROWS = 1_000  # what is written today; a value that comes less often is told by `smartico-sync check` once the daemon meets it
VALUES = 50  # a column with more of them says nothing about what a row is


class Samples:
    """The newest rows of a source's tables, read once a column; of rows nothing but these columns is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._read: dict[tuple[str, str], tuple[str | int, ...]] = {}
        self.problems: dict[str, str] = {}

    def values(self, table: Table, column: Column) -> Sequence[str | int]:
        """Each value once, in order; empty where there are too many, or the table cannot be read in time."""
        asked = (table.name, column.name)
        if asked not in self._read:
            try:
                self._read[asked] = self._values(table, column)
            except SyncError as error:
                self.problems[table.name] = error.message
                self._read[asked] = ()
        return self._read[asked]

    def _values(self, table: Table, column: Column) -> tuple[str | int, ...]:
        order = _order(table)
        if order is None:
            return ()
        columns = (order,) if order.name == column.name else (order, column)
        relation = Relation("init", order.name, (), relation=table.name, columns=columns, columns_are="chosen")
        with self._source.reading(relation) as reading:
            head = reading.head()
            after = None
            if order.family in IDS and head and head.isdecimal() and int(head) > ROWS:
                after = Position(str(int(head) - ROWS))
            found = reading.page(after, ROWS).get_column(column.name).drop_nulls().unique().sort()
        return tuple(found.to_list()) if found.len() <= VALUES else ()


def _order(table: Table) -> Column | None:
    """A column that an index puts in order: the newest rows are found by it, not by reading the whole table."""
    leading = (each[0] for each in ((table.key,) if table.key else ()) + table.structure.indexes if each)
    known = [column for name in leading if (column := table.column(name))]
    rest = [column for column in table.columns if column.family in (*IDS, *TIMES)]
    return next(
        (column for column in (*known, *rest) if column.family in (*IDS, *TIMES)), next(iter(table.columns), None)
    )
