"""Which column of which table fills a field of a view: in the table itself, or in one that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.relation import IDS, TIMES
from smartico_sync.core.tables import Join
from smartico_sync.proposal.names import last_part, own_names, qualified_names, subjects
from smartico_sync.proposal.words import BRAND, PLAYERS, TESTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.core.relation import Column
    from smartico_sync.core.tables import Table
    from smartico_sync.proposal.recipe import Field, Shape

__all__ = ["Found", "Reachable", "find", "fits", "reachable"]

HOPS = 3  # a bet refers to its round, that to the game, and the game to its provider
# Words that mean the same in every table; all others are qualified by the table's own: `name` in `games` is `game_name`.
SHARED = frozenset((*PLAYERS, *BRAND.words, BRAND.name, "user_ext_id", *TESTERS, "is_test_player"))
SHAPES: Mapping[Shape, frozenset[str]] = {
    "number": frozenset((*IDS, "float", "text")),
    "time": frozenset((*TIMES, "integer", "decimal", "text")),
    "flag": frozenset({"boolean", "integer", "decimal", "text", "other", "binary"}),
}


class Reachable(Struct, frozen=True):
    """A table, and the joins that lead to it: none for the table that the view is made of."""

    table: Table
    alias: str
    joins: tuple[Join, ...] = ()


class Found(Struct, frozen=True):
    """The column that fills a field."""

    column: Column
    at: Reachable


def reachable(base: Table, tables: Mapping[str, Table]) -> tuple[Reachable, ...]:
    """The table, then those that each of its rows refers to, nearest first, each once. A view is taken to hold what it needs."""
    seen = [Reachable(base, last_part(base.name))]
    if base.structure.view == "view":
        return tuple(seen)
    for place in seen:
        if len(place.joins) == HOPS:
            continue
        for join in _joins(place, tables):
            if join.table not in {each.table.name for each in seen}:
                alias = _free(join.alias, {each.alias for each in seen})
                further = Join(join.table, alias, join.left, join.on)
                seen.append(Reachable(tables[join.table], alias, (*place.joins, further)))
    return tuple(seen)


def find(field: Field, places: tuple[Reachable, ...]) -> Found | None:
    """The column of the best word, in the nearest table; None where there is none."""
    at = places if field.reach == "joined" else places[:1]
    for word in field.words if field.name in field.words else (field.name, *field.words):
        for place in at:
            # A database's own `_id` means less than an `id` of the platform's.
            for column in sorted(place.table.columns, key=lambda each: each.name.startswith("_")):
                if word in _names(place, column.name) and fits(field.shape, column):
                    return Found(column, place)
    return None


def fits(shape: Shape, column: Column) -> bool:
    """Whether a column may hold such values."""
    return shape == "any" or column.family in SHAPES[shape]


def _names(place: Reachable, column: str) -> tuple[str, ...]:
    if not place.joins:
        return own_names(place.table.name, column)
    shared = (name for name in own_names(place.table.name, column)[:2] if name in SHARED)
    return (*qualified_names(place.table.name, column), *shared)


def _joins(place: Reachable, tables: Mapping[str, Table]) -> Iterator[Join]:
    """By foreign keys; then by columns that are called like a table, with the table's only key."""
    table = place.table
    declared = [each for each in table.structure.references if each.table in tables and each.table != table.name]
    for each in declared:
        on = tuple(zip(each.targets, each.columns, strict=True))
        yield Join(each.table, last_part(each.table), place.alias, tuple((left, target) for target, left in on))
    told = {column for each in declared for column in each.columns}
    for column in table.columns:
        if column.name in told or (table.key == (column.name,) and not place.joins):
            continue
        for other in tables.values():
            if (
                other.name == table.name
                or other.structure.view == "view"
                or not _named_after(column.name, table.name, other.name)
            ):
                continue
            keys = (
                other.column(name)
                for name in (other.key if len(other.key) == 1 else () if other.key else ("id", "_id"))
            )
            if key := next((key for key in keys if key and key.family == column.family), None):
                yield Join(other.name, last_part(other.name), place.alias, ((column.name, key.name),))


def _named_after(column: str, own: str, other: str) -> bool:
    names = own_names(own, column)[:2]
    return any(name == f"{word}_id" for name in names for word in subjects(other))


def _free(alias: str, taken: set[str]) -> str:
    if alias not in taken:
        return alias
    return next(name for name in (f"{alias}_{number}" for number in range(2, len(taken) + 3)) if name not in taken)
