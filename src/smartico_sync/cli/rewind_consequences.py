"""What a rewind would do that cannot be taken back: rows that are passed over, and rows that count twice."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceCancelled
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking.reconciliation import is_time, units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["counted_twice", "lies_ahead", "passed_over", "read_again"]

FAR = 2**62  # beyond every cursor: the ledger's numbers have 64 bits


def passed_over(reading: Reading, prepared: PreparedView, row: ViewRow | None, target: str) -> Iterator[str]:
    """What is never sent when the view goes on after the cursor `target`, in sentences; nothing where nothing is lost.

    `row` is where the view stands, None where that says nothing of its cursor. Raises what the source raises.
    """
    name, newest = prepared.relation.name, reading.head()
    if newest is None:
        yield f"{name}: the source has no row yet; rows to come up to {target} are never sent"
    elif units(prepared, target) > units(prepared, newest):
        yield f"{name}: {target} lies above the newest row, {newest}; rows to come up to there are never sent"
    if row is None or (row.head is not None and units(prepared, target) <= units(prepared, row.head.cursor)):
        return
    stands = None if row.head is None else row.head.cursor
    told = "rows, which could not be counted,"
    with suppress(SourceCancelled):
        count = reading.count(stands, target, "below" if is_time(prepared) else "through")
        if stands is not None and count:
            count -= reading.count(stands, stands)
        if count <= 0:
            return
        told = f"{count:,} row{'s' * (count > 1)}"
    yield f"{name}: {told} between {stands or 'its start'} and {target} would never be sent"


def lies_ahead(prepared: PreparedView, row: ViewRow | None, target: str) -> bool:
    """Whether a cursor lies above the last delivered row: nothing that was delivered is read again from there."""
    return row is not None and row.head is not None and units(prepared, target) > units(prepared, row.head.cursor)


def read_again(store: Store, row: ViewRow, place: str, from_ms: int | None, ahead: bool) -> str:
    """From where to where a view is put, and how many rows are read again; of the hour (or 3.6 million ids) that is cut, all."""
    stands = "its start" if row.head is None else row.head.cursor
    if ahead:
        return f"{row.view}: from {stands} to {place}: no delivered row is read again"
    rows = delivered_from(store, row.view, from_ms)
    return f"{row.view}: from {stands} to {place}: up to {rows:,} acknowledged rows are read again; their events have the same ids, and count once"


def delivered_from(store: Store, view: str, from_ms: int | None) -> int:
    """How many rows of the ledger lie there, of its first bucket all."""
    low, high = (edge // BUCKET_MS * BUCKET_MS for edge in (-FAR if from_ms is None else from_ms, FAR))
    return int(store.ledger_counts(view, low, high).get_column("n").sum())


def counted_twice(store: Store, view: str, from_ms: int | None) -> str:
    """How many delivered rows get another event id when they are read again; of the hour (or 3.6 million ids) that is cut, all."""
    delivered = delivered_from(store, view, from_ms)
    return f"{view}: up to {delivered:,} delivered rows get new event ids when they are read again, and count twice at Smartico"
