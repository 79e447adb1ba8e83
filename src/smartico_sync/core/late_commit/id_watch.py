"""Ids that no mechanism waits for any more, and that may appear all the same: blocks of ids, and ranges far below the head.

An allocator (Hibernate, `INCREMENT BY 50`) keeps a block of ids in each node's memory and uses it up in its own time. One id
typed by hand, a second range or a sequence that was set back leaves others counting far below the head. Such holes are asked
for by id, beside the mechanism and without holding its watermark. They hold no row that was delivered, so nothing need be
remembered to know what is new in them.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.late_commit.gaps import PAUSES
from smartico_sync.core.late_commit.mechanism import AskIds
from smartico_sync.core.late_commit.missing_ids import Hole, Holes, ask, holes_of, missing, numbers, split, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smartico_sync.core.late_commit.mechanism import Pace, ReadTime

__all__ = ["BLOCK_WAIT_MS", "FAR", "IdWatch", "Range"]

FAR = 100_000  # ids: no block is as wide, and no writer holds as many; beyond such a hole begins another range
UNUSUAL = 1_000  # times the usual distance of two ids: generators that make ids of the time leave wide holes everywhere
RANGES = 8  # that are asked for at the same time, each a look into the index
HOLES = 1_024  # what the state writes with every page stays below some tens of kilobytes
BLOCK_WAIT_MS = 86_400_000  # a day: a node that has not used up its block by then was restarted
EVIDENCE = 3  # rows that came later than any transaction should take: from then on ids count as handed out in blocks
WEIGHT = 0.2  # of the newest distance of two ids in the usual one
LAST_RANGE_PAUSE_MS = 5_000
HOLE_PAUSES = (*PAUSES, (600_000, 5_000), (3_600_000, 30_000))  # how long a hole of that age is left alone
LAST_HOLE_PAUSE_MS = 120_000
Wide = tuple[int, int]


class Range(Struct, frozen=True):
    """Ids from `low` to `high`, both included, of which none was delivered; others may count on in it at any time.

    `grew_ms`: when the last row was found in it; `asked_ms`: when it was asked for last (None: not yet); both steady.
    """

    low: int
    high: int
    grew_ms: int
    asked_ms: int | None = None

    def due(self, steady_ms: int) -> bool:
        """Whether it should be asked for: in every reading while it grows, else now and then."""
        if self.asked_ms is None:
            return True
        quiet = steady_ms - self.grew_ms
        pause = next((wait for below, wait in PAUSES if quiet < below), LAST_RANGE_PAUSE_MS)
        return steady_ms - self.asked_ms >= pause


class IdWatch(Struct, frozen=True):
    """Frozen: every method returns the next one, to be adopted like a mechanism.

    `ranges` are watched for good, `holes` for a day. `delay_ms`: for so long the mechanism itself
    finds what comes late in a page. `blocks`: whether every hole of a page is watched. `usual`: the distance of two ids.
    `found`: rows that came from either since the first start. `floor`: the source's lowest id when it was looked at last.
    """

    delay_ms: int = 0
    blocks: bool = False
    ranges: tuple[Range, ...] = ()
    holes: Holes = ()
    usual: float = 1.0
    found: int = 0
    floor: int | None = None
    asks: int = 0

    @classmethod
    def start(cls, read_time: ReadTime, memory: dict[str, Any], delay_ms: int, *, blocks: bool) -> IdWatch:
        """Begin from what the state holds. Ages go on where they stopped."""
        kept = memory.get("watch", {})
        steady = read_time.steady_ms
        return cls(
            delay_ms,
            blocks or bool(kept.get("blocks")),
            tuple(Range(low, high, steady) for low, high in kept.get("ranges", ())),
            holes_of(kept.get("holes", ()), steady, read_time.clock_ms),
            float(kept.get("usual", 1.0)),
            int(kept.get("found", 0)),
            kept.get("floor"),
        )

    def memory(self, read_time: ReadTime) -> dict[str, Any]:
        """Return what `start` needs."""
        kept = {
            "blocks": self.blocks,
            "ranges": [(each.low, each.high) for each in self.ranges],
            "holes": [
                (hole.low, hole.high, hole.step, max(0, read_time.steady_ms - hole.steady)) for hole in self.holes
            ],
            "usual": round(self.usual, 3),
            "found": self.found,
            "floor": self.floor,
        }
        return {"watch": kept}

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[IdWatch, AskIds | None]:
        """Decide what is asked for in this reading; nothing while a backlog is read."""
        if pace != "caught_up" or not (self.ranges or self.holes):
            return self, None
        steady, number = read_time.steady_ms, self.asks + 1
        wide = [each for each in self.ranges if each.due(steady)]
        due = [hole for hole in self.holes if hole.due_ms(read_time, HOLE_PAUSES, LAST_HOLE_PAUSE_MS) <= steady]
        asked = ask(self.holes, due, steady, number)
        if asked is None and not wide:
            return self, None
        ids, long = (asked.ids, asked.long) if asked else ((), ())
        scan = AskIds(ids, (*long, *((each.low, each.high) for each in wide)), number)
        ranges = tuple(replace(each, asked_ms=steady) if each in wide else each for each in self.ranges)
        return replace(self, ranges=ranges, holes=asked.holes if asked else self.holes, asks=number), scan

    def left(self, ids: pl.Series, before: int | None) -> tuple[Wide, ...]:
        """Return the holes in ascending ids that lead to another range, rather than to rows that come late."""
        if not ids.len():
            return ()
        first, last = ends(ids)
        if last - min(first, first if before is None else before) <= FAR:
            return ()  # nor is any hole that wide: nearly every page, which is not looked through then
        if before is not None and ids.len() == 1:
            return ((before + 1, last - 1),) if float(last - before) > self.usual * UNUSUAL else ()
        known = whole(ids)
        edges = known if before is None else pl.concat([pl.Series([before], dtype=pl.Int128), known])
        gaps = edges.diff().drop_nulls().cast(pl.Float64)
        if not gaps.len():
            return ()
        usual = max(self.usual, float(gaps.median())) if gaps.len() > 1 else self.usual  # type: ignore[arg-type]
        places = ((gaps > FAR) & (gaps > usual * UNUSUAL)).arg_true().to_list()
        return tuple((int(edges[place]) + 1, int(edges[place + 1]) - 1) for place in places[-RANGES:])

    def delivered(
        self,
        read_time: ReadTime,
        ids: pl.Series | None,
        before: int | None,
        found: pl.Series | None,
        scan: AskIds | None,
        slow: int = 0,
    ) -> IdWatch:
        """Return the watch as it is to be committed with the rows of a reading: `ids` in order behind `before`, `found` below.

        `slow`: how many rows have come later than transactions take, as the mechanism counts.
        """
        watch = replace(self, blocks=True) if slow >= EVIDENCE and not self.blocks else self
        if found is not None and found.len():
            there = sorted(set(numbers(found)))
            # What is below all that was delivered, too, else the next look at the lowest id would ask for these rows again.
            if watch.floor is not None and there[0] < watch.floor:
                watch = watch.floored(there[0], read_time.steady_ms)
            watch = watch.with_found(there, read_time)
        if scan is not None:
            kept = (hole for hole in watch.holes if hole.ask != scan.number or hole.age(read_time) < BLOCK_WAIT_MS)
            watch = replace(watch, holes=tuple(kept))
        if ids is not None and ids.len():
            watch = watch.with_page(ids, before, read_time)
        return watch

    def with_found(self, ids: Sequence[int], read_time: ReadTime) -> IdWatch:
        """Take found ids, ascending, out of ranges and holes; what they leave between them in a range are holes."""
        holes, count = split(self.holes, ids, read_time)
        ranges: list[Range] = []
        for each in self.ranges:
            inside = [number for number in ids if each.low <= number <= each.high]
            if not inside:
                ranges.append(each)
                continue
            count += len(inside)
            between = missing(pl.Series(inside, dtype=pl.Int128), each.low - 1, 1, read_time)
            holes = in_order(holes, between)
            rest = replace(each, low=inside[-1] + 1, grew_ms=read_time.steady_ms)
            ranges += [rest] if rest.low <= rest.high else []
        return replace(self, ranges=tuple(ranges), holes=newest(holes), found=self.found + count)

    def with_page(self, ids: pl.Series, before: int | None, read_time: ReadTime) -> IdWatch:
        """Record the holes of a page: those that lead to another range, and where ids come in blocks all of them."""
        wide = self.left(ids, before)
        lowest, highest = ends(ids)
        first = lowest - 1 if before is None else before
        floor = lowest if before is None and self.floor is None else self.floor
        ranges = (*self.ranges, *(Range(low, high, read_time.steady_ms) for low, high in wide))
        # Those go first in which nothing was found for the longest time.
        kept = sorted(ranges, key=lambda each: each.grew_ms)[-RANGES:]
        holes = self.holes
        if self.blocks:
            # Not asked for before the mechanism has let go of them.
            later = read_time.steady_ms + self.delay_ms
            news = (hole for hole in missing(ids, first, 1, read_time) if hole.high - hole.low < FAR)
            holes = newest(in_order(holes, (replace(hole, asked=later) for hole in news)))
        distance = max((highest - first) / ids.len(), 1.0)
        usual = self.usual if wide else (1 - WEIGHT) * self.usual + WEIGHT * distance
        return replace(self, ranges=tuple(kept), holes=holes, usual=usual, floor=floor)

    def floored(self, lowest: int, steady_ms: int) -> IdWatch:
        """Return the watch after a look at the source's lowest id. Where it went down, ids have begun again below."""
        if self.floor is None or lowest >= self.floor:
            return replace(self, floor=lowest)
        begun = Range(lowest, self.floor - 1, steady_ms)
        return replace(self, floor=lowest, ranges=(begun, *self.ranges)[:RANGES])

    def warning(self) -> str:
        """Say what the rows that were found mean; empty when none were."""
        if not self.found:
            return ""
        cause = "ids come in blocks" if self.blocks else "ids are also given out in a range far below the highest"
        return (
            f"{self.found} rows were found where ids were missing: {cause}; these ids are asked for again, and a time as cursor "
            "needs no such care"
        )


def ends(ids: pl.Series) -> tuple[int, int]:
    """Return the first and the last of ids; there is one."""
    first, last = ids[0], ids[-1]
    if not isinstance(first, int) or not isinstance(last, int):
        first, last = whole(ids.gather([0, ids.len() - 1]))
    return int(first), int(last)


def in_order(*several: Iterable[Hole]) -> Holes:
    """Put holes of several kinds in one order."""
    return tuple(sorted(chain(*several), key=lambda hole: hole.low))


def newest(holes: Holes) -> Holes:
    """Keep as many holes as the state takes, in their order."""
    if len(holes) <= HOLES:
        return holes
    return in_order(sorted(holes, key=lambda hole: -hole.steady)[:HOLES])
