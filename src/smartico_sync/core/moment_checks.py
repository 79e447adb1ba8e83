"""Moments that cannot be right: epochs in another unit, a clock of another zone, one moment for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.catalogue.events import EARLIEST_MS
from smartico_sync.core.cursor_time import DAY_MS, Grain, cursor_ms
from smartico_sync.core.events import DATE, POSITION
from smartico_sync.core.validation import EVENT_DATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["Oddity", "oddities"]

FEW = 20  # rows: fewer may be alike by chance
AHEAD_MS = 600_000  # a row is tracked when it is final; clocks and long transactions differ by less
LATEST_MS = 4_102_444_800_000  # the year 2100
What = Literal[
    "before 2000",  # an epoch in another unit, or one that was never filled
    "in the future",  # a local clock, an epoch in another unit, or a wrong row
    "after its cursor",  # it would have happened after it was tracked: another zone
    "all the same",  # the moment of the export, not of the event
    "midnight",  # a day, not a moment
]


class Oddity(Struct, frozen=True):
    """So many rows in which a property, or `event_date`, is implausible. `by_ms`: the median distance of two moments."""

    property: str
    what: What
    rows: int
    by_ms: int = 0


def oddities(
    mapping: ViewMapping, rows: pl.DataFrame, moments: pl.DataFrame, now_ms: int, tolerance_ms: int
) -> tuple[Oddity, ...]:
    """What is odd about moments: [@row, @date and properties, Int64 epoch ms] of these rows."""
    found = [*event_dates(moments.get_column(DATE), now_ms + tolerance_ms)]
    if mapping.kind.role != "profile":
        found += tracked_before(mapping, rows, moments)
        found += alike(moments.get_column(DATE))
    for name in moments.columns:
        if name not in (DATE, POSITION):
            found += impossible(name, moments.get_column(name), LATEST_MS)
    return tuple(found)


def event_dates(values: pl.Series, latest_ms: int) -> Iterator[Oddity]:
    """Events from before all casinos, and from the future."""
    return impossible(EVENT_DATE, values, latest_ms)


def impossible(name: str, values: pl.Series, latest_ms: int) -> Iterator[Oddity]:
    """Moments that are too early or too late to be true."""
    if early := int((values < EARLIEST_MS).sum()):
        yield Oddity(name, "before 2000", early)
    if late := int((values > latest_ms).sum()):
        yield Oddity(name, "in the future", late)


def tracked_before(mapping: ViewMapping, rows: pl.DataFrame, moments: pl.DataFrame) -> Iterator[Oddity]:
    """Events that lie after the moment at which their row was tracked."""
    if not mapping.relation.dated:
        return
    cursors = cursor_ms(rows.get_column(mapping.relation.cursor), mapping.relation.cursor_is)
    grain = Grain().narrowed(cursors).ms  # a time that is rounded down stands for all that it may have been
    ahead = moments.get_column(DATE) - cursors.gather(moments.get_column(POSITION))
    late = ahead.filter((ahead > AHEAD_MS + grain).fill_null(value=False))
    if late.len():
        middle = late.median()
        yield Oddity(EVENT_DATE, "after its cursor", late.len(), int(middle) if isinstance(middle, int | float) else 0)


def alike(values: pl.Series) -> Iterator[Oddity]:
    """Events that all have one moment, or the beginning of a day."""
    if values.len() < FEW:
        return
    if values.n_unique() == 1:
        yield Oddity(EVENT_DATE, "all the same", values.len())
    elif not (values % DAY_MS != 0).any():
        yield Oddity(EVENT_DATE, "midnight", values.len())
