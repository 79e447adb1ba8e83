"""Rows that wait for another try: each is read from the source again, where it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.core.events import EID, POSITION
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.mapping import events
from smartico_sync.core.outcome import Retried, due_at_once
from smartico_sync.core.pipeline import contents_of, key_names, position_at, positions_of
from smartico_sync.core.position import Position
from smartico_sync.core.profile_age import cursors
from smartico_sync.core.reason_codes import GONE, MUTATED
from smartico_sync.core.records import ParkedRow, UndeliveredRow
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.core.uniqueness import missing_since, not_unique, repeats
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.row_width import ROWS_AT_ONCE, portions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.row_width import RowWidth

__all__ = ["ROWS_AT_ONCE", "Found", "find", "keyed_by_player", "newest", "nothing_anew", "requested"]

MISSES = 5  # tries, a minute: a replica that is further back answers for less, and shows the row again


class Found(Struct, frozen=True):
    """The rows of parked rows as the source has them now: `rows[n]` is that of `retried.found[n]`."""

    rows: pl.DataFrame
    retried: Retried
    anew: pl.Series  # which rows get event ids of their own [Boolean]: what was delivered before has changed

    @property
    def players(self) -> frozenset[int]:
        """Whose rows these are, where that was known before they were read."""
        return frozenset(parked.row.player for parked in self.retried.found)


def nothing_anew(rows: int) -> pl.Series:
    """So many rows, none of which gets an event id of its own."""
    return pl.Series([False] * rows, dtype=pl.Boolean)


def requested(view: str, positions: Iterable[Position], code: int, reason: str) -> list[ParkedRow]:
    """The rows at these positions, to be read and sent at the next poll."""
    now = now_ms()
    return [
        due_at_once(
            UndeliveredRow(view, ",".join(position.key) or position.cursor, position, "", "", ""), code, reason, now
        )
        for position in positions
    ]


def find(reading: Reading, mapping: ViewMapping, parked: Sequence[ParkedRow], head: Position | None = None) -> Found:
    """Read parked rows again, by position; rows of a keyless view are told apart by what they hold.

    Raises ViewMisconfigured, told with the `head`, when two different rows stand for one of them.
    """
    keyless = not mapping.relation.key
    positions = {each.row.position for each in parked if each.row.position is not None}
    # What is asked for of a keyless view has in place of a key what the row holds.
    ordered = {Position(each.cursor) if keyless else each for each in positions if each.cursor}
    rows = reading.rows(ordered)
    without = [position.key for position in positions if not position.cursor and position.key]
    if without and not keyless:
        rows = pl.concat([rows, reading.by_key(without)], how="diagonal_relaxed")
    if keyless and rows.height:
        held = contents_of(ledger_keys(mapping, rows).to_frame())
        by_content = {content: place for place, content in enumerate(held.to_list())}
        places = [by_content.get(content_of(each.row)) for each in parked]
    else:
        twice = repeats(mapping, rows, ledger_keys(mapping, rows)) if rows.height else None
        if twice is not None and twice.clash.any():
            raise not_unique(mapping, rows, twice.clash, missing_since(head, rows))
        at = {position: place for place, position in enumerate(positions_of(rows))}
        places = [at.get(each.row.position) if each.row.position else None for each in parked]
    there = [place for place in places if place is not None]
    found = tuple(each for each, place in zip(parked, places, strict=True) if place is not None)
    gone = tuple(each for each, place in zip(parked, places, strict=True) if place is None)
    rows = rows[there] if there else rows.clear()
    moved = moved_up(reading, gone) if mapping.kind.role == "profile" and not keyless else frozenset()
    now = now_ms()
    over = {each.id for each in gone if now >= each.deadline_ms or (each.code == GONE and each.tries >= MISSES)} | moved
    gone, hidden = (tuple(each for each in gone if (each.id in over) == is_so) for is_so in (True, False))
    return Found(rows, Retried(found, gone, hidden), changed(mapping, rows, found))


def moved_up(reading: Reading, gone: Sequence[ParkedRow]) -> frozenset[int]:
    """Which of the parked profiles (by id) stand further up now; a replica that is further back shows them as they were before."""
    positions = {each.id: each.row.position for each in gone if each.row.position and each.row.position.cursor}
    if not positions:
        return frozenset()
    now = {
        position.key: position.cursor for position in positions_of(reading.by_key({p.key for p in positions.values()}))
    }
    return frozenset(
        number
        for number, position in positions.items()
        if position.key in now and reading.count(position.cursor, now[position.key])
    )


def content_of(row: UndeliveredRow) -> str:
    """Which of the rows at a position of a keyless view this is."""
    asked = row.position.key if row.position is not None else ()
    return row.content or ",".join(asked)


def changed(mapping: ViewMapping, rows: pl.DataFrame, found: Sequence[ParkedRow]) -> pl.Series:
    """Which rows were delivered before and have changed: this is why they were asked for, or they were tried under another id.

    What became of such a row since may have put another reason in the place of that.
    """
    anew = pl.Series([each.code == MUTATED for each in found], dtype=pl.Boolean)
    tried = [place for place, each in enumerate(found) if not each.row.event_type and each.row.eid]
    if mapping.kind.role == "profile" or not tried:
        return anew
    own = events(mapping, rows[tried]).events.frame
    ids = dict(own.select(POSITION, EID).iter_rows())
    differs = {place for n, place in enumerate(tried) if ids.get(n, "") not in ("", found[place].row.eid)}
    return anew | pl.Series([place in differs for place in range(len(found))], dtype=pl.Boolean)


def keyed_by_player(mapping: ViewMapping) -> bool:
    """Whether rows with one key are those of one player."""
    key = set(mapping.relation.key)
    return USER_COLUMN in key and key <= {USER_COLUMN, BRAND_COLUMN}


def newest(
    reading: Reading, mapping: ViewMapping, rows: pl.DataFrame, some: pl.DataFrame, width: RowWidth | None = None
) -> frozenset[int]:
    """Which of some events (by `@row`) stand for rows that are the newest which the source holds of their players."""
    relation, latest_ms = mapping.relation, 2**53
    places = sorted(some.get_column(POSITION).to_list())
    told: set[int] = set()
    for part in portions(places, width):
        there = reading.by_key({position_at(rows, place).key for place in part})
        held = pl.DataFrame({"key": key_texts(there), "at": cursors(there, relation, latest_ms)})
        most = dict(held.group_by("key").agg(pl.col("at").max()).iter_rows())
        mine = rows[part]
        at = cursors(mine, relation, latest_ms)
        told.update(
            place
            for place, key, moment in zip(part, key_texts(mine), at, strict=True)
            if key in most and moment is not None and most[key] == moment
        )
    return frozenset(told)


def key_texts(rows: pl.DataFrame) -> list[str]:
    """The key of each row as one text."""
    texts = [pl.format("{}:{}", pl.col(name).str.len_bytes(), name) for name in key_names(rows)]
    return list(rows.select(pl.concat_str(texts)).to_series())
