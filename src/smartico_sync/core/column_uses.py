"""What each column of a view is for: told to people, and decided by `planning`, never here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.catalogue.properties import PROPERTIES, is_managed
from smartico_sync.core.conversion import natural
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.relation import Column
    from smartico_sync.core.view_mapping import Property, ViewMapping

__all__ = ["ColumnUse", "Computed", "Need", "PropertyUse", "Standing", "column_uses", "computed", "unfilled"]

Standing = Literal[
    "known",  # the catalogue has the property, or the kind does
    "custom",  # a property that Smartico learns from the operator
    "used",  # no property: the envelope, the order, or the choice of rows
    "unmapped",  # it means nothing to the kind, and is sent nowhere
    "left out",  # because the configuration says so
    "never sent",  # Smartico computes the property itself
]
Need = Literal["no", "required", "required of a player"]


class PropertyUse(Struct, frozen=True):
    """A property that a column fills, in rows of these `roles`, and that is needed in those of `needed_in`; in every row where none is named.

    `after`: columns that go before it wherever they are not NULL.
    """

    name: str
    type: str
    standing: Literal["known", "custom"]
    need: Need = "no"
    roles: tuple[str, ...] = ()
    needed_in: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class ColumnUse(Struct, frozen=True):
    """One column: `declared` is the engine's word for its type, `used_as` what it is beside its properties."""

    column: str
    declared: str
    standing: Standing
    properties: tuple[PropertyUse, ...] = ()
    used_as: tuple[str, ...] = ()


class Computed(Struct, frozen=True):
    """A property that no column fills by itself, and what does."""

    name: str
    type: str
    how: str


def column_uses(mapping: ViewMapping) -> tuple[ColumnUse, ...]:
    """Every column of the view, in its order."""
    return tuple(column_use(mapping, column) for column in mapping.relation.columns)


def column_use(mapping: ViewMapping, column: Column) -> ColumnUse:
    """One column."""
    properties = tuple(
        PropertyUse(
            known.name,
            shown_type(known, column),
            standing_of(mapping, known),
            needs(mapping, known),
            tuple(sorted(origin.roles)),
            tuple(sorted(known.needed_in)) if known.demand == "there" else (),
            tuple(dict.fromkeys(each.column.name for each in known.origins[:place] if each.column != column)),
        )
        for known in mapping.properties
        for place, origin in enumerate(known.origins)
        if origin.column == column
    )
    used_as = tuple(dict.fromkeys(uses(mapping, column)))
    target = mapping.options.columns.get(column.name, column.name)
    standing: Standing = "unmapped"
    if properties:
        standing = "known" if any(each.standing == "known" for each in properties) else "custom"
    elif target is None:
        standing = "left out"
    elif is_managed(target):
        standing = "never sent"
    elif used_as:
        standing = "used"
    return ColumnUse(column.name, column.type, standing, properties, used_as)


def uses(mapping: ViewMapping, column: Column) -> Iterator[str]:
    """What a column is beside its properties."""
    relation, options = mapping.relation, mapping.options
    if mapping.called.get(USER_COLUMN) == column:
        yield USER_COLUMN
    if mapping.called.get(BRAND_COLUMN) == column and not options.brand:
        yield BRAND_COLUMN
    if column.name == options.type_column:
        yield "event_type"
    if any(columns[:1] == (column,) for columns in mapping.dates.values()):
        yield "event_date"
    if column.name == relation.cursor:
        yield "cursor"
    if column.name in relation.key:
        yield "key"
    if column.name in options.where:
        yield "where"


def standing_of(mapping: ViewMapping, known: Property) -> Literal["known", "custom"]:
    """Whether Smartico knows the property by itself, or from the operator."""
    return "known" if known.name in PROPERTIES or known.name in mapping.kind.types else "custom"


def shown_type(known: Property, column: Column) -> str:
    """What the property becomes; that of its column where nothing else says it."""
    return natural(column.family) if known.target == "any" else known.target


def needs(mapping: ViewMapping, known: Property) -> Need:
    """Whether an event, or a player, cannot do without the property."""
    if known.demand == "there":
        return "required"
    return "required of a player" if known.name in mapping.kind.expected else "no"


def computed(mapping: ViewMapping) -> tuple[Computed, ...]:
    """The properties that no column fills."""
    return tuple(
        Computed(known.name, known.target, filled_by(mapping, known))
        for known in mapping.properties
        if not known.origins
    )


def filled_by(mapping: ViewMapping, known: Property) -> str:
    """What fills a property that has no column."""
    if known.dated is not None:
        return "the event's date"
    if known.true_in is not None:
        return "true" + (f" in rows of {', '.join(sorted(known.true_in))}" if known.true_in else "")
    texts = (
        each.said
        for each in mapping.properties
        if each.name in PROPERTIES and PROPERTIES[each.name].otherwise == known.name
    )
    return f"texts of {next(texts, '')}"


def unfilled(mapping: ViewMapping) -> tuple[str, ...]:
    """Properties that every event needs, and that nothing fills, because `columns:` leaves their column out."""
    there = {known.name for known in mapping.properties}
    return tuple(name for name in mapping.kind.needs if name not in there)
