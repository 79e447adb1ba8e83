"""Whether the rows of a view are told apart: two different rows with one event id would be one event, and the second lost.

A row that is the same in all columns is a copy of another, and sent once. A row of a known key that stands elsewhere has
moved when the old one is gone; while both are there, they are two rows, and the key is not unique.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.core.events import EID, POSITION
from smartico_sync.core.ledger_keys import which
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import positions_of
from smartico_sync.errors import ViewMisconfigured

if TYPE_CHECKING:
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = [
    "Repeats",
    "eids_of",
    "elsewhere",
    "missing_since",
    "not_unique",
    "profiles_that_repeat",
    "repeats",
    "with_others",
]

EXAMPLES = 3
BRAND = "ext_brand_id"  # platforms that count their transactions each for itself meet in one view
LONGEST = 60  # characters of a key that are shown
TELLING = frozenset({"integer", "text", "uuid", "decimal"})  # families of an id
DATED = frozenset({"timestamp", "instant", "date"})


class Repeats(Struct, frozen=True):
    """Which rows of a page [Boolean] are `copies` of an earlier one, and which `clash` with a different one."""

    copies: pl.Series
    clash: pl.Series


def repeats(mapping: ViewMapping, rows: pl.DataFrame, keys: pl.Series) -> Repeats | None:
    """Compare the rows of a page, whose ledger keys these are, with each other; None when each is one of its own.

    Profiles are not compared: a player may well be read several times, and equal rows are unchanged.
    """
    if mapping.kind.role == "profile" or rows.height == 1:
        return None
    again = which(mapping, keys).is_duplicated()
    if not again.any():
        return None
    some = rows.filter(again)
    place = again.arg_true()
    held = [*(name for name in mapping.content if name in some.columns), "@cursor"]
    first = some.with_row_index("@n").unique(held, keep="first", maintain_order=True).get_column("@n")
    one = pl.Series(range(some.height), dtype=pl.UInt32).is_in(first.implode())
    there = pl.DataFrame({"place": place, "eid": eids_of(mapping, some), "key": keys.filter(again)}).filter(one)
    same = pl.col("eid").is_not_null() & pl.col("eid").is_duplicated()
    # Of rows with one cursor and one key a page that ends between them shows only the first.
    tied = pl.col("key").is_duplicated()
    clash = there.filter(same | tied).get_column("place")
    return Repeats(mask(place.filter(~one), rows.height), mask(clash, rows.height))


def profiles_that_repeat(mapping: ViewMapping, rows: pl.DataFrame) -> int:
    """How many rows of one reading share the key with another one of it; 0 where they are no profiles."""
    if mapping.kind.role != "profile" or rows.height < 2 or not mapping.relation.key:
        return 0
    return int(rows.select(f"@key.{place}" for place in range(len(mapping.relation.key))).is_duplicated().sum())


def mask(places: pl.Series, height: int) -> pl.Series:
    """True at these places."""
    return pl.Series(range(height), dtype=pl.UInt32).is_in(places.cast(pl.UInt32).implode())


def eids_of(mapping: ViewMapping, rows: pl.DataFrame) -> pl.Series:
    """The event id of each row, null where it cannot be an event."""
    frame = events(mapping, rows).events.frame.select(POSITION, EID)
    every = pl.DataFrame({POSITION: pl.Series(range(rows.height), dtype=pl.UInt32)})
    return every.join(frame, on=POSITION, how="left", maintain_order="left").get_column(EID)


def elsewhere(mapping: ViewMapping, rows: pl.DataFrame, there: pl.DataFrame) -> pl.Series:
    """Which of these rows share their event id with another row that the source holds at the same time [Boolean].

    `there`: all that the source holds of their keys, from one snapshot.
    """
    places: dict[str, set[object]] = {}
    for eid, position in zip(eids_of(mapping, there), positions_of(there), strict=True):
        if eid is not None:
            places.setdefault(eid, set()).add(position)
    mine = zip(eids_of(mapping, rows), positions_of(rows), strict=True)
    return pl.Series(
        [eid is not None and len(places.get(eid, ())) > 1 and position in places[eid] for eid, position in mine],
        dtype=pl.Boolean,
    )


def with_others(
    mapping: ViewMapping, rows: pl.DataFrame, clash: pl.Series, there: pl.DataFrame
) -> tuple[pl.DataFrame, pl.Series]:
    """These rows, and beside the ones that clash those that they clash with; and which of them all clash [Boolean].

    `there` as in `elsewhere`. A key is only proposed that tells these apart, too.
    """
    shared = eids_of(mapping, rows.filter(clash))
    held = [*(name for name in mapping.content if name in there.columns), "@cursor"]
    those = there.filter(eids_of(mapping, there).is_in(shared.implode())).unique(
        held, keep="first", maintain_order=True
    )
    rest = rows.filter(~clash)
    every = pl.concat([those, rest], how="diagonal_relaxed")
    return every, pl.Series([True] * those.height + [False] * rest.height, dtype=pl.Boolean)


def not_unique(
    mapping: ViewMapping, rows: pl.DataFrame, clash: pl.Series, since: str | None = None
) -> ViewMisconfigured:
    """What to tell the operator of a page in which these rows clash: examples, and the key that would tell them apart.

    `since`: the cursor from which on rows are missing, where some were delivered under the key (see `missing_since`). A key cannot be
    changed after that, since ids are made of it.
    """
    some = rows.filter(clash)
    key = mapping.relation.key
    said = "the key"
    if key and not set(key) & mapping.options.blind:
        shown = some.select(pl.concat_str([f"@key.{place}" for place in range(len(key))], separator="/")).to_series()
        examples = ", ".join(text[:LONGEST] for text in shown.unique(maintain_order=True).head(EXAMPLES).to_list())
        said = f"{', '.join(key)} {examples}"
    better = wider_key(mapping, rows, some)
    name = f"`key: [{', '.join(better)}]`, which tells them apart"
    if not better:
        name = "`key:` with a column that holds an id of its own for each row, which the view still lacks"
    after = "then: smartico-sync check"
    if since is not None:
        after = f"under another name and with `start_from: now`; then, for what was not sent: smartico-sync backfill NAME --from '{since}'"
    hint = f"write {name}, {after}"
    would = "they would have one event id, and the API would drop all but the first"
    if len(set(positions_of(some))) < some.height and not eids_of(mapping, some).is_duplicated().any():
        would = "they stand at one place of the cursor, and a page that ends between them would hide all but the first"
    return ViewMisconfigured(
        f"view {mapping.view}: the key is not unique: {said} stands for rows that differ; {would}. Nothing of them is sent",
        hint=hint,
    )


def missing_since(delivered: Position | None, unsent: pl.DataFrame) -> str | None:
    """The lowest cursor of what was not sent: behind the watermark, or of late rows below it. None when nothing was delivered."""
    if delivered is None:
        return None
    cursors: list[str] = unsent.get_column("@cursor").drop_nulls().to_list()
    return min([delivered.cursor, *cursors], key=in_order)


def in_order(cursor: str) -> tuple[Decimal, str]:
    """What a number is worth; any other cursor is a time, whose texts are in its order."""
    try:
        return Decimal(cursor), ""
    except InvalidOperation:
        return Decimal(0), cursor


def wider_key(mapping: ViewMapping, rows: pl.DataFrame, clashing: pl.DataFrame) -> tuple[str, ...]:
    """The key that would tell all these rows apart: an id of its own, else the key and one column more; none if there is none."""
    hidden = mapping.options.blind | {BRAND, "user_ext_id", mapping.options.type_column}
    key = tuple(name for name in mapping.relation.key if name != mapping.options.type_column)
    columns = [column for column in mapping.relation.columns if column.name not in (*hidden, *key)]
    ids = sorted((column for column in columns if is_id(column)), key=preference)
    dates = [column for column in columns if column.family in DATED]
    kinds = [mapping.options.type_column] if mapping.options.type_column else []
    candidates = {column.name for column in mapping.relation.columns} - mapping.options.blind - {*key}
    brands = [(BRAND, *key)] if BRAND in candidates else []
    tried = [*((column.name,) for column in ids), *brands, *((*key, column.name) for column in (*ids, *dates))]
    for names in tried:
        if tells_apart(rows, [*names, *kinds]) and tells_apart(clashing, [*names, *kinds]):
            return names
    return ()


def is_id(column: Column) -> bool:
    """Whether a column looks like an id."""
    return column.family in TELLING and (column.name == "id" or column.name.lower().endswith(("_id", "_no", "_ref")))


def preference(column: Column) -> tuple[bool, bool]:
    """The transaction's id first, then the row's."""
    return column.name != "transaction_id", column.name != "id"


def tells_apart(rows: pl.DataFrame, names: list[str]) -> bool:
    """Whether no two rows are equal in these columns, and none is without."""
    some = rows.select(names)
    return not any(some.null_count().row(0)) and not some.is_duplicated().any()
