"""Rows to events: which column becomes which property, and which rows cannot be events."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct, field

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core import few_columns
from smartico_sync.core.events import BRAND, DATE, EID, KEY, PLAYER, POSITION, SEED, TYPE, USER, Events
from smartico_sync.core.few_rows import Step, made
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.flaws import Flaws, moments_in, unreadable
from smartico_sync.core.identity import Same, contents, fingerprints, row_hashes, row_ids, seeds
from smartico_sync.core.picked import renamed
from smartico_sync.core.row_values import converted, converted_form, envelope, few_converted, inked_columns
from smartico_sync.core.selection import chosen
from smartico_sync.core.told_sets import MARK
from smartico_sync.core.view_mapping import Steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.core.identity import Part
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.view_mapping import Later, Property, ViewMapping

__all__ = ["Mapped", "events", "keys_of", "told_by_difference", "told_whole", "wire_name"]

SHAPES = 16  # pages of one view differ in how a value had to be carried, hardly ever in more ways
PREFIXES = {"replace": "", "add": "+", "sync": MARK}


class Mapped(Struct, frozen=True):
    """`events`, and `rejects` with `@row` (UInt32), `@key` (String), `reason` (String, no value of the row) and `@player` (UInt64).

    `@player` is 0 where the row names none. `skipped` rows are left out as the configuration says; `invalid` counts values that were left out, by property.
    """

    events: Events
    rejects: pl.DataFrame
    skipped: int = 0
    invalid: Mapping[str, int] = field(default_factory=dict)


def keys_of(
    kind: Kind,
    configured: tuple[str, ...] | None,
    columns: tuple[Column, ...],
    type_column: str,
    called: Mapping[str, str | None] | None = None,
) -> tuple[str, ...]:
    """The columns that make a row unique: the configured ones, else the kind's first that are all there, else none.

    `called`: what columns are called by configuration; the names of the kind's columns count here, those of properties do
    not. A bet and its win share an id, so the type column joins the key.
    """
    present = {column.name: column.name for column in columns}
    named = {name: column for column, name in (called or {}).items() if name and column in present}
    present |= {name: column for name, column in named.items() if name not in PROPERTIES}
    if configured is None:
        found: tuple[str, ...] = next((key for key in kind.key if set(key) <= set(present)), ())
        configured = tuple(present[name] for name in found)
    return (*configured, type_column) if type_column and configured and type_column not in configured else configured


def events(mapping: ViewMapping, page: pl.DataFrame) -> Mapped:
    """The events of a page, in its order, and the rows that cannot be one.

    A transaction has its final id. A profile has none yet, but a SEED that names its row: the diff adds the content.
    """
    # polars panics where `format` meets a column of which a filter left nothing of the first chunk.
    page = page.rechunk()
    unread = unreadable(mapping.relation, page)
    frame = chosen(mapping, page.with_row_index(POSITION), unread)
    skipped = page.height - frame.height
    if skipped:
        unread = unreadable(mapping.relation, frame)
    steps = steps_for(mapping, frame)
    rows = made(made(frame, steps.envelope), steps.payload)
    flaws = Flaws(mapping, rows, unread)
    flaws.moments(steps.moments)
    flaws.envelope()
    flaws.values(steps.conversions)
    good, rejects, invalid = flaws.sorted_out()
    kept = renamed(good, steps.kept)
    player = row_hashes(good, [BRAND, USER], mapping.options.secret)
    parts = seed_parts(mapping, good)
    if mapping.kind.role == "profile":
        none = (
            few_columns.column("text", [""] * good.height, EID)
            if are_few(good)
            else pl.Series(EID, [""]).new_from_index(0, good.height)
        )
        ids = [none, seeds(good, parts).alias(SEED)]
    else:
        ids = [row_ids(good, parts).alias(EID)]
    found = Events(kept.hstack([player.alias(PLAYER), *ids]), steps.raw)
    return Mapped(found, rejects, skipped, invalid)


def steps_for(mapping: ViewMapping, page: pl.DataFrame) -> Steps:
    """The expressions for pages with such columns, built once: for a page of one row they cost more than running them.

    Each is built when it is asked for, as a handful of rows hardly ever does.
    """
    inked = frozenset() if are_few(page) else inked_columns(mapping, page)  # a handful asks no query, and needs no look
    shape = (tuple(page.columns), tuple(page.dtypes), inked)
    found = mapping.steps.get(shape)
    if found is None:
        if len(mapping.steps) >= SHAPES:
            mapping.steps.clear()
        found = mapping.steps[shape] = steps_of(mapping, page, inked)
    return found


def steps_of(mapping: ViewMapping, page: pl.DataFrame, inked: AbstractSet[str]) -> Steps:
    """What builds them."""
    schema = page.schema
    conversions = [(known, cache(partial(converted, known, schema, inked))) for known in mapping.properties]
    columns = {wire_name(mapping, known): f"@@{known.name}" for known, _ in conversions}
    return Steps(
        envelope(mapping, schema, inked),
        tuple(
            Step(f"@@{known.name}", partial(first_look, value), few_converted(known, schema))
            for known, value in conversions
        ),
        tuple(conversions),
        {role: moments_in(mapping, schema, columns) for role, columns in mapping.dates.items()},
        {name: name for name in (DATE, BRAND, USER, TYPE, KEY, POSITION)} | columns,
        frozenset(wire_name(mapping, known) for known, _ in conversions if converted_form(known, schema) == "json"),
    )


def first_look(made: Later) -> pl.Expr:
    """What a conversion yields at first sight."""
    return made().expr


def wire_name(mapping: ViewMapping, known: Property) -> str:
    """What a property is called in the payload: an array that is added to has its operator, one that is compared its mark."""
    return f"{PREFIXES[mapping.options.arrays.get(known.name, 'replace')]}{known.name}"


def told_by_difference(mapping: ViewMapping) -> list[str]:
    """The sets of the view that leave as what was added and taken away."""
    return [known.name for known in mapping.properties if mapping.options.arrays.get(known.name) == "sync"]


def told_whole(mapping: ViewMapping) -> list[str]:
    """The sets of the view that leave as they are, to replace what is there or to be added to it."""
    differing = told_by_difference(mapping)
    return [known.name for known in mapping.properties if known.target == "array" and known.name not in differing]


def seed_parts(mapping: ViewMapping, rows: pl.DataFrame) -> list[Part]:
    """What an event's id is made of: where it comes from, whose and what it is, and which row."""
    relation, options = mapping.relation, mapping.options
    parts: list[Part] = [Same(mapping.identity), BRAND, TYPE]
    parts += [id_part(relation, name) for name in mapping.id_columns]
    if not mapping.id_columns:
        parts.append(pl.lit(whole_row(mapping, rows)))
    if mapping.kind.role == "profile":
        parts += changes_by(relation)  # A→B→A is three changes
    return [*parts, Same(f"generation {options.generation}")] if options.generation else parts


def changes_by(relation: Relation) -> list[Part]:
    """What is another in each state of a player: the cursor; of messages the version, or the place and the time there."""
    if relation.version:
        return [pl.col(relation.version).cast(pl.String)]
    return ["@cursor"] if relation.version is None else ["@cursor", pl.col(relation.cursor).cast(pl.String)]


def id_part(relation: Relation, name: str) -> Part:
    """A column as part of an id: as the database prints it."""
    if name in relation.key:
        return f"@key.{relation.key.index(name)}"
    return "@cursor" if name == relation.cursor else pl.col(name).cast(pl.String)


def whole_row(mapping: ViewMapping, rows: pl.DataFrame) -> pl.Series:
    """What each row of a keyless view holds, which is then its own key."""
    blind, secret = mapping.options.blind & set(mapping.content), mapping.options.secret
    hidden = [fingerprints(rows.get_column(name).cast(pl.String), secret).alias(name) for name in sorted(blind)]
    return contents(rows.with_columns(hidden), mapping.content, "@cursor")
