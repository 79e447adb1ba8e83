"""Rows to events: which column becomes which property, and which rows cannot be events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.catalogue.properties import MANAGED, NAME_PATTERN, property_type
from smartico_sync.core.conversion import Conversion, Form, conversion, epoch_ms, natural
from smartico_sync.core.events import BRAND, DATE, EID, KEY, PLAYER, POSITION, SEED, TYPE, USER, Events
from smartico_sync.core.identity import contents, eids, fingerprints, keyed_hash, seeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.core.relation import Column, Relation

__all__ = ["Mapped", "Options", "ViewMapping", "events", "identity_columns", "keys_of", "plan"]

NO_NUMBER = frozenset({"timestamp", "instant", "date", "json", "uuid", "array"})
BRAND_COLUMN, USER_COLUMN = "ext_brand_id", "user_ext_id"


@dataclass(frozen=True, slots=True)
class Options:
    """What a view's configuration adds to its kind. `roles` maps values of the type column to roles of the kind.

    `identity`: what event ids are made of in place of the view's name, and `id_columns` of which columns, where the state
    says so (None: of those that `identity_columns` names). `content_columns`: where there is no key, those that a row is made of
    (none: all). `generation`: how often event ids were begun anew; each generation
    has ids of its own. `blind`: columns with personal data, which go into an event's id under the `secret` only, so that
    nobody can try out values against it. Keys of players and of the ledger hang on the secret too.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    type_column: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    event_type: str = ""
    event_date: str = ""
    brand: str = ""
    on_null: Literal["omit", "clear"] = "omit"
    identity: str = ""
    id_columns: tuple[str, ...] | None = None
    content_columns: tuple[str, ...] = ()
    generation: int = 0
    blind: frozenset[str] = frozenset()
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Property:
    """One property: the columns it comes from, the first that is not NULL wins; `expected` for messages."""

    name: str
    columns: tuple[Column, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class ViewMapping:
    """How rows of one described relation become events.

    `problems` are sentences for the operator; a mapping with problems must not be used.
    """

    view: str
    kind: Kind
    relation: Relation
    options: Options
    properties: tuple[Property, ...]
    dates: tuple[Column, ...]
    problems: tuple[str, ...]

    @property
    def identity(self) -> str:
        """What event ids are made of in place of the view's name."""
        return self.options.identity or self.view

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that make the row that row; none for a keyless view: all of them."""
        recorded = self.options.id_columns
        return identity_columns(self.kind, self.relation) if recorded is None else recorded

    @property
    def cursor_is_id(self) -> bool:
        """Whether the cursor never changes in a row."""
        return self.relation.cursor_is_id

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that hold what a row holds: those of the state are used on, so that a further one makes no other rows."""
        names = [column.name for column in self.relation.columns if column.family != "binary"]
        recorded = self.options.content_columns
        return tuple(name for name in names if not recorded or name in recorded)


@dataclass(frozen=True, slots=True)
class Mapped:
    """`events`, and `rejects` with `@row` (UInt32), `@key` (String) and `reason` (String, no value of the row)."""

    events: Events
    rejects: pl.DataFrame


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


def identity_columns(kind: Kind, relation: Relation) -> tuple[str, ...]:
    """The columns that make a transaction that transaction: its key, and with it an id that is the cursor.

    A business id may be given twice (a round, a bet that is settled again), an incrementing id never is. A profile is its
    player, at the cursor and with the content that it then has. None for a keyless view: a row is all that it holds.
    """
    key = relation.key
    joins = key and kind.role != "profile" and relation.cursor_is_id and relation.cursor not in key
    return (*key, relation.cursor) if joins else key


def plan(view: str, kind: Kind, relation: Relation, options: Options) -> ViewMapping:
    """Decide, once per view, what each column becomes. `relation` is described and has its key."""
    present = {column.name: column for column in relation.columns}
    sources: dict[str, list[Column]] = {}
    renames: dict[str, list[str]] = {}
    for source, target in kind.columns:
        renames.setdefault(source, []).append(target)
    hidden = kind.hidden | {BRAND_COLUMN, USER_COLUMN, relation.cursor, options.type_column}
    order = [name for name, _ in kind.columns if name in present]
    for name in dict.fromkeys([*options.columns, *order, *present]):
        column = present.get(name)
        if column is None:
            continue
        if name in options.columns:
            chosen = options.columns[name]
            targets = [chosen] if chosen else []
        elif name in renames and not (name == relation.cursor and name != "id"):
            targets = renames[name]
        else:
            targets = [] if name in hidden else [name]
        for target in targets:
            if target not in MANAGED:
                sources.setdefault(target, []).append(column)
    properties = tuple(
        Property(target, tuple(columns), property_type(target) or natural(columns[0].family))
        for target, columns in sources.items()
    )
    names = (options.event_date,) if options.event_date else kind.event_date
    dates = tuple(present[name] for name in (*names, relation.cursor) if name in present)
    moments = {"timestamp", "instant", "date", "text"}
    usable = tuple(
        # A whole number is a moment (epoch ms) only where the configuration says so; an id is none.
        column
        for column in dates
        if column.family in moments or (column.name == options.event_date and column.family == "integer")
    )
    return ViewMapping(
        view, kind, relation, options, properties, usable, problems(kind, present, options, sources, usable)
    )


def problems(
    kind: Kind,
    present: dict[str, Column],
    options: Options,
    sources: dict[str, list[Column]],
    dates: tuple[Column, ...],
) -> tuple[str, ...]:
    """What keeps the relation from being this kind, one sentence each."""
    found = []
    supplied = set(present) | set(sources)
    for alternatives in kind.required:
        if BRAND_COLUMN in alternatives and options.brand:
            continue
        if not supplied & set(alternatives):
            found.append(f"it has no column {' or '.join(alternatives)}, which {kind.name} needs")
    needed = (USER_COLUMN, *(() if options.brand else (BRAND_COLUMN,)))
    demanded = {name for alternatives in kind.required for name in alternatives}
    found += [
        f"it has no column {name}, which every view needs"
        for name in needed
        if name not in present and name not in demanded
    ]
    found += [f"it has no column {name}, which columns: names" for name in options.columns if name not in present]
    if options.type_column and options.type_column not in present:
        found.append(f"it has no column {options.type_column}, which type: names")
    if options.event_date and options.event_date not in {column.name for column in dates}:
        found.append(f"it has no column {options.event_date} with moments, which event_date: names")
    elif not dates:
        found.append("no column says when an event happened: name one with event_date:")
    for target, columns in sources.items():
        expected = property_type(target)
        if not re.fullmatch(NAME_PATTERN, target):
            names = ", ".join(column.name for column in columns)
            found.append(f"column {names!r} cannot be a property by that name: name another or null with columns:")
        for column in columns:
            if column.family == "binary":
                found.append(f"column {column.name} is binary: leave it out with columns: {{{column.name}: null}}")
            elif expected == "date" and column.family in ("boolean", "json", "array", "uuid"):
                found.append(f"column {column.name} is {column.type}, but {target} must be a date")
            elif expected in ("number", "integer") and column.family in NO_NUMBER:
                found.append(f"column {column.name} is {column.type}, but {target} must be a number")
    return tuple(found)


def events(mapping: ViewMapping, page: pl.DataFrame) -> Mapped:
    """The events of a page, in its order, and the rows that cannot be one.

    A transaction has its final id. A profile has none yet, but a SEED that names its row: the diff adds the content.
    """
    conversions = [(known, converted(known, page)) for known in mapping.properties]
    frame = page.with_row_index(POSITION).with_columns(envelope(mapping))
    payload = frame.with_columns(expr.expr.alias(f"@@{known.name}") for known, expr in conversions)
    good, rejects = sorted_out(payload, flaws(mapping, page, conversions))
    columns = [pl.col(f"@@{known.name}").alias(known.name) for known, _ in conversions]
    raw = {known.name for known, expr in conversions if expr.form == "json"}
    if mapping.options.on_null == "clear" and mapping.kind.role == "profile":
        cleared = [
            pl.when(pl.col(f"@@{known.name}").is_null()).then(pl.lit("null")).alias(f"!{known.name}")
            for known, _ in conversions
        ]
        columns += cleared
        raw |= {f"!{known.name}" for known, _ in conversions}
    kept = good.select(DATE, BRAND, USER, TYPE, KEY, POSITION, *columns)
    player = keyed_hash(seeds(good, [pl.col(BRAND), pl.col(USER)]), mapping.options.secret)
    named = seeds(good, seed_parts(mapping, good))
    profile = mapping.kind.role == "profile"
    ids = [pl.lit("").alias(EID), named.alias(SEED)] if profile else [eids(named).alias(EID)]
    return Mapped(Events(kept.with_columns(player.alias(PLAYER), *ids), frozenset(raw)), rejects)


def seed_parts(mapping: ViewMapping, rows: pl.DataFrame) -> list[pl.Expr]:
    """What an event's id is made of: where it comes from, whose and what it is, and which row."""
    relation, options = mapping.relation, mapping.options
    parts = [pl.lit(mapping.identity), pl.col(BRAND), pl.col(TYPE)]
    parts += [id_text(relation, name) for name in mapping.id_columns]
    if not mapping.id_columns:
        parts.append(pl.lit(whole_row(mapping, rows)))
    if mapping.kind.role == "profile":
        parts.append(pl.col("@cursor"))  # A→B→A is three changes
    return [*parts, pl.lit(f"generation {options.generation}")] if options.generation else parts


def id_text(relation: Relation, name: str) -> pl.Expr:
    """A column as part of an id: as the database prints it."""
    if name in relation.key:
        return pl.col(f"@key.{relation.key.index(name)}")
    return pl.col("@cursor") if name == relation.cursor else pl.col(name).cast(pl.String)


def whole_row(mapping: ViewMapping, rows: pl.DataFrame) -> pl.Series:
    """What each row of a keyless view holds, which is then its own key."""
    blind, secret = mapping.options.blind & set(mapping.content), mapping.options.secret
    hidden = [fingerprints(rows.get_column(name).cast(pl.String), secret).alias(name) for name in sorted(blind)]
    return contents(rows.with_columns(hidden), mapping.content, "@cursor")


def envelope(mapping: ViewMapping) -> list[pl.Expr]:
    """Brand, user, type, date and key of each row; null where they cannot be told."""
    present = {column.name for column in mapping.relation.columns}
    brand = pl.lit(mapping.options.brand) if mapping.options.brand else name_of(mapping, BRAND_COLUMN)
    key = [pl.col(f"@key.{index}") for index in range(len(mapping.relation.key))]
    date = pl.coalesce(*(epoch_ms(pl.col(column.name), column.family) for column in mapping.dates))
    return [
        brand.replace("", None).alias(BRAND),
        name_of(mapping, USER_COLUMN).replace("", None).alias(USER),
        event_type(mapping, present).alias(TYPE),
        date.alias(DATE),
        (pl.concat_str(key, separator=",", ignore_nulls=True) if key else pl.col("@cursor")).alias(KEY),
    ]


def name_of(mapping: ViewMapping, name: str) -> pl.Expr:
    """A brand or a user as text; a whole number has no point, however the database stores it."""
    column = mapping.relation.column(name)
    text = pl.col(name).cast(pl.String)
    if column is not None and column.family in ("float", "decimal"):
        return text.str.replace(r"^(-?[0-9]+)\.0*$", "${1}")
    return text


def event_type(mapping: ViewMapping, present: set[str]) -> pl.Expr:
    """The event type of each row; null for a value of the type column that is neither."""
    options, kind = mapping.options, mapping.kind
    if options.type_column in present and options.roles:
        types = {value: kind.event_types[role] for value, role in options.roles.items()}
        column = pl.col(options.type_column).cast(pl.String)
        return column.replace_strict(types, default=None, return_dtype=pl.String)
    return pl.lit(options.event_type or kind.event_types[""])


def converted(known: Property, page: pl.DataFrame) -> Conversion:
    """The property's value from its columns: the first that is not NULL."""
    expected = property_type(known.name) or "any"
    each = [
        # A whole number wider than 64 bits comes as text, like a decimal.
        conversion(column.name, "decimal" if is_wide(column, page) else column.family, expected)
        for column in known.columns
    ]
    if len(each) == 1:
        return each[0]
    form: Form = "json" if any(part.form == "json" for part in each) else "value"
    if form == "json":
        each = [part if part.form == "json" else replace(part, expr=as_json(part.expr)) for part in each]
    values, given = pl.coalesce(*(part.expr for part in each)), pl.any_horizontal(part.given for part in each)
    return Conversion(values, given, form)


def is_wide(column: Column, page: pl.DataFrame) -> bool:
    """Whether whole numbers come as text."""
    return column.family == "integer" and page.schema[column.name] == pl.String


def as_json(value: pl.Expr) -> pl.Expr:
    """The value as JSON text, null where it is null."""
    # polars writes JSON only for an object, here {"":…}.
    return pl.when(value.is_not_null()).then(pl.struct(value.alias("")).struct.json_encode().str.slice(4).str.head(-1))


Flaw = tuple[pl.Expr, pl.Expr]  # whether a row has it (never null), and the reason to give


def flaws(mapping: ViewMapping, page: pl.DataFrame, conversions: list[tuple[Property, Conversion]]) -> list[Flaw]:
    """What keeps a row from being an event; the first that a row has is named."""
    kinds = mapping.options.type_column or "type"
    said = pl.col("@unreadable")
    found: list[Flaw] = [(said.is_not_null(), said)] if "@unreadable" in page.columns else []
    found += [
        (pl.col(USER).is_null(), pl.lit(f"{USER_COLUMN} is NULL or empty")),
        (pl.col(BRAND).is_null(), pl.lit(f"{BRAND_COLUMN} is NULL or empty")),
        (pl.col(TYPE).is_null(), pl.lit(f"{kinds} is none of the configured values")),
        (pl.col(DATE).is_null(), pl.lit("no column says when it happened")),
    ]
    for known, made in conversions:
        columns = " or ".join(column.name for column in known.columns)
        lost = pl.col(f"@@{known.name}").is_null() & made.given.fill_null(value=False)
        found.append((lost, pl.lit(f"column {columns}: not a {known.expected}, which {known.name} must be")))
    return found


def sorted_out(rows: pl.DataFrame, found: list[Flaw]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows without a flaw, and `@row`, `@key` and `reason` of the others."""
    flawed = rows.select(pl.any_horizontal(flaw for flaw, _ in found)).to_series()
    reason = pl.coalesce(pl.when(flaw).then(said) for flaw, said in found)
    rejects = rows.filter(flawed).select(POSITION, KEY, reason.alias("reason"))
    return (rows.filter(~flawed) if rejects.height else rows), rejects
