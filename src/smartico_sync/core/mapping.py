"""Rows to events: which column becomes which property, and which rows cannot be events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.conversion import PLAIN, Conversion, Form, Hints, conversion, id_text
from smartico_sync.core.events import BRAND, DATE, EID, KEY, PLAYER, POSITION, TYPE, USER, Events
from smartico_sync.core.flaws import Flaws, unreadable
from smartico_sync.core.identity import eids, fingerprints, hash64
from smartico_sync.core.selection import ROLE, chosen, in_roles, role_of, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Column, Relation

__all__ = ["Mapped", "Options", "Origin", "Property", "ViewMapping", "events", "keys_of"]

BRAND_COLUMN, USER_COLUMN = "ext_brand_id", "user_ext_id"
Demand = Literal[
    "none",  # what cannot be read is left out
    "readable",  # it may be missing, for another view may have it
    "there",  # neither missing nor unreadable
]
EVERY_ROLE: frozenset[str] = frozenset()
# What a property is where no column fills it.
NO_COLUMN: dict[PropertyType, pl.DataType] = {"date": pl.Int64(), "boolean": pl.Boolean(), "number": pl.Float64()}


@dataclass(frozen=True, slots=True)
class Options:
    """What a view's configuration adds to its kind. `roles` maps values of the type column to roles of the kind.

    `columns`: column to property, to another name of the catalogue, or to None, which leaves it out; `hints` and `types` say how
    columns are read and what custom properties become. `other`: what becomes of rows whose type has no role. `where`: rows
    are kept whose column holds one of these texts (None: NULL). `unmapped`: as in Kind, empty for the kind's own.
    `unfolded`: properties that are sent as they are written, "*" for all. `unreadable`: an optional value that cannot be
    read is left out, or costs its row. `arrays`: how sets of names are told. `clears`: properties that are cleared when they
    became NULL, "*" for all.
    `generation`: how often event ids were begun anew; each generation has ids of its own. `blind`: columns with personal
    data, which go into an event's id under the `secret` only, so that nobody can try out values against it.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    hints: Mapping[str, Hints] = field(default_factory=dict)
    types: Mapping[str, PropertyType] = field(default_factory=dict)
    type_column: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    other: Literal["dead_letter", "ignore"] = "dead_letter"
    where: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    unmapped: Literal["", "omit", "send"] = ""
    unfolded: frozenset[str] = frozenset()
    unreadable: Literal["omit", "dead_letter"] = "omit"
    arrays: Mapping[str, Literal["replace", "add", "sync"]] = field(default_factory=dict)
    clears: frozenset[str] = frozenset()
    event_type: str = ""
    event_date: str = ""
    brand: str = ""
    generation: int = 0
    blind: frozenset[str] = frozenset()
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """A column that a property may come from; in rows of these roles only, of every row where there are none."""

    column: Column
    roles: frozenset[str] = EVERY_ROLE
    hints: Hints = PLAIN


