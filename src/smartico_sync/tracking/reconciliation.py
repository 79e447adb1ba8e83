"""The safety net: what the source holds against the ledger of acknowledged rows, bucket by bucket.

Only what is closed is compared, at and below the watermark. Keys are compared where somebody asks for it, and in the last
closed buckets always: a count hides a lost row behind a deleted one. A profile moves to a newer cursor when it changes, so
its keys are always read: each must be in the ledger, and it must hold what was sent. Buckets that neither side has rows in
are passed over.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.core.cursor_time import DAY_MS, cursor_ms
from smartico_sync.core.ledger_keys import key_columns, ledger_keys
from smartico_sync.core.pipeline import contents_of, position_at, positions_of
from smartico_sync.core.position import Position
from smartico_sync.core.relation import IDS
from smartico_sync.core.zones import time_zone
from smartico_sync.errors import ConfigError, RowsTooWide
from smartico_sync.sources.kit.values import epoch_ms
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking import late_scan
from smartico_sync.tracking.row_width import PART_BYTES, RowWidth, until_it_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smartico_sync.sources.protocol import End, Reading, Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.profile_comparison import ProfileComparison

__all__ = ["LISTED", "Bucket", "Depth", "Reconciliation", "Span", "compare", "is_time", "units"]

KEYS_AT_ONCE = 50_000
KEYS_WALKED = 10_000  # rows that one bucket of ids holds at least, where there are so many
PROFILES_AT_ONCE = 1_000  # whole rows are read
NUMBER = re.compile(r"-?\d+(\.\d*)?")
Unit = Literal["ms", "id"]
Depth = Literal[
    "keys",  # every key is compared
    "counts",  # only where counts differ, and in the last closed buckets
]
RECENT_BUCKETS = 3  # compared by key whatever the counts say; on an hourly schedule each bucket three times
LISTED = 10_000  # missing rows that are named; more are only counted
SLACK_MS = 7_200_000  # a wall clock of the autumn hour may stand in a neighbour's bucket


class Span(Struct, frozen=True):
    """What is compared: from `low` up to and without `high`, in the ledger's units (epoch ms, or ids).

    `top`: the watermark where `high` is its own value; rows of that value that do not stand behind it are compared, too.
    """

    low: int
    high: int
    top: Position | None = None


class Bucket(Struct, frozen=True):
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


class Reconciliation(Struct, frozen=True):
    """What a comparison found. `missing`: positions of rows that were never acknowledged, at most LISTED of them.

    `counted`: rows of the source that were only counted, because nobody asked for keys or the ledger's are pruned. `unlike`:
    profiles that hold something else than was sent, though their cursor did not move; `unlike_rows` of them.
    """

    view: str
    span: Span
    unit: Unit
    source: int
    ledger: int
    differing: tuple[Bucket, ...]
    missing: tuple[Position, ...]
    counted: int = 0
    unlike: tuple[Position, ...] = ()
    unlike_rows: int = 0

    @property
    def missing_rows(self) -> int:
        """How many rows were never acknowledged."""
        return sum(bucket.missing for bucket in self.differing)


def units(prepared: PreparedView, text: str) -> int:
    """A cursor, or a moment as a person writes it, in the ledger's units. ConfigError when it is neither."""
    cursor = prepared.relation.cursor_column
    if cursor.family not in IDS and not is_time(prepared) and not NUMBER.fullmatch(text):
        raise uncountable(prepared)
    try:
        if not is_time(prepared) and NUMBER.fullmatch(text):
            return int(text.partition(".")[0])
        if not is_time(prepared):
            raise ValueError  # noqa: TRY301 - told below
        if prepared.relation.epoch and NUMBER.fullmatch(text):
            return int(cursor_ms(pl.Series([text]), prepared.relation.cursor_is)[0])
        return epoch_ms(text, time_zone(prepared.relation.timezone if cursor.family == "timestamp" else "UTC"))
    except (ValueError, OverflowError, pl.exceptions.PolarsError):
        kind = "a time, such as 2026-01-31T12:00:00" if is_time(prepared) else "a whole number"
        raise ConfigError(f"{text!r} is no cursor of {prepared.relation.name}", hint=f"expected {kind}") from None


def uncountable(prepared: PreparedView) -> ConfigError:
    """The cursor is neither a time nor a whole number: there is nothing between two of its values."""
    cursor = prepared.relation.cursor_column
    what = "a text" if cursor.family == "text" else f"of type {cursor.type}"
    return ConfigError(
        f"the cursor {cursor.name} of {prepared.relation.name} is {what}, of which no range can be counted",
        hint="give the view an incrementing id or a time as its cursor; smartico-sync check says more; `first` needs neither",
    )


