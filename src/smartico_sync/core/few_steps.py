"""How a handful of rows of one view become events, worked out once for each shape of its pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core import few_columns, few_rows
from smartico_sync.core.conversion import Hints
from smartico_sync.core.cursor_time import PER_MS
from smartico_sync.core.events import EID, PLAYER, SEED
from smartico_sync.core.few_diff import ToldApart, clearable_of
from smartico_sync.core.few_events import FewSteps, FewTold, Filled, Taken
from smartico_sync.core.few_rows import Unusual
from smartico_sync.core.identity import codes
from smartico_sync.core.ledger_keys import key_columns
from smartico_sync.core.mapping import steps_for, wire_name
from smartico_sync.core.profile_age import NUMBERS
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN, converted, of_no_column
from smartico_sync.core.selection import implied_role, roles_by_word
from smartico_sync.core.told_sets import marked
from smartico_sync.core.validation import IMMUTABLE, RULED, SURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.few_columns import Held
    from smartico_sync.core.few_events import One
    from smartico_sync.core.relation import Column
    from smartico_sync.core.view_mapping import Origin, Property, Steps, ViewMapping

__all__ = ["few_steps"]

SHAPES = 16  # as for pages of any size
AROUND: tuple[Held, ...] = (
    "whole number",
    "text",
    "text",
    "text",
    "text",
    "place",
)  # date, brand, user, type, key, place
WHOLE = re.compile(r"-?[0-9]{1,18}")  # what is longer may not fit
UNUSUAL = ("@unreadable", "@absent.")  # what columns begin with that say why a row, or a column, is no usual one


def few_steps(mapping: ViewMapping, page: pl.DataFrame) -> FewSteps | None:
    """How rows of such a page become events, kept in the mapping; None where they do as columns only."""
    shape = few_columns.shape(page)
    if shape not in mapping.few:
        if len(mapping.few) >= SHAPES:
            mapping.few.clear()
        try:
            mapping.few[shape] = Shape(mapping, page).steps(steps_for(mapping, page))
        except Unusual:
            mapping.few[shape] = None
    return mapping.few[shape]


class Shape:
    """A page's columns held against what a mapping wants of them. Raises Unusual where that is not to be had of single rows."""

    def __init__(self, mapping: ViewMapping, page: pl.DataFrame) -> None:
        self.mapping, self.page, self.schema = mapping, page, page.schema
        self.asked: list[tuple[pl.Expr, int, int]] = []
        self.at = {name: place for place, name in enumerate(page.columns)}
        self.none = page.width  # where a None stands
        self.placed = tuple((name, self.at[name]) for name in key_columns(page))

    def steps(self, columns: Steps) -> FewSteps:
        """How its rows become events; `columns`: how columns do."""
        mapping, profiles = self.mapping, self.mapping.kind.role == "profile"
        odd = any(name.startswith(UNUSUAL) for name in self.at) or any(
            self.schema[name] != pl.String for name, _ in self.placed
        )
        if odd or mapping.options.where or not mapping.id_columns or mapping.relation.version is not None:
            raise Unusual
        wire = [wire_name(mapping, known) for known in mapping.properties]
        if marked(wire) or len(set(wire)) < len(wire):
            raise Unusual
        filled = [self.filled(known, name) for known, name in zip(mapping.properties, wire, strict=True)]
        held = [each for _, each in filled]
        if profiles and "number" in held:
            raise Unusual  # floats are printed otherwise
        every = [each for each, _ in filled]
        alone = {
            place: each.origins[0] for place, each in enumerate(every)
            if len(each.origins) == 1 and not each.origins[0].roles and each.dated is each.true_in is None
        }  # fmt: skip
        names, holds = (*columns.kept, PLAYER, EID), (*AROUND, *held, "hash", "text")
        before = (*names, SEED) if profiles else names
        type_at, said = self.said()
        moment, order, dated = self.cursor()
        key = range(len(mapping.relation.key))
        return FewSteps(
            names=names, held=holds, raw=columns.raw,
            nothing=few_columns.frame(before, (*holds, "text")[: len(before)], [()] * len(before)),
            brand=mapping.options.brand,
            brand_at=Taken(self.none, None) if mapping.options.brand else self.name(mapping.called[BRAND_COLUMN]),
            user_at=self.name(mapping.called[USER_COLUMN]), type_at=type_at, said=said,
            dates={role: self.moments(found) for role, found in mapping.dates.items()},
            cursor=self.at["@cursor"], keys=tuple(self.at[f"@key.{place}"] for place in key),
            single=tuple(alone[place].at if place in alone else self.none for place in range(len(every))),
            made=tuple((place, each.made) for place, each in alone.items() if each.made is not None),
            filled=tuple((place, each) for place, each in enumerate(every) if place not in alone and each != NEVER),
            needed=tuple((place, known.needed_in) for place, known in enumerate(mapping.properties) if known.demand == "there"),
            past=tuple(place for place, name in enumerate(wire) if held[place] == "whole number" and must_be_past(name)),
            asked=tuple(self.asked), seed=self.seed(), placed=self.placed, moment=moment, order=order, dated=dated,
            told=told(wire, mapping) if profiles else None,
        )  # fmt: skip

    def said(self) -> tuple[int, Mapping[str | None, tuple[str, str]]]:
        """Where the type stands, and the role and the event type of each."""
        kind, options = self.mapping.kind, self.mapping.options
        column = self.mapping.relation.column(options.type_column) if options.roles else None
        if column is None:
            return self.none, {None: (implied_role(kind, options), options.event_type or kind.event_types[""])}
        if column.family != "text" or self.schema[column.name] != pl.String:
            raise Unusual
        roles = roles_by_word(self.mapping, column, self.schema)
        return self.at[column.name], {word: (role, kind.event_types[role]) for word, role in roles.items()}

    def name(self, column: Column) -> Taken:
        """A brand or a user."""
        dtype = self.schema[column.name]
        if column.family == "integer" and dtype.is_integer():
            return Taken(self.at[column.name], str)
        if column.family == "text" and dtype == pl.String:
            return Taken(self.at[column.name], few_rows.one_inked)
        raise Unusual

    def taken(self, column: Column, target: Any, hints: Hints) -> tuple[Taken, Held]:
        """A column as a property of type `target`, and what that holds."""
        reading = few_rows.reading(column, target, self.schema[column.name], hints)
        if reading is None:
            raise Unusual
        return Taken(self.at[column.name], reading.made), reading.held

    def read(self, known: Property, origin: Origin) -> tuple[Taken, Held]:
        """A column as a property, and what that holds; where values by themselves do not tell, what a query makes of the column."""
        try:
            return self.taken(origin.column, known.target, origin.hints)
        except Unusual:
            if len(known.origins) > 1 or origin.roles:
                raise
        expr = converted(known, self.schema, frozenset()).expr.alias(known.name)
        dtype = self.page.head(0).select(expr).dtypes[0]
        at = self.none + 1 + len(self.asked)
        self.asked.append((expr, at, self.at[origin.column.name]))
        return Taken(at, None), held_as(dtype)

    def moments(self, columns: Sequence[Column]) -> tuple[Taken, ...]:
        """The columns that may say when."""
        hints = Hints(timezone=self.mapping.relation.timezone)
        return tuple(self.taken(column, "date", hints)[0] for column in columns)

    def filled(self, known: Property, name: str) -> tuple[Filled, Held]:
        """A property, which has this name on the wire, and what it holds."""
        if known.target != "string" and len({origin.column.family for origin in known.origins}) > 1:
            raise Unusual
        read = [(origin, *self.read(known, origin)) for origin in known.origins]
        kinds = {held for _, _, held in read} or {held_as(of_no_column().get(known.target, pl.String()))}
        held = kinds.pop()
        if (
            kinds
            or (known.dated is not None and held != "whole number")
            or (known.true_in is not None and held != "truth")
        ):
            raise Unusual
        origins = tuple(Taken(each.at, ruled(each.made, name, held), origin.roles) for origin, each, _ in read)
        return Filled(origins, known.dated, known.true_in), held

    def seed(self) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
        """What seeds begin with, where their parts stand, and what they end with."""
        mapping, relation = self.mapping, self.mapping.relation
        names = []
        for name in mapping.id_columns:
            own = (
                f"@key.{relation.key.index(name)}"
                if name in relation.key
                else "@cursor"
                if name == relation.cursor
                else name
            )
            dtype = self.schema[own]
            if dtype not in (pl.String, pl.Boolean) and not dtype.is_integer():
                raise Unusual
            names.append(own)
        if mapping.kind.role == "profile":
            names.append("@cursor")
        begun = mapping.options.generation
        return mapping.identity, tuple(self.at[name] for name in names), (f"generation {begun}",) if begun else ()

    def cursor(self) -> tuple[Taken, One | None, bool]:
        """The cursor for the ledger, its order among the states of a profile, and whether that is a time."""
        relation = self.mapping.relation
        dtype, at = self.schema[relation.cursor], self.at[relation.cursor]
        if dtype == pl.Datetime("us") or dtype == pl.Datetime("us", "UTC"):
            return Taken(at, lambda value: few_rows.microseconds(value) // 1000), few_rows.microseconds, True
        if dtype == pl.Date:
            return Taken(at, few_rows.epoch_ms), lambda value: few_rows.epoch_ms(value) * 1000, True
        if relation.cursor_is in PER_MS or dtype.is_temporal():
            raise Unusual
        if dtype not in (pl.Int64, pl.String):
            raise Unusual
        order = whole if relation.cursor_column.family in NUMBERS else None
        return Taken(at, whole), order, False


NEVER = Filled((), None, None)


def told(names: Sequence[str], mapping: ViewMapping) -> FewTold:
    """What is told of profiles that have these properties, in this order."""
    ordered = sorted(names)
    code, at = codes(ordered), {name: place for place, name in enumerate(names)}
    apart = ToldApart(
        ordered, [name for name in ordered if name in IMMUTABLE], clearable_of(ordered, mapping.options.clears)
    )
    return FewTold(
        tuple((at[name], code[name]) for name in ordered),
        tuple((at[name], codes([name])[name]) for name in apart.fixed),
        tuple(at[name] for name in apart.clearable),
        apart.text,
    )


def held_as(dtype: pl.DataType) -> Held:
    """What a column of that dtype holds."""
    found = few_columns.held_as(dtype)
    if found is None:
        raise Unusual
    return found


def whole(value: int | str) -> int:
    """A whole number, which may be written as text."""
    if isinstance(value, str) and not WHOLE.fullmatch(value):
        raise Unusual
    return int(value)


def must_be_past(name: str) -> bool:
    """Whether a property is a date that must lie in the past."""
    return name in RULED and PROPERTIES[name].past == "must be past"


def ruled(made: One | None, name: str, held: Held) -> One | None:
    """What is made of values, held against the rule of texts that have this name; Unusual where one may break it."""
    known = PROPERTIES[name] if name in RULED and held == "text" else None
    if known is None or not (known.values or known.pattern):
        return made
    allowed = known.values.__contains__ if known.values else SURE[known.pattern]

    def checked(value: Any) -> Any:
        text = value if made is None else made(value)
        if not allowed(text):
            raise Unusual
        return text

    return checked
