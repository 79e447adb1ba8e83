"""The delayed fence: PostgreSQL's transaction ids say when nothing can still appear below a head.

The promise rests on three assumptions. Cursor values are given out in order (a sequence without CACHE, or one clock).
A writer's first change follows within `settle_ms` after it took its value. Its snapshot names the next
transaction id, and its clock stands still while a replica's replay does. Then, `settle_ms` after a head was seen, every
writer that could still add a row below it has a transaction id below the next one: that is the stamp. When a later
snapshot's xmin has reached the stamp, all of them have ended, and a key scan in that very snapshot sees their rows.
Transaction ids are a server's own: behind one address each server stamps for itself, once its clock has passed the head.

A fence speaks of transactions, not of clocks. What breaks its assumptions (a time taken long before the first write, a
writer's clock that is behind, ids in blocks, a join that shows a row later) is found by a lookback beside it: a head is then
kept until it also lies `lookback_ms` back, and its window is scanned for as long. It lies back by its own time where the
cursor is one, else by its age here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.late_commit.lookback import NEAR_IDS, Lateness
from smartico_sync.core.late_commit.pending_heads import PendingHead, PendingHeads, Stamp, recall

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Pace, Page, ReadTime, Rescan
    from smartico_sync.core.position import Position

__all__ = ["PIN_CAP_MS", "SETTLE_MS", "Fence", "PinPolicy"]

SETTLE_MS = 2_000  # an ORM takes its id milliseconds before the insert; two seconds forgive a pause of the writer
PIN_CAP_MS = 3_600_000  # an hour: longer than any sane transaction, short enough for the memory of its window
SERVERS = 4  # that stamp one head: a primary and its replicas; more behind one address are not remembered

PinPolicy = Literal[
    "wait",  # the watermark stays as long as a writer stays open: nothing is lost, memory grows by 8 bytes a row
    "release",  # after the cap it moves on, and that counts as a broken promise
]


class Fence(Struct, frozen=True):
    """See `late.Mechanism`. `broken` counts moves of the watermark that the cap forced; reconcile finds what they hid.

    `lookback_ms`: 0 for the fence alone. `below`: late rows that the fence alone would have lost; `lateness`: how late they
    came, where the cursor is a time.
    """

    heads: PendingHeads = field(default_factory=PendingHeads)
    settle_ms: int = SETTLE_MS
    pin: PinPolicy = "wait"
    pin_cap_ms: int = PIN_CAP_MS
    lookback_ms: int = 0
    lateness: Lateness = field(default_factory=Lateness)
    below: int = 0
    broken: int = 0
    aim: PendingHead | None = None
    safe_upper_bound: str | None = None

    @classmethod
    def start(
        cls,
        read_time: ReadTime,
        watermark: Position | None,
        head: Position | None,
        memory: str,
        seq: int,
        *,
        settle_ms: int = SETTLE_MS,
        pin: PinPolicy = "wait",
        pin_cap_ms: int = PIN_CAP_MS,
        lookback_ms: int = 0,
    ) -> Fence:
        """Begin from what the state holds, whichever mechanism wrote it. Stamps do not survive a restart."""
        recalled = recall(memory)
        heads = PendingHeads.start(read_time, watermark, head, recalled, seq)
        return cls(
            heads,
            settle_ms,
            pin,
            pin_cap_ms,
            lookback_ms,
            Lateness.recalled(recalled),
            below=int(recalled.get("below", 0)),
            broken=int(recalled.get("broken", 0)),
        )

    @property
    def name(self) -> Literal["fence", "fence + lookback"]:
        """See `late.Mechanism`."""
        return "fence + lookback" if self.lookback_ms else "fence"

    @property
    def watermark(self) -> Mark | None:
        """See `late.Mechanism`."""
        return self.heads.watermark

    @property
    def since(self) -> int:
        """See `late.Mechanism`."""
        return self.heads.since

    def pinned_ms(self, read_time: ReadTime) -> int:
        """Return how long the oldest stamp has been waiting for a writer to end; 0 when none waits."""
        waiting = [head for head in self.heads.waiting if head.stamps and not passed(head, read_time)]
        stamped = [stamp.steady_ms for head in waiting for stamp in head.stamps]
        return read_time.steady_ms - min(stamped) if stamped else 0

    def wants_target(self, cursor: Literal["time", "id"]) -> bool:  # noqa: ARG002  - of either
        """See `late.Mechanism`."""
        return self.aim is None

    def with_target(self, read_time: ReadTime, source_head: Mark | None) -> Fence:
        """See `late.Mechanism`. The aim becomes the safe_upper_bound when its own stamp is reached."""
        if source_head is None:
            return replace(self, aim=None, safe_upper_bound=None)
        if self.aim is not None:
            return self
        aim = PendingHead(source_head, 0, read_time.steady_ms, read_time.clock_ms, server=read_time.server)
        return replace(self, aim=aim)

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[Fence, KeyScan | None]:
        """See `late.Mechanism`. Stamps the heads that have settled."""
        server = read_time.server
        # Nearly all were stamped by this server, and last by it.
        waiting = [
            head if head.stamps and head.stamps[-1].server == server else self.stamped(head, read_time)
            for head in self.heads.waiting
        ]
        heads = replace(self.heads, waiting=tuple(waiting))
        aim = self.aim and self.stamped(self.aim, read_time)
        # Asked of each snapshot anew: a pool of replicas may answer from one that is further back.
        safe_upper_bound = aim.mark.position.cursor if aim and passed(aim, read_time) else None
        fence = replace(self, heads=heads, aim=aim, safe_upper_bound=safe_upper_bound)
        return fence, heads.scan(read_time.scan_ms, pace)

    def stamped(self, head: PendingHead, read_time: ReadTime) -> PendingHead:
        """Stamp the head if it has waited long enough.

        Both clocks must agree: a steady one alone runs on while replay stands still, the source's alone may jump. The
        wait counts from the head's own time when that lies ahead: until then any writer may still take a lower one.
        """
        if read_time.snapshot is None or head.stamp(read_time.server) is not None:
            return head
        seen = head.seen_ms(read_time)
        from_ms = seen if head.mark.cursor_ms is None else max(seen, head.mark.cursor_ms)
        waited = min(read_time.steady_ms - head.steady_ms, read_time.clock_ms - from_ms)
        if waited < self.settle_ms:
            return head if seen == head.clock_ms else replace(head, clock_ms=seen)
        stamp = Stamp(read_time.server, read_time.snapshot.xmax, read_time.steady_ms)
        return replace(head, stamps=(*head.stamps, stamp)[-SERVERS:])

    def expected(self, steady_ms: int, pace: Pace) -> KeyScan | None:
        """See `late.Mechanism`."""
        return self.heads.scan(steady_ms, pace)

    def due_ms(self, read_time: ReadTime) -> float:
        """See `late.Mechanism`. A head that is not stamped yet may be in the next reading."""
        settled = self.aim is None and self.stamped_by(read_time.server)
        return self.heads.due_ms(read_time.steady_ms) if settled else read_time.steady_ms

    def repeated(self, read_time: ReadTime) -> Rescan | None:
        """See `late.Mechanism`. A head that lies back far enough waits for a writer to end, which any reading may tell."""
        if self.aim is not None or not self.stamped_by(read_time.server):
            return None
        return self.heads.repeated(
            read_time.steady_ms, lambda head: self.lookback_ms - self.back_ms(head.mark, read_time, head)
        )

    def stamped_by(self, server: str) -> bool:
        """Whether this server has stamped every head."""
        return all(head.stamp(server) is not None for head in self.heads.waiting)

    def delivered(self, page: Page) -> Fence:
        """See `late.Mechanism`."""
        read_time, broken = page.read_time, self.broken
        heads = self.heads.settled(
            page, lambda head: passed(head, read_time) and self.lies_back(head.mark, read_time, head)
        )
        if self.pin == "release":
            forced = self.heads.settled(
                page,
                lambda head: (
                    (passed(head, read_time) or self.overdue(head, read_time))
                    and self.lies_back(head.mark, read_time, head)
                ),
            )
            if forced.watermark != heads.watermark:
                heads, broken = forced, broken + 1
        heads = heads.joined(page, "whole" if self.whole(page) else "open").over_whole()
        lost = self.fenced_off(page)
        lateness = self.lateness
        if page.found_ms is not None and lost is not None:
            lateness = lateness.observed(read_time.clock_ms - page.found_ms.cast(pl.Int64).filter(lost))
        below = self.below + (int(lost.sum()) if lost is not None else 0)
        return replace(self, heads=heads, lateness=lateness, below=below, broken=broken)

    def lies_back(self, mark: Mark, read_time: ReadTime, head: PendingHead) -> bool:
        """Whether a head is older than the lookback, and not only because the source's clock jumped ahead."""
        return not self.lookback_ms or self.back_ms(mark, read_time, head) >= self.lookback_ms

    def back_ms(self, mark: Mark, read_time: ReadTime, head: PendingHead) -> int:
        """Return how far a head lies back, by the clock that ran less."""
        if mark.cursor_ms is None:
            return head.age_ms(read_time)
        waited = head.clock_ms - mark.cursor_ms + read_time.steady_ms - head.steady_ms
        return min(read_time.clock_ms - mark.cursor_ms, waited)

    def whole(self, page: Page) -> bool:
        """Whether nothing is looked for any more between the head before the page and the page's own."""
        if page.through is None or page.head is None:
            return False
        if not self.lookback_ms:
            return True
        if page.head.cursor_ms is not None:
            return page.read_time.clock_ms - page.head.cursor_ms >= self.lookback_ms
        return float(page.head.position.cursor) <= float(page.through) - NEAR_IDS

    def fenced_off(self, page: Page) -> pl.Series | None:
        """Return which late rows of a page lie at or below a head that the fence alone would have let go; None for no row."""
        if not self.lookback_ms or page.found is None or not page.found.len():
            return None
        marks = [head.mark for head in self.heads.waiting if passed(head, page.read_time)]
        if not marks:
            return None
        if page.found_ms is not None:
            return page.found_ms <= marks[-1].cursor_ms
        return page.found.cast(pl.Float64) <= float(marks[-1].position.cursor)

    def overdue(self, head: PendingHead, read_time: ReadTime) -> bool:
        """Whether the head's first stamp has waited longer than the cap."""
        return bool(head.stamps) and read_time.steady_ms - head.stamps[0].steady_ms >= self.pin_cap_ms

    def dump(self) -> str:
        """See `late.Mechanism`."""
        return json.dumps(self.memory())

    def memory(self) -> dict[str, Any]:
        """See `late.Mechanism`."""
        kept = {"lateness": self.lateness.memory(), "below": self.below} if self.lookback_ms else {}
        return {**self.heads.memory(), **kept, "broken": self.broken}


def passed(head: PendingHead, read_time: ReadTime) -> bool:
    """Whether every writer that could add a row at or below the head has ended before this snapshot."""
    server, snapshot = read_time.server, read_time.snapshot
    if snapshot is None:
        return False
    for stamp in head.stamps:  # as `head.stamp`, which would be a call for each of many heads
        if stamp.server == server:
            return snapshot.xmin >= stamp.xid
    return False
