"""What each column of a view becomes, decided once; and what keeps a view from being of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.catalogue.columns import BEGUN, CURSOR
from smartico_sync.catalogue.properties import (
    PROPERTIES,
    TRANSACTION_PROPERTIES,
    is_managed,
    property_type,
)
from smartico_sync.core.conversion import PLAIN, natural
from smartico_sync.core.misfits import misfits
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.core.selection import told_roles
from smartico_sync.core.view_mapping import EVERY_ROLE, MOMENTS, Origin, Property, ViewMapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.view_mapping import Demand, Options

__all__ = ["plan"]

EPOCHS = frozenset({"integer", "decimal", "float"})  # moments only where a name says so: an id is none


def plan(view: str, kind: Kind, relation: Relation, options: Options) -> ViewMapping:
    """Decide, once per view, what each column becomes. `relation` is described and has its key."""
    return Plan(view, kind, relation, options).mapping()


class Plan:
    """A view's columns held against its kind."""

    def __init__(self, view: str, kind: Kind, relation: Relation, options: Options) -> None:
        self.view, self.kind, self.relation, self.options = view, kind, relation, options
        self.present = {column.name: column for column in relation.columns}
        self.roles = told_roles(kind, options)
        self.called = self.names()
        self.sources: dict[str, list[Origin]] = {}
        self.unmapped: list[Column] = []

    def name_of(self, column: Column) -> str:
        """What the catalogue calls a column: `columns:` may say it."""
        return self.options.columns.get(column.name) or column.name

    def names(self) -> dict[str, Column]:
        """The first column of each name; those that `columns:` names come first."""
        chosen = [name for name, target in self.options.columns.items() if target and name in self.present]
        ordered = dict.fromkeys([*chosen, *self.present])
        found: dict[str, Column] = {}
        for name in ordered:
            found.setdefault(self.name_of(self.present[name]), self.present[name])
        return found

    def mapping(self) -> ViewMapping:
        """The whole of it."""
        renames: dict[str, list[str]] = {}
        for source, target in self.kind.columns:
            renames.setdefault(source, []).append(target)
        order = [self.called[name].name for name, _ in self.kind.columns if name in self.called]
        for name in dict.fromkeys([*self.options.columns, *order, *self.present]):
            if name in self.present:
                self.place(self.present[name], renames)
        self.add_companions()
        dates, named = self.dates()
        return ViewMapping(
            self.view, self.kind, self.relation, self.options, self.properties(), self.called, dates, named,
            tuple(self.unmapped), misfits(self.kind, self.relation, self.options, self.called, self.sources, dates),
        )  # fmt: skip

    def place(self, column: Column, renames: Mapping[str, list[str]]) -> None:
        """Find the properties that a column fills."""
        name, explicit = self.name_of(column), column.name in self.options.columns
        hints = self.options.hints.get(column.name, PLAIN)
        if explicit and self.options.columns[column.name] is None:
            return
        if name in (BRAND_COLUMN, USER_COLUMN) or (column.name == self.options.type_column and not explicit):
            return
        targets: dict[str, frozenset[str]] = dict.fromkeys(renames.get(name, ()), EVERY_ROLE)
        for target, roles in self.role_targets(name).items():
            targets.setdefault(target, roles)
        if not targets and (explicit or self.passes(column, name)) and name not in self.consumed(explicit=explicit):
            targets = {name: EVERY_ROLE}
        for target, roles in targets.items():
            if not is_managed(target):
                self.sources.setdefault(target, []).append(Origin(column, roles, hints))
        if not targets and name not in self.kind.hidden and not self.has_meaning(column):
            self.unmapped.append(column)

    def role_targets(self, name: str) -> dict[str, frozenset[str]]:
        """The properties that a column fills in rows of some roles only."""
        found: dict[str, set[str]] = {}
        for role in self.roles:
            for source, target in self.kind.row_role(role).columns:
                if source == name:
                    found.setdefault(target, set()).add(role)
        everywhere = not self.options.roles
        return {target: EVERY_ROLE if everywhere else frozenset(roles) for target, roles in found.items()}

    def passes(self, column: Column, name: str) -> bool:
        """Whether a column without a meaning here goes out under its own name."""
        if column.name == self.relation.cursor:
            return False
        sent = (self.options.unmapped or self.kind.unmapped) == "send"
        return sent or name in self.kind.optional or name in TRANSACTION_PROPERTIES

    def consumed(self, *, explicit: bool) -> frozenset[str]:
        """Names that say when, or are for the envelope, and are no properties."""
        dates = {name for name in self.kind.hidden if not is_managed(name)}
        return frozenset(dates if explicit else dates | {self.options.event_date})

    def has_meaning(self, column: Column) -> bool:
        """Whether a column that is no property is used otherwise."""
        used = {self.relation.cursor, self.options.type_column, self.options.event_date, *self.options.where}
        return column.name in used or column.name in self.relation.key

    def add_companions(self) -> None:
        """Properties that are filled by what the event says, and by texts that another cannot hold."""
        left_out = {name for name, target in self.options.columns.items() if target is None}
        for moment in {self.kind.moment, *(self.kind.row_role(role).moment for role in self.roles)} - {""}:
            by = {source for source, target in self.kind.columns if target == moment}
            if not by & left_out:
                self.sources.setdefault(moment, [])
        for role in self.roles:
            for flag in self.kind.row_role(role).flags:
                self.sources.setdefault(flag, [])
        for target in list(self.sources):
            known = PROPERTIES.get(target)
            # SQLite's columns of numbers may hold texts.
            texts = any(origin.column.family in ("text", *EPOCHS) for origin in self.sources[target])
            if known and known.otherwise and texts and known.otherwise not in left_out:
                self.sources.setdefault(known.otherwise, [])

    def properties(self) -> tuple[Property, ...]:
        """Each property with all that is known of it."""
        return tuple(self.property(target, origins) for target, origins in self.sources.items())

    def property(self, target: str, origins: list[Origin]) -> Property:
        """One property."""
        known = PROPERTIES.get(target)
        kind_type = self.kind.types.get(target)
        told: PropertyType | None = property_type(target) or kind_type
        for origin in origins:
            told = told or self.options.types.get(origin.column.name)
        if target in self.options.arrays:
            told = told or "array"
        wanted: PropertyType = told or "any"
        needed = frozenset(role for role in self.roles if target in self.kind.row_role(role).needs)
        there = target in self.kind.needs or bool(needed)
        hinted = tuple(
            replace(
                origin,
                hints=replace(
                    origin.hints,
                    timezone=self.relation.timezone,
                    day=known is not None and known.dates == "calendar",
                    identifier=target.endswith("_id"),
                    needed=there,
                    items="texts" if known is not None and known.type == "array" else "as they are",
                ),
            )
            for origin in origins
        )
        expected = told or natural(origins[0].column.family) if origins else wanted
        demand: Demand = "there" if there and origins else "readable" if target in self.kind.expected else "none"
        return Property(
            target, hinted, wanted, expected, demand,
            EVERY_ROLE if target in self.kind.needs or not self.options.roles else needed,
            self.roles_with(target, "moment"), self.roles_with(target, "flags"),
        )  # fmt: skip

    def roles_with(self, target: str, what: str) -> frozenset[str] | None:
        """The roles in whose rows the event's date, or true, fills a property; empty for all rows, None for no row."""
        if what == "moment" and target == self.kind.moment:
            return EVERY_ROLE
        roles = frozenset(role for role in self.roles if target in said(self.kind, role, what))
        if not roles:
            return None
        return roles if self.options.roles else EVERY_ROLE

    def dates(self) -> tuple[dict[str, tuple[Column, ...]], frozenset[str]]:
        """The columns that may say when, by role, and those of them that are named."""
        if self.options.event_date:
            column = self.present.get(self.options.event_date)
            named = [column] if column and column.family in MOMENTS | EPOCHS else []
            return {"": tuple(dict.fromkeys([*named, *self.cursor_dates()]))}, frozenset({self.options.event_date})
        per_role = {role: self.kind.row_role(role).event_date for role in self.roles}
        per_role = {role: names for role, names in per_role.items() if names}
        if not self.options.roles:
            per_role = {"": next(iter(per_role.values()), self.kind.event_date)}
        found = {role: self.date_columns(names) for role, names in ({"": self.kind.event_date} | per_role).items()}
        named_dates = {name for names in ({"": self.kind.event_date} | per_role).values() for name in names}
        return found, frozenset(self.called[name].name for name in named_dates if name in self.called)

    def date_columns(self, names: tuple[str, ...]) -> tuple[Column, ...]:
        """The columns that these names stand for, with the cursor in its place: named, it says when something became final."""
        found: dict[Column, None] = {}
        final = CURSOR in names
        for name in (*names, *(() if final else (CURSOR,))):
            column = self.called.get(name)
            if name == CURSOR:
                found |= dict.fromkeys(
                    each for each in self.cursor_dates() if not (final and self.name_of(each) in BEGUN)
                )
            elif column and column.family in MOMENTS | EPOCHS:
                found[column] = None
        return tuple(found)

    def cursor_dates(self) -> tuple[Column, ...]:
        """The cursor, when it is a time."""
        column = self.present.get(self.relation.cursor)
        return (column,) if column and column.family in MOMENTS else ()


def said(kind: Kind, role: str, what: str) -> tuple[str, ...]:
    """The properties that a role fills."""
    row_role = kind.row_role(role)
    return (row_role.moment,) if what == "moment" else row_role.flags
