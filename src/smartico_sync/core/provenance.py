"""Where each value of an event comes from, and why others are not in it. Told to people; the pipeline decides, never this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core.column_uses import column_uses
from smartico_sync.core.conversion import Hints, conversion
from smartico_sync.core.events import BRAND, ENVELOPE, POSITION
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.core.selection import ROLE, in_roles, role_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.column_uses import ColumnUse, Standing
    from smartico_sync.core.events import Events
    from smartico_sync.core.view_mapping import Property, ViewMapping

__all__ = ["Explanation", "From", "LeftOut", "Part", "Settings", "explained"]

From = Literal["column", "constant", "default", "computed"]
NOWHERE: dict[Standing, str] = {
    "unmapped": "it means nothing to the kind; `columns:` or `unmapped: send` would send it",
    "left out": "`columns:` leaves it out",
    "never sent": "Smartico computes it itself",
}


class Part(Struct, frozen=True):
    """A field or property of an event: where it comes from, in a word and in words."""

    name: str
    origin: From
    how: str


class LeftOut(Struct, frozen=True):
    """A column whose value is not in the event, and why."""

    column: str
    why: str


class Explanation(Struct, frozen=True):
    """One event, in the order of those that are sent. `row`: the index of its row in the page."""

    row: int
    envelope: tuple[Part, ...]
    payload: tuple[Part, ...]
    left_out: tuple[LeftOut, ...]


class Settings(Struct, frozen=True):
    """What the configuration does to events at the end.

    `constants`: properties that it adds to every event, and which setting says so; `protected`: how it protects properties; `dropped`:
    those that it takes out as personal data; `aliases`: what brands are called instead.
    """

    constants: Mapping[str, str] = field(default_factory=dict)
    protected: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


def explained(
    mapping: ViewMapping,
    page: pl.DataFrame,
    mapped: Events,
    sent: Events,
    settings: Settings,
) -> tuple[Explanation, ...]:
    """Explain each event that is sent. `mapped`: the events as they were mapped, before rules and protection."""
    origins, dates, uses = origins_of(mapping, page), dates_of(mapping, page), column_uses(mapping)
    before = {row[POSITION]: row for row in mapped.frame.iter_rows(named=True)}
    roles = role_series(mapping, page)
    found = []
    for event in sent.frame.iter_rows(named=True):
        row = event[POSITION]
        there, was = page.row(row, named=True), before[row]
        alias = "" if was[BRAND] == event[BRAND] else f"`smartico.brands.{was[BRAND]}.alias`"
        values = {name: value for name, value in event.items() if name not in ENVELOPE and value is not None}
        payload = (
            Part(name, "constant", settings.constants[name])
            if name in settings.constants
            else part_of(mapping, name, origins.get(plain(name), {}).get(row), changed(settings, was, name, value))
            for name, value in values.items()
        )
        found.append(
            Explanation(
                row,
                tuple(envelope_parts(mapping, there, roles[row], dates[row], alias)),
                tuple(payload),
                tuple(
                    left_out(mapping, uses, there, Row(roles[row], was, values, took(origins, row)), settings.dropped)
                ),
            )
        )
    return tuple(found)


def plain(name: str) -> str:
    """A property without its operator."""
    return name.lstrip("+-!^")


def changed(settings: Settings, was: Mapping[str, Any], name: str, value: object) -> str:
    """What happened to a value after it was mapped."""
    if name in settings.protected:
        return settings.protected[name]
    return "" if was.get(name) in (None, value) else "written as the catalogue has it"


def envelope_parts(
    mapping: ViewMapping, row: Mapping[str, Any], role: str | None, dated: str | None, alias: str
) -> Iterator[Part]:
    """The fields around the payload."""
    options, relation = mapping.options, mapping.relation
    made_of = ", ".join(mapping.id_columns) or "all columns"
    content = ", the cursor and the content" if mapping.kind.role == "profile" else ""
    yield Part("eid", "computed", f"from the name {mapping.identity}, brand, event type, {made_of}{content}")
    where = f"column {dated}" if dated else "no column says it"
    yield Part("event_date", "column", where + (", the cursor" if dated == relation.cursor else ""))
    renamed = f", called by {alias}" if alias else ""
    if options.brand:
        yield Part("ext_brand_id", "constant", f"`brand:` of the view{renamed}")
    else:
        yield Part("ext_brand_id", "column", f"column {mapping.called[BRAND_COLUMN].name}{renamed}")
    yield Part("user_ext_id", "column", f"column {mapping.called[USER_COLUMN].name}")
    if options.roles and options.type_column in row:
        yield Part("event_type", "column", f"column {options.type_column}, `type:` says that the row is {role}")
    elif options.event_type:
        yield Part("event_type", "constant", "`event_type:` of the view")
    else:
        yield Part("event_type", "default", f"of the kind {mapping.kind.name}")


def part_of(mapping: ViewMapping, name: str, column: str | None, after: str) -> Part:
    """A property of the payload; `column`: the one that has the value in this row, `after`: what happened to it then."""
    known = next(each for each in mapping.properties if each.name == plain(name))
    if column is None:
        if known.dated is not None:
            return Part(name, "computed", "the event's date")
        if known.true_in is not None:
            return Part(name, "constant", "true in every row of this role")
        texts = (each.said for each in mapping.properties if other_of(each.name) == name)
        return Part(name, "computed", f"from column {next(texts, '')}, whose text is no value of its own property")
    hints = next(origin.hints for origin in known.origins if origin.column.name == column)
    more = [
        f"its last {hints.scale} digits are decimals" if hints.scale else "",
        f"split at {hints.split!r}" if hints.split else "",
        "added to the set (`arrays:` add)" if name.startswith("+") else "",
        after,
    ]
    return Part(name, "column", ", ".join(filter(None, [f"column {column}", *more])))


class Row(Struct, frozen=True):
    """What became of a row: its role, its event as it was mapped, the values that are sent, and the column of each property."""

    role: str | None
    before: Mapping[str, Any]
    values: Mapping[str, Any]
    columns: Mapping[str, str]


def took(origins: Mapping[str, Mapping[int, str]], row: int) -> dict[str, str]:
    """The column that each property of a row has its value from."""
    return {name: columns[row] for name, columns in origins.items() if row in columns}


def left_out(
    mapping: ViewMapping, uses: tuple[ColumnUse, ...], cells: Mapping[str, Any], row: Row, dropped: AbstractSet[str]
) -> Iterator[LeftOut]:
    """The columns that are in no property of this event. `cells`: what they hold."""
    sent = {plain(name) for name in row.values}
    for use in uses:
        names = [each.name for each in use.properties]
        if any(name in sent and row.columns.get(name) == use.column for name in names) or (
            not names and use.standing == "used"
        ):
            continue
        yield LeftOut(use.column, why(mapping, use, cells[use.column], sent, row, dropped))


def why(
    mapping: ViewMapping, use: ColumnUse, cell: object, sent: AbstractSet[str], row: Row, dropped: AbstractSet[str]
) -> str:
    """Why a column is in no property of an event."""
    names = [each.name for each in use.properties]
    ahead = [row.columns[name] for name in names if name in row.columns and row.columns[name] != use.column]
    reasons = {
        NOWHERE.get(use.standing, "it is no property"): not names,
        "NULL": cell is None,
        f"not of a row that is {row.role}": not any(
            row.role in each.roles or not each.roles for each in use.properties
        ),
        f"column {next(iter(ahead), '')} goes before it": bool(ahead),
        "personal data, and `pii:` drops it": bool(dropped & set(names)),
        f"{next(iter(names), '')} breaks a rule of the catalogue, and `on_invalid:` leaves it out": any(
            row.before.get(name) is not None for name in names
        ),
        f"its text goes to {next(filter(None, map(other_of, names)), '')}": any(
            other_of(name) in sent for name in names
        ),
        "empty text": isinstance(cell, str) and not cell.strip(),
    }
    expected = next((known.expected for known in mapping.properties if known.name in names), "value")
    return next((reason for reason, holds in reasons.items() if holds), f"no {expected} can be read")


def other_of(name: str) -> str:
    """The property for texts that are no value of this one; empty for none."""
    known = PROPERTIES.get(name)
    return known.otherwise if known else ""


def origins_of(mapping: ViewMapping, page: pl.DataFrame) -> dict[str, dict[int, str]]:
    """The column that has the value, by property and index of the row."""
    rows = page.with_columns(role_of(mapping, page.schema).alias(ROLE))
    found: dict[str, dict[int, str]] = {}
    for known in mapping.properties:
        if known.origins:
            first = rows.select(pl.coalesce(chosen(known, rows))).to_series()
            found[known.name] = {row: column for row, column in enumerate(first.to_list()) if column is not None}
    return found


def chosen(known: Property, rows: pl.DataFrame) -> Iterator[pl.Expr]:
    """The name of each column of a property, in rows where it has a value."""
    for origin in known.origins:
        made = conversion(origin.column, known.target, rows.schema[origin.column.name], origin.hints)
        there = in_roles(origin.roles, made.again).is_not_null()
        yield pl.when(there).then(pl.lit(origin.column.name))


def dates_of(mapping: ViewMapping, page: pl.DataFrame) -> list[str | None]:
    """The column that says when, by index of the row."""
    hints = Hints(timezone=mapping.relation.timezone)
    roles = role_series(mapping, page)
    firsts: dict[str, list[str | None]] = {}
    for role, columns in mapping.dates.items():
        made = [(column, conversion(column, "date", page.schema[column.name], hints)) for column in columns]
        names = [pl.when(each.again.is_not_null()).then(pl.lit(column.name)) for column, each in made]
        firsts[role] = page.select(pl.coalesce(names)).to_series().to_list() if names else [None] * page.height
    return [firsts.get(role or "", firsts[""])[row] for row, role in enumerate(roles)]


def role_series(mapping: ViewMapping, page: pl.DataFrame) -> list[str | None]:
    """The role of each row."""
    return page.with_columns(role_of(mapping, page.schema).alias(ROLE)).get_column(ROLE).to_list()
