"""The lookback: the last while is scanned again, and how late rows really come is measured.

The promise: where the cursor is a time, a row is found if it became visible before the source's clock was `lookback_ms` past the
row's own time; where it is an id, if that was within `lookback_ms` after a row at or above it was read.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.late_commit.pending_heads import PendingHeads, recall

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Pace, Page, ReadTime, Rescan
    from smartico_sync.core.late_commit.pending_heads import PendingHead
    from smartico_sync.core.position import Position

__all__ = ["BUCKETS_MS", "NEAR_IDS", "WINDOW_IDS", "Lateness", "Lookback"]

# About three a decade, from a poll to a day; what is later counts in one more bucket.
BUCKETS_MS = (
    200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
    10_800_000, 43_200_000, 86_400_000,
)  # fmt: skip
MARGIN = 2  # the lookback should be twice as long as the latest row was late
# While a backlog of ids is read, only so many below the source's head are kept for the lookback: what was written in ten
# minutes at 500 a second. Older ids of a first load are not expected to have late neighbours.
NEAR_IDS = 300_000
WINDOW_IDS = 1_048_576  # ids below the head that a writer may still hold: a minute and more at 10,000 a second
LEAST_MS = 60_000  # nothing shorter is ever advised: a quiet hour says little about a busy one


class Lateness(Struct, frozen=True):
    """How late late rows came: source clock at discovery minus the row's own time. Rows in order do not count.

    `counts[i]` rows came at most `BUCKETS_MS[i]` late and later than the bucket before; the last count is of the rest.
    """

    counts: tuple[int, ...] = (0,) * (len(BUCKETS_MS) + 1)
    most_ms: int = 0
    total_ms: int = 0

    @classmethod
    def recalled(cls, memory: dict[str, Any]) -> Lateness:
        """Return what a dump holds under `lateness`; buckets of another version are forgotten, the maximum is not."""
        kept = memory.get("lateness")
        if not kept:
            return cls()
        if len(kept["counts"]) != len(BUCKETS_MS) + 1:
            return cls(most_ms=kept["most_ms"])
        return cls(tuple(kept["counts"]), kept["most_ms"], kept["total_ms"])

    def memory(self) -> dict[str, Any]:
        """Return what `recalled` needs."""
        return {"counts": self.counts, "most_ms": self.most_ms, "total_ms": self.total_ms}

    @property
    def count(self) -> int:
        """Return how many late rows were seen."""
        return sum(self.counts)

    def observed(self, late_ms: pl.Series) -> Lateness:
        """Add late rows, each late by so many ms."""
        late = late_ms.drop_nulls().clip(lower_bound=0)
        if not late.len():
            return self
        counts = list(self.counts)
        bucket = pl.Series(BUCKETS_MS, dtype=pl.Int64).search_sorted(late.cast(pl.Int64), side="left")
        for value, many in bucket.value_counts().iter_rows():
            counts[value] += many
        return Lateness(tuple(counts), max(self.most_ms, int(late.max())), self.total_ms + int(late.sum()))  # type: ignore[arg-type]

    def advice_ms(self) -> int | None:
        """Return the lookback that would have been safe with a margin, a round figure; None before any late row."""
        if not self.count:
            return None
        wanted = max(self.most_ms * MARGIN, LEAST_MS)
        return BUCKETS_MS[bisect_left(BUCKETS_MS, wanted)] if wanted <= BUCKETS_MS[-1] else wanted

    def warning(self, lookback_ms: int) -> str:
        """Say that the lookback is about to be too short; empty when it is not."""
        if self.most_ms * MARGIN <= lookback_ms:
            return ""
        advice = self.advice_ms() or lookback_ms
        return (
            f"a row came {seconds(self.most_ms)} late and the lookback is {seconds(lookback_ms)}: what comes later than that "
            f"is missed; set `lookback: {seconds(advice)}`, and run smartico-sync reconcile"
        )


class Lookback(Struct, frozen=True):
    """See `late.Mechanism`."""

    lookback_ms: int
    heads: PendingHeads = field(default_factory=PendingHeads)
    lateness: Lateness = field(default_factory=Lateness)
    aim: float | None = None  # the source's highest id, while a backlog of ids is read
    safe_upper_bound: None = None
    name: Literal["lookback"] = "lookback"

    @classmethod
    def start(
        cls,
        read_time: ReadTime,
        watermark: Position | None,
        head: Position | None,
        memory: str,
        seq: int,
        *,
        lookback_ms: int,
    ) -> Lookback:
        """Begin from what the state holds, whichever mechanism wrote it."""
        recalled = recall(memory)
        heads = PendingHeads.start(read_time, watermark, head, recalled, seq)
        return cls(lookback_ms, heads, Lateness.recalled(recalled))

    @property
    def watermark(self) -> Mark | None:
        """See `late.Mechanism`."""
        return self.heads.watermark

    @property
    def since(self) -> int:
        """See `late.Mechanism`."""
        return self.heads.since

    def wants_target(self, cursor: Literal["time", "id"]) -> bool:
        """See `late.Mechanism`."""
        return cursor == "id" and self.aim is None

    def with_target(self, read_time: ReadTime, source_head: Mark | None) -> Lookback:  # noqa: ARG002  - an aim has no age here
        """See `late.Mechanism`. Rows with a time of their own need no aim."""
        if source_head is None or source_head.cursor_ms is not None:
            return replace(self, aim=None) if self.aim is not None else self
        return self if self.aim is not None else replace(self, aim=float(source_head.position.cursor))

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[Lookback, KeyScan | None]:
        """See `late.Mechanism`."""
        return self, self.heads.scan(read_time.scan_ms, pace)

    def expected(self, steady_ms: int, pace: Pace) -> KeyScan | None:
        """See `late.Mechanism`."""
        return self.heads.scan(steady_ms, pace)

    def due_ms(self, read_time: ReadTime) -> float:
        """See `late.Mechanism`."""
        return self.heads.due_ms(read_time.steady_ms)

    def repeated(self, read_time: ReadTime) -> Rescan | None:
        """See `late.Mechanism`."""
        return self.heads.repeated(read_time.steady_ms, lambda head: self.remaining_ms(head, read_time))

    def remaining_ms(self, head: PendingHead, read_time: ReadTime) -> int:
        """Return for how long `ready` will not be true yet, if both clocks go on alike."""
        if head.mark.cursor_ms is None:
            return self.lookback_ms - head.age_ms(read_time)
        waited = head.clock_ms - head.mark.cursor_ms + read_time.steady_ms - head.steady_ms
        return self.lookback_ms - min(read_time.clock_ms - head.mark.cursor_ms, waited)

    def delivered(self, page: Page) -> Lookback:
        """See `late.Mechanism`. Old rows, those of a first load, are released with their own page."""
        closed = page.head is not None and self.closed(page.head, page.read_time)
        heads = self.heads.settled(page, lambda head: self.ready(head, page.read_time))
        heads = heads.joined(page, "whole" if closed else "open").over_whole()
        lateness = self.lateness
        if page.found_ms is not None:
            lateness = lateness.observed(page.read_time.clock_ms - page.found_ms.cast(pl.Int64))
        return replace(self, heads=heads, lateness=lateness)

    def closed(self, mark: Mark, read_time: ReadTime) -> bool:
        """Whether the mark's time lies further back than the lookback; or its id far below the highest one."""
        if mark.cursor_ms is None:
            return self.aim is not None and float(mark.position.cursor) <= self.aim - NEAR_IDS
        return mark.cursor_ms < read_time.clock_ms - self.lookback_ms

    def ready(self, head: PendingHead, read_time: ReadTime) -> bool:
        """Whether the head may become the watermark: closed, and not only because the source's clock jumped ahead."""
        if head.mark.cursor_ms is None:
            return head.age_ms(read_time) >= self.lookback_ms
        if not self.closed(head.mark, read_time):
            return False
        return head.clock_ms - head.mark.cursor_ms + read_time.steady_ms - head.steady_ms >= self.lookback_ms

    def dump(self) -> str:
        """See `late.Mechanism`."""
        return json.dumps(self.memory())

    def memory(self) -> dict[str, Any]:
        """See `late.Mechanism`."""
        return {**self.heads.memory(), "lateness": self.lateness.memory()}


def seconds(ms: int) -> str:
    """Write a duration as the configuration does, rounded up to whole seconds or minutes."""
    if ms < 1_000:
        return f"{ms}ms"
    return f"{-(-ms // 1000)}s" if ms < 120_000 else f"{-(-ms // 60_000)}m"
