"""A view that has caught up: its next page is asked for when its reading begins, or not at all while nothing is new."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.core.cursor_time import now_ms
from smartico_sync.sources.protocol import Asked, FirstPage, Landmarks, Scan
from smartico_sync.tracking.late_scan import scan_keys, told_by_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.late_commit.mechanism import Pace, ReadTime
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Digest
    from smartico_sync.tracking.page_reader import PageReader

__all__ = ["CHEAP_MS", "Again", "Quiet", "due_ms", "foreseen", "rescan"]

CHEAP_MS = 100  # what takes longer is the view's own to look at: all others would wait for it


class Again(Struct, eq=False):
    """Something of a view from which nothing follows for as long as it is as it `was`.

    It is looked at from `due_ms` on (steady), and then every `every_ms`, which takes about `cost_ms`.
    """

    what: Scan | Landmarks
    was: Digest
    due_ms: int
    every_ms: int
    cost_ms: int = 1


class Quiet(Struct, eq=False):
    """A view that had caught up when `server` was asked, and why its loop need not poll: only rows behind `after` would be new.

    `until`: when (steady ms) it has something to do but to look `again`, and, at `replication_ms`, at how its server follows its
    primary. `nulls`: whether rows without a cursor are looked for with landmarks. A loop that does anything at all is quiet no
    longer. Who polls for it moves the times of what was looked at; the loop takes them over when it polls next.
    """

    relation: Relation
    after: Position | None
    server: str
    until: float
    again: Sequence[Again] = ()
    nulls: Literal["not asked", "asked"] = "not asked"
    replication_ms: float = math.inf

    def asked(self, due: Sequence[Again]) -> Asked:
        """The question of a poll that looks at these again."""
        what = tuple(each.what for each in due)
        nulls = self.nulls if any(isinstance(each, Landmarks) for each in what) else "not asked"
        return Asked(self.relation, self.after, what, nulls)


def due_ms(reader: PageReader, read_time: ReadTime) -> float:
    """When (steady) a reading has more to look at than new rows and what the mechanism looks for; not in the future where the next has."""
    late, now = reader.late, read_time.steady_ms
    if reader.unfinished or reader.dated == "ahead" or len(reader.ahead):
        return now
    if late is not None and late.watch is not None and (late.watch.ranges or late.watch.holes):
        return now
    if not reader.reads_again:
        return math.inf
    passes = reader.open.next_ms(reader.grain.ms) - now_ms(reader.relation, read_time.clock_ms)
    return now if reader.reopened else now + passes


def rescan(reader: PageReader, read_time: ReadTime) -> tuple[float, tuple[Again, ...]]:
    """When (steady) the mechanism has something to do in a reading, and until then the scan that a digest can stand for."""
    if reader.late is None:
        return math.inf, ()
    mechanism, nothing = reader.late.mechanism, reader.found_nothing
    next_scan = mechanism.repeated(read_time)
    if next_scan is None or next_scan.cost_ms > CHEAP_MS:
        return mechanism.due_ms(read_time), ()
    if nothing is None or nothing.digest is None or not nothing.covers(next_scan.scan):
        return mechanism.due_ms(read_time), ()
    what = Scan("keys", next_scan.scan.after, next_scan.scan.high)
    scan = Again(what, nothing.digest, next_scan.due_ms, next_scan.every_ms, next_scan.cost_ms)
    return next_scan.until_ms, (scan,)


def foreseen(
    reader: PageReader, limit: int, pace: Pace, begun_ms: int, holds: Literal["rows", "nothing"]
) -> FirstPage | None:
    """What a reading of a level view that is begun now (steady ms) will ask for first; None where only the database can tell what is ahead."""
    relation = reader.relation
    ordered = not relation.dated or relation.epoch or relation.cursor_column.family == "instant"
    known = ordered or (relation.cursor_column.family == "timestamp" and relation.timezone == "UTC")
    if not known or reader.dated != "in order":
        return None
    scan = reader.late.mechanism.expected(begun_ms, pace) if reader.late is not None else None
    rows = reader.scans.rows
    keys = scan_keys(scan, rows) if scan is not None and not told_by_digest(scan, reader.found_nothing, rows) else None
    return FirstPage(reader.head, limit, keys, holds)
