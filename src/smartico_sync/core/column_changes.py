"""What a database's owner changed in a view's columns since it was tracked, as far as it changes what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from smartico_sync.core.definition import Definition
    from smartico_sync.core.relation import Relation
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["ColumnChanges", "column_changes", "columns_of", "with_columns"]

SHOWN = 5  # columns that a sentence names
BETWEEN = ": "


class ColumnChanges(Struct, frozen=True):
    """Columns that are sent and are `new`, or `gone` and are sent no more, or have another type; as a sentence's parts."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.retyped)

    @property
    def told(self) -> str:
        """All of them in words."""
        parts = (
            ("new and sent from now on: ", self.new),
            ("gone, and sent no more: ", self.gone),
            ("of another type: ", self.retyped),
        )
        return "; ".join(word + listed(columns) for word, columns in parts if columns)

    def hint(self, view: str, role: str) -> str:
        """What a person may do about them."""
        passed = ""
        if self.new and role == "profile":
            passed = f"to send the new ones for profiles that passed: smartico-sync backfill {view} --from first; "
        elif self.new:
            passed = "rows that passed were sent without the new ones, and stay as they are; "
        back = "let the view have the column again, or: " if self.gone else ""
        return f"{passed}{back}to say that it is right: smartico-sync watermark accept {view}"


def columns_of(mapping: ViewMapping) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a view sends, each as `name: type`, and the names of all others. Neither where they are only sampled."""
    relation = mapping.relation
    if relation.columns_are == "sampled":
        return (), ()
    sent = {column.name for known in mapping.properties for column in known.columns}
    return (
        tuple(f"{column.name}{BETWEEN}{column.type}" for column in relation.columns if column.name in sent),
        tuple(column.name for column in relation.columns if column.name not in sent),
    )


def column_changes(before: Definition, now: Definition, relation: Relation) -> ColumnChanges:
    """What changed for what is sent; nothing where it was not known before. What only the configuration changed is no change."""
    if not before.columns:
        return ColumnChanges()
    old, new = typed(before.columns), typed(now.columns)
    there = {column.name for column in relation.columns}
    return ColumnChanges(
        tuple(name for name in new if name not in old and name not in before.unmapped),
        tuple(name for name in old if name not in there),
        tuple(f"{name} (was {old[name]}, is {new[name]})" for name in new if name in old and old[name] != new[name]),
    )


def with_columns(before: Definition, now: Definition) -> Definition:
    """A definition as it was, with the columns that the view has now."""
    return replace(before, columns=now.columns, unmapped=now.unmapped)


def typed(columns: tuple[str, ...]) -> dict[str, str]:
    """Types by name."""
    found = (column.rpartition(BETWEEN) for column in columns)
    return {name: kind for name, _, kind in found}


def listed(columns: tuple[str, ...]) -> str:
    """Some columns in a sentence."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(columns[:SHOWN]) + more