def is_time(prepared: PreparedView) -> bool:
    """Whether the cursor is a time."""
    return prepared.relation.dated


def compare(
    prepared: PreparedView,
    source: Source,
    store: Store,
    view: str,
    over: Span,
    *,
    depth: Depth = "keys",
    profiles: ProfileComparison | None = None,
    stopping: Callable[[], bool] = lambda: False,
    width: RowWidth | None = None,
) -> Reconciliation:
    """Compare a span, in one short reading a bucket; what is left when `stopping` says so is not compared.

    `profiles`: compares what they hold, too. `width`: how wide the view's rows are. Raises what the source and the state raise.
    """
    width = width or RowWidth()
    sources = ledgers = counted = 0
    differing: list[Bucket] = []
    missing: list[Position] = []
    unlike: list[Position] = []
    role, at = prepared.mapping.kind.role, over.low
    while at < over.high and not stopping():
        before = at, sources, ledgers, counted
        try:
            with source.reading(prepared.relation) as reading:
                bucket = next_bucket(reading, prepared, store, view, Span(at, over.high))
                if bucket is None:
                    break
                low, high = bucket
                at = high
                kept = int(store.ledger_counts(view, low, high).get_column("n").sum())
                ends = bounds(reading, prepared, low, high)
                there = reading.count(*ends, "below")
                sources, ledgers = sources + there, ledgers + kept
                recent = high > over.high - RECENT_BUCKETS * bucket_size(prepared)
                if there == kept and role != "profile" and depth == "counts" and not recent:
                    counted += there
                    continue
                held = store.ledger_between(view, *widened(prepared, low, high)).get_column("key")
                if held.len() < kept:
                    counted += there
                    if there != kept:
                        lost, gone = max(0, there - kept), max(0, kept - there)
                        differing.append(Bucket(low, high, there, kept, lost, gone, "pruned"))
                    continue
                found, lost = unacknowledged(reading, prepared, ends, held, width)
                unlike += changed_profiles(reading, ends, found, profiles, width) if profiles is not None else []
        except RowsTooWide as error:  # the bucket is read again, a smaller portion of rows at a time
            width.too_wide(error)
            at, sources, ledgers, counted = before
            continue
        extra = 0 if role == "profile" or shifted(prepared, low, high) else max(0, kept - (there - lost))
        if lost or extra:
            differing.append(Bucket(low, high, there, kept, lost, extra))
            missing += found
    if over.top is not None and not stopping():
        known = store.ledger_between(view, *widened(prepared, over.high, over.high + 1)).get_column("key")
        tops = until_it_fits(width, partial(read_up_to, source, prepared, over.top, width))
        missed = tops.filter(~ledger_keys(prepared.mapping, tops).is_in(known.implode())) if tops.height else tops
        if not pruned(store, view, over.high, over.high + 1):
            sources, ledgers = sources + tops.height, ledgers + tops.height - missed.height
            if missed.height:
                differing.append(
                    Bucket(over.high, over.high + 1, tops.height, tops.height - missed.height, missed.height, 0)
                )
                missing += names_of(prepared, missed.head(LISTED))
    return Reconciliation(
        view,
        over,
        "ms" if is_time(prepared) else "id",
        sources,
        ledgers,
        tuple(differing),
        tuple(missing[:LISTED]),
        counted,
        tuple(unlike[:LISTED]),
        len(unlike),
    )


def bucket_size(prepared: PreparedView) -> int:
    """An hour, a day for dates, 3.6 million ids: as the ledger counts."""
    return DAY_MS if prepared.relation.cursor_column.family == "date" else BUCKET_MS


