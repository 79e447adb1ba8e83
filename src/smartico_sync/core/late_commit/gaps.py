"""Gaps: ids missing below the head are recorded as ranges and asked for again, until they appear or have had their time.

The promise: a row is found if it becomes visible within `wait_ms` (of our steady clock *and* of the source's) after a
higher id was seen. Ids that nobody will ever use, because their writer rolled back, cost a range and a few questions.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.late_commit.mechanism import AskIds
from smartico_sync.core.late_commit.missing_ids import (
    Stride,
    age,
    ask,
    bounded,
    missing,
    nothing,
    number,
    schema,
    size,
    split,
    whole,
)
from smartico_sync.core.late_commit.pending_heads import BEHIND_MS, PendingHeads, recall

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import Mark, Pace, Page, ReadTime
    from smartico_sync.core.position import Position

__all__ = ["PAUSES", "WAIT_MS", "Gaps"]

WAIT_MS = 300_000  # five minutes: longer than any sane transaction that inserts; then its writer has rolled back
FAR_IDS = 3_000_000  # ids this far below the source's head were given out `wait_ms` ago at 10,000 a second
# How long to leave a hole of that age alone: a second late is common, a minute rare.
PAUSES = ((2_000, 0), (10_000, 1_000), (60_000, 2_000))
LAST_PAUSE_MS = 5_000
SLOW_MS = 60_000  # a row of a transaction is rarely so late; one of a block of ids often is


class Gaps(Struct, frozen=True):
    """See `late.Mechanism`. `open` holds the missing ranges, ascending; `given_up` counts ids nobody waits for any more."""

    wait_ms: int = WAIT_MS
    heads: PendingHeads = field(default_factory=PendingHeads)
    open: pl.DataFrame = field(default_factory=nothing)
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
        ranges = pl.DataFrame(
            {
                "low": [row[0] for row in rows],
                "high": [row[1] for row in rows],
                "step": [row[2] for row in rows],
                "steady": [read_time.steady_ms - row[3] for row in rows],
                "clock": [clock - row[3] for row in rows],
                "asked": [None] * len(rows),
                "ask": [0] * len(rows),
            },
            schema=schema(),
        )
        return cls(
            wait_ms,
            heads,
            ranges,
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
        return int((self.open["high"] - self.open["low"]).sum()) + self.open.height

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
        if pace == "busy" or not gaps.open.height or (pace == "behind" and not gaps.patient(read_time)):
            return gaps, None
        due = pl.col("asked").is_null() | (read_time.steady_ms - pl.col("asked") >= pause(read_time))
        asked = ask(gaps.open, due, read_time.steady_ms, gaps.asks + 1)
        if asked is None:
            return gaps, None
        scan = AskIds(asked.ids, asked.long, gaps.asks + 1)
        return replace(gaps, open=asked.ranges, asks=scan.number, asked_ms=read_time.steady_ms), scan

    def at(self, read_time: ReadTime) -> Gaps:
        """Return the holes at this reading.

        A clock that was set back starts their age again. The clock of a server that is further back only does not count
        before it has come to where they were seen: what waits there may have ended on the other.
        """
        if self.server != read_time.server and read_time.clock_ms < self.now[1]:
            return replace(self, now=(read_time.steady_ms, self.now[1]))
        holes, now = self.open, (read_time.steady_ms, read_time.clock_ms)
        if holes.height:
            holes = holes.with_columns(pl.min_horizontal("clock", pl.lit(read_time.clock_ms)))
        return replace(self, open=holes, now=now, server=read_time.server)

    def expected(self, steady_ms: int, pace: Pace) -> None:
        """See `late.Mechanism`. Ids are asked for by number."""

    def due_ms(self, read_time: ReadTime) -> float:
        """See `late.Mechanism`. A hole is left alone for longer the older it is."""
        if self.aim is not None or self.open.get_column("asked").null_count():
            return read_time.steady_ms
        due = self.open.select((pl.col("asked") + pause(read_time)).min()).item()
        return math.inf if due is None else max(due, read_time.steady_ms)

    def repeated(self, read_time: ReadTime) -> None:
        """See `late.Mechanism`. Ids are asked for by number."""

    def patient(self, read_time: ReadTime) -> bool:
        """Whether a backlog has gone on long enough to look at the holes."""
        return self.asked_ms is None or read_time.steady_ms - self.asked_ms >= BEHIND_MS

    def delivered(self, page: Page) -> Gaps:
        """See `late.Mechanism`."""
        gaps, read_time = self, page.read_time
        if page.found is not None and page.found.len():
            found = whole(page.found)
            slow = split(gaps.open.filter(age(read_time) >= SLOW_MS), found, read_time)[1]
            ranges, hits = split(gaps.open, found, read_time)
            gaps = replace(gaps, open=ranges, found=gaps.found + hits, slow=gaps.slow + slow)
        if isinstance(page.scan, AskIds):
            # Not visible in a snapshot taken after its time: it will never be.
            gaps = gaps.without((pl.col("ask") == page.scan.number) & (age(read_time) >= gaps.wait_ms))
        if page.ids is not None and page.ids.len():
            gaps = gaps.with_page(whole(page.ids), read_time, page.left)
        heads = gaps.heads.joined(page, "open")
        floor = gaps.open["low"][0] if gaps.open.height else None
        below = [
            i for i, head in enumerate(heads.waiting) if floor is None or number(head.mark.position.cursor) < floor
        ]
        return replace(gaps, heads=heads.moved(below[-1] + 1 if below else 0))

    def with_page(self, ids: pl.Series, read_time: ReadTime, left: tuple[tuple[int, int], ...]) -> Gaps:
        """Record what is missing between the head and the ids, and between them, but for what is `left` to others."""
        last = self.heads.last
        before = None if last is None else number(last.position.cursor)
        if before is not None and ids.len() == 1 and ids[0] == before + self.stride.step:
            return self  # nothing is missing, nor is anything learnt: nearly every row that comes alone
        stride = self.stride.learned(ids, before)
        holes = missing(ids, before, stride.step, read_time)
        for first, _ in left:
            holes = holes.filter(pl.col("low") != pl.lit(first, dtype=pl.Int128))
        gaps = replace(self, stride=stride)
        if self.aim is not None:
            aim, steady, clock = self.aim
            low = pl.col("high") < pl.lit(aim, dtype=pl.Int128)
            holes = holes.with_columns(
                steady=pl.when(low).then(pl.min_horizontal("steady", pl.lit(steady))).otherwise("steady"),
                clock=pl.when(low).then(pl.min_horizontal("clock", pl.lit(clock))).otherwise("clock"),
            )
            fresh = (pl.col("high") >= pl.lit(aim - FAR_IDS, dtype=pl.Int128)) & (age(read_time) < self.wait_ms)
            gaps = replace(gaps, given_up=gaps.given_up + size(holes.filter(~fresh)))
            holes = holes.filter(fresh)
        return replace(gaps, open=bounded(pl.concat([gaps.open, holes]))) if holes.height else gaps

    def without(self, old: pl.Expr) -> Gaps:
        """Give up these ranges."""
        gone = self.open.filter(old)
        if not gone.height:
            return self
        return replace(self, open=self.open.filter(~old), given_up=self.given_up + size(gone))

    def dump(self) -> str:
        """See `late.Mechanism`."""
        return json.dumps(self.memory(), separators=(",", ":"))

    def memory(self) -> dict[str, Any]:
        """See `late.Mechanism`."""
        steady, clock = self.now
        ranges: list[list[Any]] = []
        if self.open.height:
            waited = pl.min_horizontal(steady - pl.col("steady"), clock - pl.col("clock")).clip(lower_bound=0)
            ranges = [list(row) for row in self.open.select("low", "high", "step", waited).iter_rows()]
        return {
            **self.heads.memory(),
            "given_up": self.given_up,
            "found": self.found,
            "slow": self.slow,
            "stride": (self.stride.step, self.stride.masters),
            "gaps": ranges,
            "clock": (self.now[1], self.server),
        }


def pause(read_time: ReadTime) -> pl.Expr:
    """For how long a hole is left alone after it was asked for, by its age."""
    wait = pl.lit(LAST_PAUSE_MS)
    for below, shorter in reversed(PAUSES):
        wait = pl.when(age(read_time) < below).then(shorter).otherwise(wait)
    return wait
