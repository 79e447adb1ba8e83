"""Gaps: ids missing below the head are recorded as ranges and asked for again, until they appear or have had their time.

The promise: a row is found if it becomes visible within `wait_ms` (of our steady clock *and* of the source's) after a
higher id was seen. Ids that nobody will ever use, because their writer rolled back, cost a range and a few questions.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.late_commit.mechanism import AskIds, ReadTime
from smartico_sync.core.late_commit.missing_ids import (
    Hole,
    Holes,
    Stride,
    ask,
    bounded,
    holes_of,
    missed,
    missing,
    number,
    numbers,
    size,
    split,
)
from smartico_sync.core.late_commit.pending_heads import BEHIND_MS, PendingHeads, recall

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from smartico_sync.core.late_commit.mechanism import Mark, Pace, Page
    from smartico_sync.core.position import Position

__all__ = ["PAUSES", "WAIT_MS", "Gaps"]

WAIT_MS = 300_000  # five minutes: longer than any sane transaction that inserts; then its writer has rolled back
FAR_IDS = 3_000_000  # ids this far below the source's head were given out `wait_ms` ago at 10,000 a second
# How long to leave a hole of that age alone: a second late is common, a minute rare.
PAUSES = ((2_000, 0), (10_000, 1_000), (60_000, 2_000))
LAST_PAUSE_MS = 5_000
SLOW_MS = 60_000  # a row of a transaction is rarely so late; one of a block of ids often is


class Gaps(Struct, frozen=True):
    """See `late.Mechanism`. `open` holds what is missing; `given_up` counts ids nobody waits for any more."""

    wait_ms: int = WAIT_MS
    heads: PendingHeads = field(default_factory=PendingHeads)
    open: Holes = ()
    stride: Stride = field(default_factory=Stride)
    given_up: int = 0
    found: int = 0
    slow: int = 0  # of those, how many came later than transactions take
    aim: tuple[int, int, int] | None = None  # id, steady_ms, clock_ms
    asks: int = 0
    asked_ms: int | None = None
    now: tuple[int, int] = (0, 0)  # steady_ms, clock_ms: the ages of a dump count up to here
    server: str = ""  # whose clock that is
    safe_upper_bound: None = None
    name: Literal["gaps"] = "gaps"

    @classmethod
    def start(
        cls,
        read_time: ReadTime,
        watermark: Position | None,
        head: Position | None,
        memory: str,
        seq: int,
        *,
        wait_ms: int = WAIT_MS,
    ) -> Gaps:
        """Begin from what the state holds. Ages go on where they stopped: time without us does not count.

        After another mechanism all that lies between watermark and head is one range.
        """
        recalled = recall(memory)
        heads = PendingHeads.start(read_time, watermark, head, recalled, seq)
        rows: list[list[int]] = recalled.get("gaps", [])
        if "gaps" not in recalled and watermark is not None and head is not None and watermark != head:
            rows = [[number(watermark.cursor) + 1, number(head.cursor) - 1, 1, 0]]
        rows = [row for row in rows if row[0] <= row[1]]
        clock, server = recalled.get("clock", (read_time.clock_ms, read_time.server))
        clock = read_time.clock_ms if server == read_time.server else clock
        return cls(
            wait_ms,
            heads,
            holes_of(rows, read_time.steady_ms, clock),
            Stride(*recalled.get("stride", ())),
            given_up=int(recalled.get("given_up", 0)),
            found=int(recalled.get("found", 0)),
            slow=int(recalled.get("slow", 0)),
            now=(read_time.steady_ms, clock),
            server=server,
        )

    @property
    def watermark(self) -> Mark | None:
        """See `late.Mechanism`. It lies below the lowest open range."""
        return self.heads.watermark

    @property
    def since(self) -> int:
        """See `late.Mechanism`."""
        return self.heads.since

    def waiting(self) -> int:
        """Return how many ids are still waited for."""
        return sum(hole.high - hole.low + 1 for hole in self.open)

    def wants_target(self, cursor: Literal["time", "id"]) -> bool:  # noqa: ARG002  - ids only
        """See `late.Mechanism`."""
        return self.aim is None

    def with_target(self, read_time: ReadTime, source_head: Mark | None) -> Gaps:
        """See `late.Mechanism`. Holes below the aim are at least as old as the aim."""
        if source_head is None:
            return replace(self, aim=None)
        aim = self.aim or (number(source_head.position.cursor), read_time.steady_ms, read_time.clock_ms)
        return replace(self, aim=aim)

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[Gaps, AskIds | None]:
        """See `late.Mechanism`. Young holes are asked for in every reading, older ones on a growing cadence."""
        gaps = self.at(read_time)
        if pace == "busy" or not gaps.open or (pace == "behind" and not gaps.patient(read_time)):
            return gaps, None
        due = [hole for hole in gaps.open if hole.due_ms(read_time, PAUSES, LAST_PAUSE_MS) <= read_time.steady_ms]
        asked = ask(gaps.open, due, read_time.steady_ms, gaps.asks + 1)
        if asked is None:
            return gaps, None
        scan = AskIds(asked.ids, asked.long, gaps.asks + 1)
        return replace(gaps, open=asked.holes, asks=scan.number, asked_ms=read_time.steady_ms), scan

    def at(self, read_time: ReadTime) -> Gaps:
        """Return the holes at this reading.

        A clock that was set back starts their age again. The clock of a server that is further back only does not count
        before it has come to where they were seen: what waits there may have ended on the other.
        """
        if self.server != read_time.server and read_time.clock_ms < self.now[1]:
            return replace(self, now=(read_time.steady_ms, self.now[1]))
        holes, clock = self.open, read_time.clock_ms
        if any(hole.clock > clock for hole in holes):
            holes = tuple(replace(hole, clock=min(hole.clock, clock)) for hole in holes)
        return replace(self, open=holes, now=(read_time.steady_ms, clock), server=read_time.server)

    def expected(self, steady_ms: int, pace: Pace) -> None:
        """See `late.Mechanism`. Ids are asked for by number."""

    def due_ms(self, read_time: ReadTime) -> float:
        """See `late.Mechanism`. A hole is left alone for longer the older it is."""
        if self.aim is not None:
            return read_time.steady_ms
        due = (hole.due_ms(read_time, PAUSES, LAST_PAUSE_MS) for hole in self.open)
        return max(min(due, default=math.inf), read_time.steady_ms)

    def repeated(self, read_time: ReadTime) -> None:
        """See `late.Mechanism`. Ids are asked for by number."""

    def patient(self, read_time: ReadTime) -> bool:
        """Whether a backlog has gone on long enough to look at the holes."""
        return self.asked_ms is None or read_time.steady_ms - self.asked_ms >= BEHIND_MS

    def delivered(self, page: Page) -> Gaps:
        """See `late.Mechanism`."""
        gaps, read_time = self, page.read_time
        if page.found is not None and page.found.len():
            found = sorted(set(numbers(page.found)))
            slow = split(tuple(hole for hole in gaps.open if hole.age(read_time) >= SLOW_MS), found, read_time)[1]
            holes, hits = split(gaps.open, found, read_time)
            gaps = replace(gaps, open=holes, found=gaps.found + hits, slow=gaps.slow + slow)
        if isinstance(page.scan, AskIds):
            # Not visible in a snapshot taken after its time: it will never be.
            asked = page.scan.number
            gaps = gaps.without(lambda hole: hole.ask == asked and hole.age(read_time) >= gaps.wait_ms)
        if page.ids is not None and page.ids.len():
            gaps = gaps.with_page(page.ids, read_time, page.left)
        heads = gaps.heads.joined(page, "open")
        floor = gaps.open[0].low if gaps.open else None
        below = [
            i for i, head in enumerate(heads.waiting) if floor is None or number(head.mark.position.cursor) < floor
        ]
        return replace(gaps, heads=heads.moved(below[-1] + 1 if below else 0))

    def with_page(self, ids: pl.Series, read_time: ReadTime, left: tuple[tuple[int, int], ...]) -> Gaps:
        """Record what is missing between the head and the ids, and between them, but for what is `left` to others."""
        last = self.heads.last
        before = None if last is None else number(last.position.cursor)
        if before is not None and ids.len() == 1 and number(ids[0]) == before + self.stride.step:
            return self  # nothing is missing, nor is anything learnt: nearly every row that comes alone
        stride = self.stride.learned(ids, before)
        gaps = replace(self, stride=stride)
        if self.aim is not None and before is not None and not left and number(ids[-1]) < self.aim[0] - FAR_IDS:
            return replace(gaps, given_up=gaps.given_up + missed(ids, before, stride.step))
        begins = {first for first, _ in left}
        holes = [hole for hole in missing(ids, before, stride.step, read_time) if hole.low not in begins]
        if self.aim is not None:
            every = [self.aged(hole) for hole in holes]
            holes = [hole for hole in every if not self.hopeless(hole, read_time)]
            gaps = replace(gaps, given_up=gaps.given_up + size(every) - size(holes))
        return replace(gaps, open=bounded((*gaps.open, *holes))) if holes else gaps

    def aged(self, hole: Hole) -> Hole:
        """Return a new hole as old as the aim where it lies below."""
        if self.aim is None or hole.high >= self.aim[0]:
            return hole
        _, steady, clock = self.aim
        return replace(hole, steady=min(hole.steady, steady), clock=min(hole.clock, clock))

    def hopeless(self, hole: Hole, read_time: ReadTime) -> bool:
        """Return whether nobody need wait for a new hole of a backlog."""
        far = self.aim is not None and hole.high < self.aim[0] - FAR_IDS
        return far or hole.age(read_time) >= self.wait_ms

    def without(self, old: Callable[[Hole], bool]) -> Gaps:
        """Give up such holes."""
        kept = tuple(hole for hole in self.open if not old(hole))
        if len(kept) == len(self.open):
            return self
        return replace(self, open=kept, given_up=self.given_up + size(self.open) - size(kept))

    def dump(self) -> str:
        """See `late.Mechanism`."""
        return json.dumps(self.memory(), separators=(",", ":"))

    def memory(self) -> dict[str, Any]:
        """See `late.Mechanism`."""
        now = ReadTime(steady_ms=self.now[0], clock_ms=self.now[1])
        holes = [(hole.low, hole.high, hole.step, max(0, hole.age(now))) for hole in self.open]
        return {
            **self.heads.memory(),
            "given_up": self.given_up,
            "found": self.found,
            "slow": self.slow,
            "stride": (self.stride.step, self.stride.masters),
            "gaps": holes,
            "clock": (self.now[1], self.server),
        }
