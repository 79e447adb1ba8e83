"""The next page of a view that has caught up: it is asked for when its reading begins, or not at all while nothing is new."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from smartico_sync.core.cursor_time import latest_ms, now_ms
from smartico_sync.sources.protocol import FirstPage

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.core.late_commit.mechanism import ReadTime
    from smartico_sync.core.position import Position
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.page_reader import PageReader

__all__ = ["due_ms", "foreseen", "read"]


def due_ms(reader: PageReader, read_time: ReadTime) -> float:
    """When (steady) there is more to look at than whether a row has come; not in the future where the next reading has."""
    late, now = reader.late, read_time.steady_ms
    if reader.unfinished or reader.dated == "ahead" or len(reader.ahead):
        return now
    if late is not None and late.watch is not None and (late.watch.ranges or late.watch.holes.height):
        return now
    due = math.inf if late is None else late.mechanism.due_ms(read_time)
    if reader.reads_again:
        passes = reader.open.next_ms(reader.grain.ms) - now_ms(reader.relation, read_time.clock_ms)
        due = now if reader.reopened else min(due, now + passes)
    return due


def foreseen(reader: PageReader, limit: int) -> FirstPage | None:
    """What the next reading of a level view will ask for first; None where only the database can tell what is ahead."""
    relation = reader.relation
    ordered = not relation.dated or relation.epoch or relation.cursor_column.family == "instant"
    known = ordered or (relation.cursor_column.family == "timestamp" and relation.timezone == "UTC")
    return FirstPage(reader.head, limit) if known and reader.dated == "in order" else None


def read(reader: PageReader, reading: Reading, after: Position | None, limit: int, bound: str | None) -> pl.DataFrame:
    """The next page, up to the bound. One that came when the reading was opened came without."""
    if bound is None or reading.first != FirstPage(after, limit):
        return reading.page(after, limit, bound)
    page = reading.page(after, limit)
    if not page.height:
        return page
    last = page.get_column(reader.view.cursor).tail(1)
    if not last.null_count() and latest_ms(last, reader.relation) < reading.clock_ms + reader.view.future_tolerance:
        return page
    reader.dated = "ahead"
    return reading.page(after, limit, bound)
