"""What keeps a view from being of its kind, with the change that mends it, for the operator."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.catalogue.columns import CURSOR
from smartico_sync.catalogue.properties import NAME_PATTERN, PROPERTIES, property_type
from smartico_sync.core.relation import IDS, TIMES
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.core.selection import told_roles
from smartico_sync.core.view_mapping import MOMENTS, Misfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.view_mapping import Options, Origin

__all__ = ["misfits", "near"]

NO_NUMBER = frozenset({"timestamp", "instant", "date", "json", "uuid", "array"})
NO_DATE = frozenset({"boolean", "json", "array", "uuid"})
GROWING = TIMES | IDS
SHOWN = 8  # columns that a hint lists


def misfits(
    kind: Kind,
    relation: Relation,
    options: Options,
    called: Mapping[str, Column],
    sources: Mapping[str, Sequence[Origin]],
    dates: Mapping[str, tuple[Column, ...]],
) -> tuple[Misfit, ...]:
    """Everything that is wrong with a plan, whose parts are those of a ViewMapping; `sources`: the columns of each property."""
    return tuple(Looked(kind, relation, options, called, sources, dates).found())


class Looked(Struct, frozen=True):
    """A plan that is looked at."""

    kind: Kind
    relation: Relation
    options: Options
    called: Mapping[str, Column]
    sources: Mapping[str, Sequence[Origin]]
    dates: Mapping[str, tuple[Column, ...]]

    def found(self) -> Iterator[Misfit]:
        """One by one."""
        dates = self.dates
        yield from self.missing_columns()
        yield from self.disordered()
        named = self.options.event_date
        if named and named not in {c.name for columns in dates.values() for c in columns}:
            moments = [column.name for column in self.relation.columns if column.family in MOMENTS]
            yield Misfit(
                f"it has no column {named} with moments, which `event_date:` names",
                f"name a column that says when: {near(named, moments)}",
            )
        yield from self.undated()
        for target, origins in self.sources.items():
            yield from self.unfit(target, origins)

    def disordered(self) -> Iterator[Misfit]:
        """A cursor whose values no database gives out in order: those of bytes are at random, and no text says which comes next."""
        cursor = self.relation.column(self.relation.cursor)
        if cursor is not None and cursor.family == "binary":
            growing = [column.name for column in self.relation.columns if column.family in GROWING]
            others = f": {', '.join(growing[:SHOWN])}" if growing else "; let the view have one"
            yield Misfit(
                f"its cursor {cursor.name} is binary ({cursor.type}), and bytes do not grow with time",
                f"name with `cursor:` a number or a time that grows with each row{others}",
            )

    def undated(self) -> Iterator[Misfit]:
        """Rows of which no column says when they happened, and the columns that would."""
        lacking: dict[tuple[str, ...], list[str]] = {}
        for role in told_roles(self.kind, self.options) if self.options.roles else ("",):
            if not self.dates.get(role, self.dates[""]):
                implied = role or next(iter(told_roles(self.kind, self.options)), "")
                names = self.kind.row_role(implied).event_date or self.kind.event_date
                lacking.setdefault(names, []).append(role)
        for names, roles in lacking.items():
            about = f" of a row that is {' or '.join(roles)}" if roles[0] else ""
            wanted = ", ".join(name for name in names if name != CURSOR)
            yield Misfit(
                f"no column says when an event{about} happened: name one with `event_date:`",
                f"give the view one of {wanted}, with moments; or write `event_date:` with the name of the column that says when",
            )

    def missing_columns(self) -> Iterator[Misfit]:
        """Columns that the kind needs, or that the configuration names."""
        options, kind = self.options, self.kind
        present = {column.name for column in self.relation.columns}
        supplied = set(self.called) | set(present) | set(self.sources)
        for alternatives in kind.required:
            dated = kind.moment in alternatives
            if not supplied & set(alternatives) and not (dated and self.says_when()):
                yield self.missing(alternatives, f"which {kind.name} needs")
        for role in told_roles(kind, options):
            for target in kind.row_role(role).needs:
                names = [source for source, filled in (*kind.columns, *kind.row_role(role).columns) if filled == target]
                if not supplied & set(names):
                    yield self.missing(tuple(names), f"which rows of the type {role} need")
        demanded = {name for alternatives in kind.required for name in alternatives}
        needed = (USER_COLUMN, *(() if options.brand else (BRAND_COLUMN,)))
        for name in needed:
            if name not in self.called and name not in demanded:
                more = "; or `brand:` with the brand of every row" if name == BRAND_COLUMN else ""
                yield self.missing((name,), "which every view needs; `columns:` may say which one it is", more)
        for setting, columns in (("columns", options.columns), ("where", options.where)):
            for name in columns:
                if name not in present:
                    yield self.unknown(name, setting)
        if options.type_column and options.type_column not in present:
            yield self.unknown(options.type_column, "type")

    def missing(self, alternatives: tuple[str, ...], why: str, more: str = "") -> Misfit:
        """A column that is not there, and the one that it may be under another name."""
        known = {
            origin.column
            for target, origins in self.sources.items()
            if target in PROPERTIES or target in self.kind.optional
            for origin in origins
        }
        spare = [column.name for column in self.relation.columns if column not in {*known, *self.called_envelope()}]
        close = [found for name in alternatives for found in get_close_matches(name, spare, n=1)]
        own = close[0] if close else "YOUR_COLUMN"
        others = f"; it has {', '.join(spare[:SHOWN])}{' …' if len(spare) > SHOWN else ''}" if spare else ""
        return Misfit(
            f"it has no column {' or '.join(alternatives)}, {why}",
            f"let the view have it, or say which column it is: `columns: {{{own}: {alternatives[0]}}}`{more}{others}",
        )

    def called_envelope(self) -> tuple[Column, ...]:
        """The columns that say whose a row is."""
        return tuple(self.called[name] for name in (USER_COLUMN, BRAND_COLUMN) if name in self.called)

    def unknown(self, name: str, setting: str) -> Misfit:
        """A column that is not there and that the configuration names."""
        there = near(name, [column.name for column in self.relation.columns])
        instead = "name the one that says what a row is" if setting == "type" else f"take {name} out of `{setting}:`"
        return Misfit(
            f"it has no column {name}, which `{setting}:` names", f"{instead}, or write it as the view has it: {there}"
        )

    def says_when(self) -> bool:
        """Whether some column says when an event happened."""
        return any(self.dates.values())

    def unfit(self, target: str, origins: Sequence[Origin]) -> Iterator[Misfit]:
        """Names that the wire cannot carry, and types that can never become what the property is."""
        expected = property_type(target) or self.kind.types.get(target)
        names = ", ".join(origin.column.name for origin in origins)
        if not re.fullmatch(NAME_PATTERN, target):
            yield Misfit(
                f"column {names!r} cannot be a property by that name: name another or null with `columns:`",
                f"`columns: {{{names!r}: null}}` leaves it out, `{{{names!r}: a_name}}` sends it under that name",
            )
        for column in (origin.column for origin in origins):
            leave = f"`columns: {{{column.name}: null}}` leaves it out"
            if column.family == "binary":
                yield Misfit(
                    f"column {column.name} is binary: leave it out with `columns: {{{column.name}: null}}`", leave
                )
            elif expected == "date" and column.family in NO_DATE:
                yield Misfit(
                    f"column {column.name} is {column.type}, but {target} must be a date",
                    f"cast it to a timestamp in the view; {leave}",
                )
            elif expected in ("number", "integer") and column.family in NO_NUMBER:
                yield Misfit(
                    f"column {column.name} is {column.type}, but {target} must be a number",
                    f"cast it to a number in the view; {leave}",
                )


def near(name: str, names: list[str]) -> str:
    """Some names, the one first that was probably meant."""
    close = get_close_matches(name, names, n=1)
    return ", ".join(dict.fromkeys([*close, *names])) or "it has none"
