"""The newest rows of a view, for those who look at it from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.identity import keyed_hash, seeds
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.relation import IDS
from smartico_sync.core.uniqueness import not_unique, repeats
from smartico_sync.errors import SyncError, ViewMisconfigured
from smartico_sync.tracking import late_scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["NEWEST", "newest_rows", "repeated_keys"]

NEWEST = 1_000  # rows: what repeats does so within minutes, and one query reads them
KEYS_AT_ONCE = 10_000
TIME_STEPS_MS = (60_000, 600_000, 3_600_000, 43_200_000, 604_800_000, 7_776_000_000)  # a minute to ninety days back
ID_STEPS = (2 * NEWEST, 100 * NEWEST, 10_000 * NEWEST)


def newest_rows(reading: Reading, prepared: PreparedView) -> pl.DataFrame:
    """About the NEWEST rows of a view with a key, fewer where there are fewer."""
    head = reading.head()
    found = pl.DataFrame()
    if head is None:
        return found
    for low in lows(reading, prepared, head):
        found = reading.keys(low, head, KEYS_AT_ONCE)
        if found.height >= NEWEST:
            break
    return late_scan.rows_at(reading, found.tail(NEWEST))


def lows(reading: Reading, prepared: PreparedView, head: str) -> Iterator[str | None]:
    """Where to begin, nearer first; the start last."""
    family = prepared.relation.cursor_column.family
    if prepared.relation.dated:
        yield from (reading.moment(reading.clock_ms - step) for step in TIME_STEPS_MS)
    elif family in IDS and head.isdecimal():
        yield from (str(int(head) - step) for step in ID_STEPS if int(head) > step)
    yield None


def repeated_keys(prepared: PreparedView, rows: pl.DataFrame) -> SyncError | None:
    """What to tell of keys that repeat among these rows; None when each is its row's own."""
    mapping = prepared.mapping
    if not rows.height or not mapping.relation.key:
        return None
    if mapping.kind.role == "profile":
        key = seeds(rows, [pl.col(f"@key.{place}") for place in range(len(mapping.relation.key))])
        many = int(keyed_hash(key, b"").is_duplicated().sum())
        told = f"view {mapping.view}: the key is not unique: {many} of the newest {rows.height:,} rows share it with another one"
        hint = "let the view have one row for each player, or name with `key:` what makes a row unique"
        return ViewMisconfigured(told, hint=hint) if many else None
    found = repeats(mapping, rows, ledger_keys(mapping, rows))
    if found is None or not found.clash.any():
        return None
    error = not_unique(mapping, rows, found.clash)
    told = error.message.removeprefix(f"view {mapping.view}: ")
    many = int(found.clash.sum())
    return ViewMisconfigured(f"view {mapping.view}: {many} of the newest {rows.height:,} rows: {told}", hint=error.hint)
