"""The safety net: what the source holds against the ledger of acknowledged rows, bucket by bucket.

Only what is closed is compared, at and below the watermark. Transactions are counted first, and their keys read where the
counts differ; a profile moves to a newer cursor when it changes, so its keys are always read: each must be in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import structlog

from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.late_commit.mechanism import TIMES
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import position_at
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import ConfigError, SyncError
from smartico_sync.sources.kit.values import epoch_ms
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking import late_scan
from smartico_sync.tracking.mailbox import ViewTurn
from smartico_sync.tracking.redelivery import requested

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Reading, Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["Bucket", "Reconciliation", "Span", "compare", "compare_view", "span"]

KEYS_AT_ONCE = 50_000
Unit = Literal["ms", "id"]
LISTED = 10_000  # missing rows that are named; more are only counted
TURN_S = 30.0  # how long a view may take to come to the end of what it is at
SLACK_MS = 7_200_000  # a wall clock of the autumn hour may stand in a neighbour's bucket

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Span:
    """What is compared: from `low` up to and without `high`, in the ledger's units (epoch ms, or ids)."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket that differs. `missing` rows are in the source and not in the ledger, `extra` the other way round.

    `keys`: read, or pruned: the ledger has only a count here, so nothing can be named.
    """

    low: int
    high: int
    source: int
    ledger: int
    missing: int
    extra: int
    keys: Literal["read", "pruned"] = "read"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison found. `missing`: positions of rows that were never acknowledged, at most LISTED of them."""

    view: str
    span: Span
    unit: Unit
    source: int
    ledger: int
    differing: tuple[Bucket, ...]
    missing: tuple[Position, ...]

    @property
    def missing_rows(self) -> int:
        """How many rows were never acknowledged."""
        return sum(bucket.missing for bucket in self.differing)


def compare_view(loop: ViewLoop, policy: Literal["report", "send"]) -> None:
    """Compare a view with its ledger beside its polls; what is missing is told, or by policy sent. By any thread but the loop's.

    The loop only hands over how the view is prepared, and takes the rows that are missing.
    """
    equipment = loop.equipment
    try:
        turn: ViewTurn[PreparedView] = ViewTurn("a comparison", lambda session, _: session.prepared, TURN_S)
        loop.mailbox.post(turn)
        prepared = turn.result(loop.name)
        row = equipment.store.view(loop.name)
        over = span(prepared, equipment.store, row, None, None) if row else None
        if over is None:
            return
        found = compare(prepared, equipment.source, equipment.store, loop.name, over)
        if found.missing and policy == "send":
            parked = requested(loop.name, found.missing, UNACKNOWLEDGED, "found by a comparison")
            enqueue: ViewTurn[None] = ViewTurn(
                "rows found by a comparison", lambda *_: equipment.store.enqueue(loop.name, parked), TURN_S
            )
            loop.mailbox.post(enqueue)
            enqueue.result(loop.name)
    except SyncError as error:
        log.warning("view.comparison", view=loop.name, reason=error.message, hint=error.hint)
        return
    log.info("view.compared", view=loop.name, source=found.source, ledger=found.ledger, missing=found.missing_rows)
    equipment.recorder.compared(0 if policy == "send" else found.missing_rows)


def span(prepared: PreparedView, store: Store, row: ViewRow, low: int | None, high: int | None) -> Span | None:
    """What can be compared, by default the last day up to the watermark; None when nothing is closed yet."""
    if row.watermark is None:
        return None
    closed = units(prepared, row.watermark.cursor)
    high = closed if high is None else min(high, closed)
    if low is None:
        low = high - DAY_MS if is_time(prepared) else store.ledger_low(row.view, row.updated_ms - DAY_MS) or 0
    first = store.ledger_low(row.view, 0)
    if row.started_from != "first" and first is not None:
        low = max(low, first)
    return Span(low, high) if low < high else None


