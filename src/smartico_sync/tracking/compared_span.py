"""What of a view can be compared with its source: what was to be delivered, and is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.late_commit.lookback import WINDOW_IDS
from smartico_sync.errors import ConfigError
from smartico_sync.tracking.reconciliation import Span, is_time, units

if TYPE_CHECKING:
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["span"]

MOST_ID = 2**63 - 2**32  # the ledger counts in 64 bits, by the bucket
MINUTE_MS = 60_000  # no type but a date rounds a bound further than to the next minute


def span(
    prepared: PreparedView, source: Source, store: Store, row: ViewRow, low: int | None = None, high: int | None = None
) -> Span | None:
    """What can be compared, by default the last day up to the watermark; None when nothing is closed yet.

    Of ids those since the lowest that was delivered within a day, and where that is the first of all, since the source's
    first: an id below it may have come late. Never what was there before the view began. ConfigError where ids are too large.
    """
    if row.watermark is None:
        return None
    closed = units(prepared, row.watermark.cursor)
    if not -MOST_ID < closed < MOST_ID:
        raise ConfigError(
            f"the cursor {prepared.relation.cursor} of {row.view} has ids of more than 64 bits, of which no range can be compared",
            hint="give the view a smaller id or a time as its cursor; its rows are sent all the same",
        )
    # What was there at the start was not sent, and without a key it is not known how far a watermark of one reaches.
    whole = bool(row.watermark.key) == bool(prepared.relation.key) and row.watermark != row.start_head
    top = row.watermark if whole and (high is None or high > closed) else None
    high = closed if high is None else min(high, closed)
    first = store.ledger_low(row.view, 0)
    if low is None and is_time(prepared):
        low = high - DAY_MS
    elif low is None:
        low = store.ledger_low(row.view, row.updated_ms - DAY_MS)
        if low is None or low == first:
            lowest = first_id(prepared, source)
            low = lowest if first is None else min(lowest, first)
    if row.started_from != "first":
        begin = [place for place in (first, beginning(prepared, row)) if place is not None]
        low = max([low, *([min(begin)] if begin else [])])
    return Span(low, high, top) if low < high or (top is not None and low == high) else None


def beginning(prepared: PreparedView, row: ViewRow) -> int | None:
    """Where the rows begin that were to be sent; None where the state does not know.

    The ledger may reach further back: it holds what was there in the window below the start. Of ids that window has one
    width, so that a row in it is known or came late.
    """
    if row.start_head is None:
        return None
    head = units(prepared, row.start_head.cursor)
    if not is_time(prepared):
        return head - WINDOW_IDS if row.started_from == "now" else head + 1
    return head + (DAY_MS if prepared.relation.cursor_column.family == "date" else MINUTE_MS)


def first_id(prepared: PreparedView, source: Source) -> int:
    """The lowest id that the source holds; 0 where it holds none."""
    with source.reading(prepared.relation) as reading:
        lowest = reading.page(None, 1)
    return units(prepared, lowest.get_column("@cursor")[0]) if lowest.height else 0
