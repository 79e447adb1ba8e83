"""Where a view begins: the source is asked first, and the view is registered together with the answer.

A view that begins at the present leaves a window below its head open. What was there is remembered by key, so that it is
not sent; what becomes visible in it later (an open transaction, a row with the head's own cursor value) is a late row
like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.core.cursor_time import Grain, cursor_ms, latest_ms
from smartico_sync.core.cursor_time import now_ms as cursor_now_ms
from smartico_sync.core.late_commit.lookback import WINDOW_IDS
from smartico_sync.core.late_commit.mechanism import Mark, Page, ReadTime
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import anchors_of, ledger_of, position_at
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.core.relation import IDS
from smartico_sync.errors import ConfigError
from smartico_sync.tracking import late_scan
from smartico_sync.tracking.clocks import now_ms, steady_ms
from smartico_sync.tracking.late_rows import start_mechanism
from smartico_sync.tracking.reconciliation import uncountable, units
from smartico_sync.tracking.written_cursors import cursor_at, expected, written

if TYPE_CHECKING:
    from smartico_sync.config.models import View
    from smartico_sync.core.records import Anchor
    from smartico_sync.sources.protocol import Reading, Source
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["ViewStart", "ask_start", "just_before"]

JUST_BEFORE_MS = (
    10  # coarser than the fractions any engine rounds to: rows of the very moment belong to what comes after
)


class ViewStart(Struct, frozen=True):
    """Where a view begins. `commit`: its position and what was there, None at the first row.

    `started_from` is `first` also where the relation was empty: then every row is one that came after the start.
    """

    started_from: str
    commit: Commit | None = None


FIRST = ViewStart("first")


def ask_start(view: View, prepared: PreparedView, source: Source) -> ViewStart:
    """Ask where the view begins; nothing is stored. ConfigError for a `start_from` that is no cursor of the view."""
    if view.start_from == "first":
        return FIRST
    if view.start_from != "now":
        before = just_before(view, prepared, source)
        if before is None:
            return FIRST
        return ViewStart(view.start_from, Commit(view.name, now_ms(), head=before, watermark=before))
    with source.reading(prepared.relation) as reading:
        commit = at_present(view, prepared, reading)
    return FIRST if commit is None else ViewStart("now", commit)


def just_before(view: View, prepared: PreparedView, source: Source) -> Position | None:
    """The position after which the rows of `start_from` come; None where that is before every row."""
    if not prepared.relation.dated and prepared.relation.cursor_column.family not in IDS:
        raise ConfigError(
            f"view {view.name}: `start_from: {view.start_from}` is no place to begin at: {uncountable(prepared).message}",
            hint="expected first, or now; an incrementing id or a time as its cursor takes a place, too",
        )
    try:
        with source.reading(prepared.relation) as reading:
            if prepared.relation.dated:
                return Position(cursor_at(reading, prepared, view.start_from, JUST_BEFORE_MS))
            # An unsigned column cannot be compared with what is below zero.
            return (
                None
                if written(prepared, view.start_from) == 0
                else Position(cursor_at(reading, prepared, view.start_from, 1))
            )
    except ConfigError:
        raise ConfigError(
            f"view {view.name}: `start_from: {view.start_from}` is no value of its cursor {view.cursor}",
            hint=f"expected {expected(prepared)}; or first, or now",
        ) from None


def at_present(view: View, prepared: PreparedView, reading: Reading) -> Commit | None:
    """The head, and what is known of the window below it; None without any row."""
    read_time = ReadTime(reading.clock_ms, steady_ms(), reading.snapshot, reading.server)
    dated = prepared.relation.dated
    ahead_ms = cursor_now_ms(prepared.relation, read_time.clock_ms) + view.future_tolerance
    bound = reading.moment(ahead_ms) if dated else None
    head = reading.head(bound)
    if head is None:
        return None
    top = late_scan.rows_at(reading, reading.keys(head, head, 1)).get_column(view.cursor)  # its rows may be many
    floor = window_floor(view, prepared, top, read_time)
    if floor is None:
        keys = keys_between(reading, head, head)
        last = last_position(keys, head)
        return Commit(view.name, now_ms(), head=last, watermark=last, anchors=anchors(reading, prepared, keys))
    low = reading.moment(floor) if dated else str(floor)
    below = reading.head(low)
    after = None if below is None else Position(below)
    keys = keys_between(reading, below, head, after)
    last = last_position(keys, head)
    mechanism = start_mechanism(view, prepared.choice, read_time, after, after, "", 0)
    if mechanism is None:
        raise LookupError(f"view {view.name} has no late-commit mechanism, so no window to begin with")
    newest = latest_ms(top, prepared.relation, grain_of(prepared, top)) if dated else None
    ids = None if dated else keys.get_column("@cursor")
    mechanism = mechanism.delivered(Page(read_time, Mark(last, 0, newest), ids=ids))
    return Commit(
        view.name,
        now_ms(),
        head=last,
        watermark=mechanism.watermark.position if mechanism.watermark else None,
        late=mechanism.dump(),
        ledger=known(reading, prepared, keys),
        anchors=anchors(reading, prepared, keys),
    )


def window_floor(view: View, prepared: PreparedView, top: pl.Series, read_time: ReadTime) -> int | None:
    """Where the window below the head begins, in the ledger's units; None where nothing below the head can still appear.

    `top`: cursors of rows at the head. A time has its `lookback`, below the clock and below the head's own value, which
    may be a coarse one: later rows may have the same.
    """
    relation = prepared.relation
    if prepared.choice.mechanism is None or not top.len():
        return None
    head = int(cursor_ms(top, relation.cursor_is)[0])
    if not relation.dated:
        return head - WINDOW_IDS if head > WINDOW_IDS else min(0, head - 1)
    grain_ms = grain_of(prepared, top)
    if latest_ms(top, relation, grain_ms) < read_time.clock_ms - view.lookback:
        return None
    return min(head, read_time.clock_ms) - view.lookback - grain_ms


def grain_of(prepared: PreparedView, top: pl.Series) -> int:
    """What the times at the head may have been rounded down to."""
    return Grain().narrowed(cursor_ms(top, prepared.relation.cursor_is)).ms


def keys_between(reading: Reading, low: str | None, high: str, after: Position | None = None) -> pl.DataFrame:
    """All keys between two cursors, after a position, in order."""
    batches = [reading.keys(low, high, late_scan.SCAN_ROWS, after)]
    while batches[-1].height == late_scan.SCAN_ROWS:
        batches.append(reading.keys(low, high, late_scan.SCAN_ROWS, last_position(batches[-1], high)))
    return pl.concat(batches)


def last_position(keys: pl.DataFrame, head: str) -> Position:
    """The position of the last key; behind all rows of the head's value where there is none."""
    return position_at(keys, keys.height - 1) if keys.height else Position(head)