def next_bucket(
    reading: Reading, prepared: PreparedView, store: Store, view: str, over: Span
) -> tuple[int, int] | None:
    """The ends of the first bucket of the span that has rows in the source or in the ledger; None when none has.

    Where ids are far apart, several buckets are one: else each row would cost as much as a bucket.
    """
    size, most = bucket_size(prepared), 1 if is_time(prepared) else KEYS_WALKED
    first = reading.keys(*bounds(reading, prepared, over.low, over.high), most, None, "below")
    counted = store.ledger_counts(view, over.low // BUCKET_MS * BUCKET_MS, -(-over.high // BUCKET_MS) * BUCKET_MS)
    places = [units(prepared, first.get_column("@cursor")[0])] if first.height else []
    if counted.height:
        places.append(int(counted.get_column("bucket")[0]))
    if not places:
        return None
    begin = max(over.low, min(places) // size * size)
    end = (begin // size + 1) * size
    if most > 1:
        last = over.high - 1 if first.height < most else units(prepared, first.get_column("@cursor")[-1])
        reach = (last // size + 1) * size
        if reach > end and not pruned(store, view, begin, reach):
            end = reach
    return begin, min(over.high, end)


def pruned(store: Store, view: str, low: int, high: int) -> bool:
    """Whether the ledger has only a count of some of these rows."""
    counted = int(store.ledger_counts(view, low, high).get_column("n").sum())
    return store.ledger_between(view, low, high).height < counted


def bounds(reading: Reading, prepared: PreparedView, low: int, high: int) -> tuple[str, str]:
    """A bucket's ends as cursors."""
    return (reading.moment(low), reading.moment(high)) if is_time(prepared) else (str(low), str(high))


def unacknowledged(
    reading: Reading, prepared: PreparedView, ends: tuple[str, str], held: pl.Series, width: RowWidth
) -> tuple[list[Position], int]:
    """The rows between two cursors whose keys are not among these, or are those of two rows: some positions, and how many."""
    found: list[Position] = []
    count = 0
    acknowledged = held.unique().implode()
    for keys in key_batches(reading, ends, None, "below"):
        rows = keys if prepared.relation.key else late_scan.rows_at(reading, keys, width)
        lost = rows.filter(~ledger_keys(prepared.mapping, rows).is_in(acknowledged)) if rows.height else rows
        count += lost.height
        found += names_of(prepared, lost[: LISTED - len(found)])
        names = ledger_keys(prepared.mapping, keys) if prepared.relation.key else None
        both = late_scan.tied(reading, prepared.mapping, keys, names, width) if names is not None else None
        if both is not None:  # one of them may be acknowledged, the other cannot be
            places = list(dict.fromkeys(positions_of(both)))
            count += both.height - len(places)
            found += places[: LISTED - len(found)]
    return found, count


def read_up_to(source: Source, prepared: PreparedView, top: Position, width: RowWidth) -> pl.DataFrame:
    """As `up_to`, in a reading of its own."""
    with source.reading(prepared.relation) as reading:
        return up_to(reading, prepared, top, width)


def up_to(reading: Reading, prepared: PreparedView, top: Position, width: RowWidth) -> pl.DataFrame:
    """The keys of the rows that share the cursor of `top` and do not stand behind it; of a keyless view the rows."""
    value = (top.cursor, top.cursor)
    here = pl.concat(key_batches(reading, value, None, "through"))
    if not prepared.relation.key:
        return late_scan.rows_at(reading, here, width) if here.height else here
    behind = pl.concat(key_batches(reading, value, top, "through"))
    return here.join(behind, on=key_columns(here), how="anti", maintain_order="left")


def key_batches(reading: Reading, ends: tuple[str, str], after: Position | None, end: End) -> Iterator[pl.DataFrame]:
    """All keys between two cursors and behind a position, some at a time; one frame at least."""
    while True:
        keys = reading.keys(*ends, KEYS_AT_ONCE, after, end)
        yield keys
        if keys.height < KEYS_AT_ONCE:
            return
        after = position_at(keys, keys.height - 1)


def changed_profiles(
    reading: Reading,
    ends: tuple[str, str],
    missing: list[Position],
    profiles: ProfileComparison,
    width: RowWidth,
) -> list[Position]:
    """The profiles between two cursors that hold something else than was sent, but for those that are missing anyway."""
    found: list[Position] = []
    after: Position | None = None
    while True:
        most = width.fitting(PROFILES_AT_ONCE, PART_BYTES)
        keys = reading.keys(*ends, most, after, "below")
        found += profiles.unlike(late_scan.rows_at(reading, keys, width), reading.clock_ms)
        if keys.height < most:
            known = set(missing)
            return [position for position in found if position not in known]
        after = position_at(keys, keys.height - 1)


def names_of(prepared: PreparedView, rows: pl.DataFrame) -> list[Position]:
    """What rows are asked for by: their positions; of a keyless view with what each holds in place of a key."""
    if prepared.relation.key or not rows.height:
        return positions_of(rows)
    held = contents_of(ledger_keys(prepared.mapping, rows).to_frame())
    return [Position(place.cursor, (content,)) for place, content in zip(positions_of(rows), held, strict=True)]


def widened(prepared: PreparedView, low: int, high: int) -> tuple[int, int]:
    """Where the ledger may hold the rows of a bucket."""
    return (low - SLACK_MS, high + SLACK_MS) if shifted(prepared, low, high) else (low, high)


def shifted(prepared: PreparedView, low: int, high: int) -> bool:
    """Whether the clocks of the source's zone change around here, so that a wall clock says less than it seems."""
    if prepared.relation.cursor_column.family != "timestamp" or prepared.relation.timezone == "UTC":
        return False
    zone = time_zone(prepared.relation.timezone)
    before, after = (datetime.fromtimestamp(ms / 1000, zone).utcoffset() for ms in (low - SLACK_MS, high + SLACK_MS))
    return before != after