@dataclass(frozen=True, slots=True)
class Property:
    """One property: where it comes from, the first that is not NULL wins; `expected` for messages.

    `target`: what it becomes. `demand`: a row is no event where it is unreadable, or (there) missing, in rows of the roles
    `needed_in`. In rows of the roles `dated` it has the event's date where no column fills it, in those of `true_in` it is
    true; no role named: in all rows.
    """

    name: str
    origins: tuple[Origin, ...]
    target: PropertyType
    expected: str
    demand: Demand = "none"
    needed_in: frozenset[str] = EVERY_ROLE
    dated: frozenset[str] | None = None
    true_in: frozenset[str] | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns it may come from."""
        return tuple(origin.column for origin in self.origins)

    @property
    def said(self) -> str:
        """The columns, for messages."""
        return " or ".join(dict.fromkeys(column.name for column in self.columns))


@dataclass(frozen=True, slots=True)
class ViewMapping:
    """How rows of one described relation become events.

    `called`: the column that has a name of the catalogue, by its own name or because `columns:` says so. `dates`: the columns that
    may say when, by role; those of "" are for roles that have none of their own, and `named_dates` are those that the kind or the
    configuration names: where one is unreadable, no other stands in. `unmapped`: columns that are sent nowhere.
    `problems` are sentences for the operator; a mapping with problems must not be used.
    """

    view: str
    kind: Kind
    relation: Relation
    options: Options
    properties: tuple[Property, ...]
    called: Mapping[str, Column]
    dates: Mapping[str, tuple[Column, ...]]
    named_dates: frozenset[str]
    unmapped: tuple[Column, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """`events`, and `rejects` with `@row` (UInt32), `@key` (String) and `reason` (String, no value of the row).

    `skipped` rows are left out as the configuration says; `invalid` counts values that were left out, by property.
    """

    events: Events
    rejects: pl.DataFrame
    skipped: int = 0
    invalid: Mapping[str, int] = field(default_factory=dict)


def keys_of(
    kind: Kind, configured: tuple[str, ...] | None, columns: tuple[Column, ...], type_column: str
) -> tuple[str, ...]:
    """The columns that make a row unique: the configured ones, else the kind's first that are all there, else none.

    A bet and its win share an id, so the type column joins the key.
    """
    present = {column.name for column in columns}
    if configured is None:
        configured = next((key for key in kind.key if set(key) <= present), ())
    return (*configured, type_column) if type_column and configured and type_column not in configured else configured


def events(mapping: ViewMapping, page: pl.DataFrame) -> Mapped:
    """The events of a page, in its order, and the rows that cannot be one.

    The eid of a profile is that of its row, from view, brand, type, key and cursor; the diff adds the content.
    """
    unread = unreadable(mapping.relation, page)
    frame = chosen(mapping, page.with_row_index(POSITION), unread)
    skipped = page.height - frame.height
    if skipped:
        unread = unreadable(mapping.relation, frame)
    conversions = [(known, converted(known, frame)) for known in mapping.properties]
    rows = frame.with_columns(envelope(mapping, frame.schema))
    rows = rows.with_columns(made.expr.alias(f"@@{known.name}") for known, made in conversions)
    flaws = Flaws(mapping, rows, unread)
    flaws.moments()
    flaws.envelope()
    flaws.values(conversions)
    good, rejects, invalid = flaws.sorted_out()
    columns = [pl.col(f"@@{known.name}").alias(wire_name(mapping, known)) for known, _ in conversions]
    raw = {wire_name(mapping, known) for known, made in conversions if made.form == "json"}
    kept = good.select(DATE, BRAND, USER, TYPE, KEY, POSITION, *columns)
    keys = [pl.col(f"@key.{index}") for index in range(len(mapping.relation.key))] or whole_row(
        mapping, page.columns, good
    )
    seed = [pl.lit(mapping.view), pl.col(BRAND), pl.col(TYPE), *keys]
    # A→B→A is three changes.
    change = [pl.col("@cursor")] if mapping.kind.role == "profile" else []
    generation = mapping.options.generation
    anew = [pl.lit(f"generation {generation}")] if generation else []
    kept = kept.with_columns(
        hash64(good, [pl.col(BRAND), pl.col(USER)]).alias(PLAYER),
        eids(good, [*seed, *change, *anew]).alias(EID),
    )
    return Mapped(Events(kept, frozenset(raw)), rejects, skipped, invalid)


def wire_name(mapping: ViewMapping, known: Property) -> str:
    """What a property is called in the payload: an array that is added to has its operator."""
    return f"+{known.name}" if mapping.options.arrays.get(known.name) == "add" else known.name


def whole_row(mapping: ViewMapping, names: Sequence[str], good: pl.DataFrame) -> list[pl.Expr]:
    """Every value of a keyless row, which is then its own key."""
    texts = {
        name: good.get_column(name).cast(pl.String, strict=False) for name in names if good.schema[name] != pl.Binary
    }
    blind, secret = mapping.options.blind, mapping.options.secret
    return [pl.lit(fingerprints(text, secret) if name in blind else text) for name, text in texts.items()]


def envelope(mapping: ViewMapping, schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Brand, user, type, date and key of each row; null where they cannot be told. The role where values hang on it."""
    brand = pl.lit(mapping.options.brand) if mapping.options.brand else name_of(mapping.called[BRAND_COLUMN])
    key = [pl.col(f"@key.{index}") for index in range(len(mapping.relation.key))]
    role = role_of(mapping, schema)
    return [
        brand.replace("", None).alias(BRAND),
        name_of(mapping.called[USER_COLUMN]).replace("", None).alias(USER),
        type_of(mapping, schema).alias(TYPE),
        date_of(mapping, schema, role).alias(DATE),
        (pl.concat_str(key, separator=",", ignore_nulls=True) if key else pl.col("@cursor")).alias(KEY),
        *([role.alias(ROLE)] if any(origin.roles for known in mapping.properties for origin in known.origins) else []),
    ]


def date_of(mapping: ViewMapping, schema: Mapping[str, pl.DataType], role: pl.Expr) -> pl.Expr:
    """When each row happened, by the dates of its role."""
    hints = Hints(timezone=mapping.relation.timezone)

    def first(columns: tuple[Column, ...]) -> pl.Expr:
        made = [conversion(column, "date", schema[column.name], hints).expr for column in columns]
        return pl.coalesce(made) if made else pl.lit(None, pl.Int64)

    when = first(mapping.dates[""])
    for name, columns in mapping.dates.items():
        if name:
            when = pl.when(role == name).then(first(columns)).otherwise(when)
    return when


def name_of(column: Column) -> pl.Expr:
    """A brand or a user as text; a whole number has no point, however the database stores it."""
    return id_text(pl.col(column.name), column.family)


def converted(known: Property, page: pl.DataFrame) -> Conversion:
    """The property's value from its columns: the first that is not NULL, in rows of the roles it is for."""
    each = []
    for origin in known.origins:
        made = conversion(origin.column, known.target, page.schema[origin.column.name], origin.hints)
        expr, again, given = (in_roles(origin.roles, part) for part in (made.expr, made.again, made.given))
        each.append(Conversion(expr, again, given, made.form))
    if not each:
        nothing = pl.lit(None, NO_COLUMN.get(known.target, pl.String()))
        return Conversion(nothing, nothing, pl.lit(value=False))
    if len(each) == 1:
        return each[0]
    form: Form = "json" if any(part.form == "json" for part in each) else "value"
    if form == "json":
        each = [part if part.form == "json" else as_json(part) for part in each]
    return Conversion(
        pl.coalesce(part.expr for part in each),
        pl.coalesce(part.again for part in each),
        pl.any_horizontal(part.given for part in each),
        form,
    )


def as_json(made: Conversion) -> Conversion:
    """The value as JSON text, null where it is null."""

    def text(value: pl.Expr) -> pl.Expr:
        # polars writes JSON only for an object, here {"":…}.
        wrapped = pl.struct(value.alias("")).struct.json_encode()
        return pl.when(value.is_not_null()).then(wrapped.str.slice(4).str.head(-1))

    return Conversion(text(made.expr), text(made.again), made.given, "json")