def known(reading: Reading, prepared: PreparedView, keys: pl.DataFrame) -> pl.DataFrame:
    """What the ledger keeps of rows that were there: [key UInt64, cursor_ms Int64]. Those of a keyless view are all read."""
    mapping = prepared.mapping
    if not prepared.relation.key:
        # By the handful: nobody knows yet how wide they are.
        parts = late_scan.handfuls(keys, None) if keys.height else [keys]
        return pl.concat([ledger_of(late_scan.rows_at(reading, part), mapping) for part in parts])
    texts = keys.get_column("@cursor")
    if prepared.relation.dated:
        each = texts.unique().to_list()
        moments = texts.replace_strict(each, [units(prepared, text) for text in each], return_dtype=pl.Int64)
    else:
        moments = cursor_ms(texts.str.replace(r"\.0*$", ""))
    return pl.DataFrame({"key": ledger_keys(mapping, keys), "cursor_ms": moments})


def anchors(reading: Reading, prepared: PreparedView, keys: pl.DataFrame) -> tuple[Anchor, ...]:
    """Some of the rows that were there, by which the source can be recognised later."""
    places = sorted({0, keys.height // 2, keys.height - 1}) if keys.height else []
    return anchors_of(reading.rows(position_at(keys, place) for place in places), prepared.mapping)
