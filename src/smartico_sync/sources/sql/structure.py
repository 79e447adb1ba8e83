"""What catalogues say of tables, from rows that every engine can make of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.core.tables import Reference, Structure

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fact", "structures", "views"]

# (relation, what, name of the index or constraint, column, relation that is referred to, its column). `what`: view, primary,
# unique, index, unindexed (columns that no index holds whole) or reference. What belongs to one name comes in the order of its columns. Relations are named as `relations` names them.
Fact = tuple[str, str, str, str, str, str]


def views(names: Iterable[str]) -> dict[str, Structure]:
    """What is known where only views are told from tables."""
    return {name: Structure(view="view") for name in names}


def structures(facts: Iterable[Fact]) -> dict[str, Structure]:
    """Gather the facts by relation; primary keys come before what else tells rows apart."""
    found: dict[str, Structure] = {}
    gathered: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for relation, what, name, *rest in facts:
        if what == "view":
            found[relation] = Structure(view="view")
        else:
            column, to, target = rest
            gathered.setdefault((relation, what, name), []).append((column, to, target))
    order = ("primary", "unique", "index", "unindexed", "reference")
    for (relation, what, _), parts in sorted(gathered.items(), key=lambda each: order.index(each[0][1])):
        known = found.get(relation, Structure())
        columns = tuple(column for column, _, _ in parts)
        match what:
            case "primary" | "unique":
                known = known.with_key(columns)
            case "index":
                known = known.with_index(columns)
            case "unindexed":
                known = replace(known, unindexed=frozenset(columns))
            case _:
                known = known.with_reference(Reference(columns, parts[0][1], tuple(target for _, _, target in parts)))
        found[relation] = known
    return found
