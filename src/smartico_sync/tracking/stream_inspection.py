"""What commands ask of a view of messages: a sample mapped as the daemon would, a row traced, a time compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.events import PLAYER, POSITION
from smartico_sync.core.ledger_keys import ledger_keys, which
from smartico_sync.core.mapping import events
from smartico_sync.core.messages.frames import frame_of
from smartico_sync.core.messages.rows import LANE, learnt, read
from smartico_sync.core.pipeline import positions_of
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.prepared_stream import columns_in, never_seen, prepare_stream
from smartico_sync.tracking.reconciliation import LISTED, Bucket, Reconciliation, Span
from smartico_sync.tracking.stream_session import known_stream, settled_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.messages.rows import Table
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.stream import Feed, Stream
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_stream import PreparedStream

__all__ = ["Sampled", "compare_stream", "rows_of_key", "sampled", "scattered_players"]

SAMPLE = 500  # messages: enough to see what is optional
SEARCHED = 10_000  # of the newest messages are looked through for a key that the ledger does not know
EDGE_MS = 1


class Sampled(Struct, frozen=True):
    """Messages as rows of the view. `unseen` columns it cannot do without are in none of them, nor were in any before."""

    prepared: PreparedStream
    table: Table
    rows: pl.DataFrame
    unseen: tuple[str, ...]


def sampled(
    configuration: Configuration,
    view: View,
    messages: Sequence[Message],
    row: ViewRow | None = None,
    store: Store | None = None,
) -> Sampled:
    """Map messages as the daemon would that knows them and what the state knows. Raises what `prepare_stream` raises."""
    known = columns_in(row.late) if row is not None else {}
    key = settled_key(view, row)
    prepared = prepare_stream(configuration, view, known, key)
    table = read(messages, prepared.layout)
    found = learnt(table, known)
    prepared = prepare_stream(configuration, view, found, key)
    if row is not None and store is not None:
        prepared = known_stream(prepared, row, store)
    rows = frame_of(table, prepared.relation, prepared.absence, now_ms())
    return Sampled(prepared, table, rows, never_seen(view, found))


def scattered_players(some: Sampled) -> int:
    """Of how many players the messages lie in several lanes, where nothing keeps their order."""
    made = events(some.prepared.mapping, some.rows).events.frame
    lanes = some.rows.get_column(LANE).gather(made.get_column(POSITION))
    each = (
        pl.DataFrame({"player": made.get_column(PLAYER), "lane": lanes})
        .group_by("player")
        .agg(pl.col("lane").n_unique())
    )
    return int((each.get_column("lane") > 1).sum())


def rows_of_key(
    prepared: PreparedStream,
    stream: Stream,
    feed: Feed,
    store: Store,
    key: tuple[str, ...],
    again: Literal["replay", "never"],
) -> tuple[pl.DataFrame, list[int]]:
    """The rows of a key that the broker still has, and when (epoch ms) those were written that the ledger holds.

    The ledger tells where to look; what it does not know is looked for among the newest messages. `again`: whether the broker
    can be asked for a time (`replay`).
    """
    asked = pl.DataFrame({"@cursor": [""], **{f"@key.{n}": [text] for n, text in enumerate(key)}})
    mapping = prepared.mapping
    name = which(mapping, ledger_keys(mapping, asked)).item()
    kept = store.ledger_between(prepared.relation.name, -(1 << 62), 1 << 62)
    held = kept.filter(which(mapping, kept.get_column("key")) == name).get_column("cursor_ms").unique().sort().to_list()
    messages: list[Message] = []
    if held and again == "replay":
        for moment in held:
            for some in stream.between(feed, moment, moment + EDGE_MS):
                messages += some
    elif not held:
        messages = stream.sample(feed, SEARCHED)
    rows = frame_of(read(messages, prepared.layout), prepared.relation)
    if key:
        matches = pl.all_horizontal(pl.col(f"@key.{n}") == text for n, text in enumerate(key))
        rows = rows.filter(matches)
    return rows, held


def compare_stream(
    prepared: PreparedStream, stream: Stream, feed: Feed, store: Store, low_ms: int | None, high_ms: int
) -> Reconciliation:
    """What the broker holds of a time, by default of the day before, against the ledger; only what was dealt with already."""
    view = prepared.relation.name
    over = Span(high_ms - DAY_MS if low_ms is None else low_ms, high_ms)
    lanes = store.lanes(view)
    kept = store.ledger_between(view, over.low, over.high)
    acknowledged = kept.get_column("key")
    found: dict[int, list[int]] = {}
    missing: list[Position] = []
    for some in stream.between(feed, over.low, over.high):
        messages = [each for each in some if each.lane in lanes and each.offset < lanes[each.lane].next]
        table = read(messages, prepared.layout)
        rows = frame_of(table, prepared.relation)
        keys = ledger_keys(prepared.mapping, rows)
        lost = ~keys.is_in(acknowledged.implode())
        for message, gone in zip(table.messages, lost.to_list(), strict=True):
            counts = found.setdefault(message.time_ms // BUCKET_MS * BUCKET_MS, [0, 0])
            counts[0] += 1
            counts[1] += gone
        missing += positions_of(rows.filter(lost))[: LISTED - len(missing)]
    ledger = store.ledger_counts(view, over.low // BUCKET_MS * BUCKET_MS, -(-over.high // BUCKET_MS) * BUCKET_MS)
    held: Mapping[int, int] = dict(ledger.iter_rows())
    differing = tuple(
        Bucket(low, low + BUCKET_MS, there, held.get(low, 0), gone, 0)
        for low, (there, gone) in sorted(found.items())
        if gone
    )
    total = sum(there for there, _ in found.values())
    return Reconciliation(view, over, "ms", total, acknowledged.len(), differing, tuple(missing))
