"""What each column of a view becomes, decided once; and what keeps a view from being of its kind."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.catalogue.columns import CURSOR
from smartico_sync.catalogue.properties import (
    NAME_PATTERN,
    PROPERTIES,
    TRANSACTION_PROPERTIES,
    is_managed,
    property_type,
)
from smartico_sync.core.conversion import PLAIN, natural
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.core.selection import implied_role
from smartico_sync.core.view_mapping import EVERY_ROLE, Origin, Property, ViewMapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.view_mapping import Demand, Options

__all__ = ["plan"]

NO_NUMBER = frozenset({"timestamp", "instant", "date", "json", "uuid", "array"})
NO_DATE = frozenset({"boolean", "json", "array", "uuid"})
MOMENTS = frozenset({"timestamp", "instant", "date", "text"})
EPOCHS = frozenset({"integer", "decimal", "float"})  # moments only where a name says so: an id is none


def plan(view: str, kind: Kind, relation: Relation, options: Options) -> ViewMapping:
    """Decide, once per view, what each column becomes. `relation` is described and has its key."""
    return Plan(view, kind, relation, options).mapping()


class Plan:
    """A view's columns held against its kind."""

    def __init__(self, view: str, kind: Kind, relation: Relation, options: Options) -> None:
        self.view, self.kind, self.relation, self.options = view, kind, relation, options
        self.present = {column.name: column for column in relation.columns}
        self.roles = self.told_roles()
        self.called = self.names()
        self.sources: dict[str, list[Origin]] = {}
        self.unmapped: list[Column] = []

    def told_roles(self) -> tuple[str, ...]:
        """The roles that rows may have; none where all rows are of one kind."""
        implied = implied_role(self.kind, self.options)
        return tuple(dict.fromkeys(self.options.roles.values())) or ((implied,) if implied else ())

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
            tuple(self.unmapped), tuple(self.problems(dates)),
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
            texts = any(origin.column.family == "text" for origin in self.sources[target])
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
        wanted: PropertyType = told or "any"
        hinted = tuple(
            replace(
                origin,
                hints=replace(
                    origin.hints,
                    timezone=self.relation.timezone,
                    day=known is not None and known.dates == "calendar",
                    identifier=target.endswith("_id"),
                ),
            )
            for origin in origins
        )
        expected = told or natural(origins[0].column.family) if origins else wanted
        needed = frozenset(role for role in self.roles if target in self.kind.row_role(role).needs)
        there = target in self.kind.needs or bool(needed)
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
        """The columns that these names stand for, with the cursor in its place."""
        found: dict[Column, None] = {}
        for name in (*names, *(() if CURSOR in names else (CURSOR,))):
            column = self.called.get(name)
            if name == CURSOR:
                found |= dict.fromkeys(self.cursor_dates())
            elif column and column.family in MOMENTS | EPOCHS:
                found[column] = None
        return tuple(found)

    def cursor_dates(self) -> tuple[Column, ...]:
        """The cursor, when it is a time."""
        column = self.present.get(self.relation.cursor)
        return (column,) if column and column.family in MOMENTS else ()

    def problems(self, dates: Mapping[str, tuple[Column, ...]]) -> Iterator[str]:
        """What keeps the relation from being this kind, one sentence each."""
        yield from self.missing_columns()
        if self.options.event_date and self.options.event_date not in {
            c.name for columns in dates.values() for c in columns
        }:
            yield f"it has no column {self.options.event_date} with moments, which `event_date:` names"
        roles = self.roles if self.options.roles else ("",)
        for role in roles:
            if not dates.get(role, dates[""]):
                about = f" of a row that is {role}" if role else ""
                yield f"no column says when an event{about} happened: name one with `event_date:`"
                break
        for target, origins in self.sources.items():
            yield from self.misfits(target, origins)

    def missing_columns(self) -> Iterator[str]:
        """Columns that the kind needs, or that the configuration names."""
        options, kind = self.options, self.kind
        supplied = set(self.called) | set(self.present) | set(self.sources)
        for alternatives in kind.required:
            dated = kind.moment in alternatives
            if not supplied & set(alternatives) and not (dated and self.says_when()):
                yield f"it has no column {' or '.join(alternatives)}, which {kind.name} needs"
        for role in self.roles:
            for target in kind.row_role(role).needs:
                names = [source for source, filled in (*kind.columns, *kind.row_role(role).columns) if filled == target]
                if not supplied & set(names):
                    yield f"it has no column {' or '.join(names)}, which rows of the type {role} need"
        demanded = {name for alternatives in kind.required for name in alternatives}
        needed = (USER_COLUMN, *(() if options.brand else (BRAND_COLUMN,)))
        for name in needed:
            if name not in self.called and name not in demanded:
                yield f"it has no column {name}, which every view needs; `columns:` may say which one it is"
        for setting, columns in (("columns", options.columns), ("where", options.where)):
            for name in columns:
                if name not in self.present:
                    yield f"it has no column {name}, which `{setting}:` names"
        if options.type_column and options.type_column not in self.present:
            yield f"it has no column {options.type_column}, which `type:` names"

    def says_when(self) -> bool:
        """Whether some column says when an event happened."""
        dates, _ = self.dates()
        return any(dates.values())

    def misfits(self, target: str, origins: list[Origin]) -> Iterator[str]:
        """Names that the wire cannot carry, and types that can never become what the property is."""
        expected = property_type(target) or self.kind.types.get(target)
        if not re.fullmatch(NAME_PATTERN, target):
            names = ", ".join(origin.column.name for origin in origins)
            yield f"column {names!r} cannot be a property by that name: name another or null with `columns:`"
        for column in (origin.column for origin in origins):
            if column.family == "binary":
                yield f"column {column.name} is binary: leave it out with `columns: {{{column.name}: null}}`"
            elif expected == "date" and column.family in NO_DATE:
                yield f"column {column.name} is {column.type}, but {target} must be a date"
            elif expected in ("number", "integer") and column.family in NO_NUMBER:
                yield f"column {column.name} is {column.type}, but {target} must be a number"


def said(kind: Kind, role: str, what: str) -> tuple[str, ...]:
    """The properties that a role fills."""
    row_role = kind.row_role(role)
    return (row_role.moment,) if what == "moment" else row_role.flags
