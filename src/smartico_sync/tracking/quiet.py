"""A view that has caught up: its next page is asked for when its reading begins, or not at all while nothing is new."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.cursor_time import now_ms
from smartico_sync.sources.protocol import FirstPage

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import ReadTime
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.tracking.page_reader import PageReader

__all__ = ["Quiet", "due_ms", "foreseen"]


class Quiet(Struct, frozen=True, eq=False):
    """A view that had caught up when `server` was asked, and why its loop need not poll: only rows behind `after` would be new.

    `until`: when (steady ms) it has something else to look at. A loop that does anything at all is quiet no longer.
    """

    relation: Relation
    after: Position | None
    server: str
    until: int


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
