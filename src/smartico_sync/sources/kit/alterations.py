"""How a view's columns differ from those that it was described with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.errors import ViewAltered
from smartico_sync.sources.kit.suggestions import absent_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.relation import Column, Relation

__all__ = ["alteration"]

AGAIN = "the daemon describes it again by itself; run a command once more"
SHOWN = 5  # columns that a message names


def alteration(place: str, relation: Relation, now: Sequence[Column]) -> ViewAltered | None:
    """What a person should know of the difference; None where there is none. The order of columns makes none.

    Where columns are sampled, one that is missing from the sample is not gone, and other types are dealt with value by value,
    but in the cursor and the key: rows are found by their types there.
    """
    what, before = f"view {relation.name}", {column.name: column for column in relation.columns}
    names = [column.name for column in now]
    declared, order = relation.columns_are == "declared", (relation.cursor, *relation.key)
    if declared:
        for name in before:
            if name not in names:
                absent = absent_column(place, what, name, names)
                return ViewAltered(absent.message, hint=absent.hint)
    told = [f"{column.name} is new ({column.type})" for column in now if column.name not in before]
    for column in now:
        old = before.get(column.name)
        if old is None or (not declared and column.name not in order):
            continue
        if old.family != column.family or (declared and old.type != column.type):
            told.append(f"{column.name} was {old.type} and is {column.type}")
    if not told:
        return None
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ViewAltered(f"{place}: {what} has other columns than before: {', '.join(told[:SHOWN])}{more}", hint=AGAIN)