def units(prepared: PreparedView, text: str) -> int:
    """A cursor, or a moment as a person writes it, in the ledger's units. ConfigError when it is neither."""
    cursor = prepared.relation.cursor_column
    try:
        if not is_time(prepared):
            return int(text.partition(".")[0])
        return epoch_ms(text, ZoneInfo(prepared.relation.timezone if cursor.family == "timestamp" else "UTC"))
    except ValueError:
        kind = "a time, such as 2026-01-31T12:00:00" if is_time(prepared) else "a whole number"
        raise ConfigError(f"{text!r} is no cursor of {prepared.relation.name}", hint=f"expected {kind}") from None


def is_time(prepared: PreparedView) -> bool:
    """Whether the cursor is a time."""
    return prepared.relation.cursor_column.family in TIMES


def compare(prepared: PreparedView, source: Source, store: Store, view: str, over: Span) -> Reconciliation:
    """Compare a span, in one short reading a bucket. Raises what the source and the state raise."""
    sources = ledgers = 0
    differing: list[Bucket] = []
    missing: list[Position] = []
    for low, high in buckets(prepared, over):
        kept = int(store.ledger_counts(view, low, high).get_column("n").sum())
        with source.reading(prepared.relation) as reading:
            ends = bounds(reading, prepared, low, high)
            there = reading.count(*ends, "below")
            sources, ledgers = sources + there, ledgers + kept
            if there == kept and (prepared.mapping.kind.role != "profile" or not there):
                continue
            held = store.ledger_between(view, *widened(prepared, low, high)).get_column("key")
            if held.len() < kept:
                differing.append(Bucket(low, high, there, kept, max(0, there - kept), max(0, kept - there), "pruned"))
                continue
            found, lost = unacknowledged(reading, prepared, ends, held)
        extra = 0 if prepared.mapping.kind.role == "profile" or shifted(prepared, low, high) else kept - (there - lost)
        if lost or extra:
            differing.append(Bucket(low, high, there, kept, lost, max(0, extra)))
            missing += found
    unit: Unit = "ms" if is_time(prepared) else "id"
    return Reconciliation(view, over, unit, sources, ledgers, tuple(differing), tuple(missing[:LISTED]))


def buckets(prepared: PreparedView, over: Span) -> Iterator[tuple[int, int]]:
    """The span cut at full hours (days for dates, millions of ids), as the ledger counts."""
    size = DAY_MS if prepared.relation.cursor_column.family == "date" else BUCKET_MS
    low = over.low
    while low < over.high:
        high = min(over.high, (low // size + 1) * size)
        yield low, high
        low = high


def bounds(reading: Reading, prepared: PreparedView, low: int, high: int) -> tuple[str, str]:
    """A bucket's ends as cursors."""
    return (reading.moment(low), reading.moment(high)) if is_time(prepared) else (str(low), str(high))


def unacknowledged(
    reading: Reading, prepared: PreparedView, ends: tuple[str, str], held: pl.Series
) -> tuple[list[Position], int]:
    """The rows between two cursors whose keys are not among these: some positions, and how many."""
    found: list[Position] = []
    count = 0
    after: Position | None = None
    acknowledged = held.unique().implode()
    while True:
        keys = reading.keys(*ends, KEYS_AT_ONCE, after, "below")
        rows = keys if prepared.relation.key else late_scan.rows_at(reading, keys)
        lost = rows.filter(~ledger_keys(prepared.mapping, rows).is_in(acknowledged)) if rows.height else rows
        count += lost.height
        found += [position_at(lost, row) for row in range(min(lost.height, LISTED - len(found)))]
        if keys.height < KEYS_AT_ONCE:
            return found, count
        after = position_at(keys, keys.height - 1)


def widened(prepared: PreparedView, low: int, high: int) -> tuple[int, int]:
    """Where the ledger may hold the rows of a bucket."""
    return (low - SLACK_MS, high + SLACK_MS) if shifted(prepared, low, high) else (low, high)


def shifted(prepared: PreparedView, low: int, high: int) -> bool:
    """Whether the clocks of the source's zone change around here, so that a wall clock says less than it seems."""
    if prepared.relation.cursor_column.family != "timestamp" or prepared.relation.timezone == "UTC":
        return False
    zone = ZoneInfo(prepared.relation.timezone)
    before, after = (datetime.fromtimestamp(ms / 1000, zone).utcoffset() for ms in (low - SLACK_MS, high + SLACK_MS))
    return before != after
