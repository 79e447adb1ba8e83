"""What a database holds, as a first configuration is made from it: tables, and views that are still to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column

__all__ = ["Condition", "IndexPlan", "Join", "Picked", "Reference", "Structure", "Table", "ViewPlan"]


class Reference(Struct, frozen=True):
    """A foreign key: `columns` hold the values of `targets` in `table`."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]


class Structure(Struct, frozen=True):
    """What a catalogue says of a relation beside its columns; all of it empty where the engine does not tell.

    `unique` are the sets of columns that tell its rows apart, the primary key first; `indexes` the columns of each index, in
    its order, those of unique ones among them. `unindexed`: columns that no index can hold whole.
    """

    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    references: tuple[Reference, ...] = ()
    view: Literal["view", "table"] = "table"
    unindexed: frozenset[str] = frozenset()

    def with_key(self, columns: tuple[str, ...]) -> Structure:
        """The same, with one more index that tells rows apart."""
        return replace(self, unique=(*self.unique, columns), indexes=(*self.indexes, columns))

    def with_index(self, columns: tuple[str, ...]) -> Structure:
        """The same, with one more index."""
        return replace(self, indexes=(*self.indexes, columns))

    def with_reference(self, reference: Reference) -> Structure:
        """The same, with one more foreign key."""
        return replace(self, references=(*self.references, reference))


class Table(Struct, frozen=True):
    """A table, a view or a collection. `name` is written as `relation:` takes it, and so are those of references."""

    name: str
    columns: tuple[Column, ...]
    structure: Structure = Structure()

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key, or of another index that tells rows apart; empty where none is known."""
        return self.structure.unique[0] if self.structure.unique else ()


class Join(Struct, frozen=True):
    """A LEFT JOIN: each row stays, once. `on`: (column of the table to the left, column of this one)."""

    table: str
    alias: str
    left: str
    on: tuple[tuple[str, str], ...]


class Picked(Struct, frozen=True):
    """One column of a view: that of a table in it, or with an empty `table` the text itself."""

    name: str
    column: str
    table: str = ""


class Condition(Struct, frozen=True):
    """What holds for the base table's rows: the column is one of `values`, or with none of them it is not NULL."""

    column: str
    values: tuple[str | int, ...] = ()


class IndexPlan(Struct, frozen=True):
    """An index for a poll in the order of these columns. `when`: it is missing for certain, or only some engines need it."""

    table: str
    columns: tuple[str, ...]
    when: Literal["missing", "where the poll sorts"] = "missing"


class ViewPlan(Struct, frozen=True):
    """A view that is to be made of a base table, as every engine can write it. `alias` is the base table's."""

    name: str
    table: str
    alias: str
    columns: tuple[Picked, ...]
    joins: tuple[Join, ...] = ()
    conditions: tuple[Condition, ...] = ()
