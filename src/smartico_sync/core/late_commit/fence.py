"""The delayed fence: PostgreSQL's transaction ids say when nothing can still appear below a head.

The promise rests on three assumptions. Cursor values are given out in order (a sequence without CACHE, or one clock).
A writer's first change follows within `settle_ms` after it took its value. Its snapshot names the next
transaction id, and its clock stands still while a replica's replay does. Then, `settle_ms` after a head was seen, every
writer that could still add a row below it has a transaction id below the next one: that is the stamp. When a later
snapshot's xmin has reached the stamp, all of them have ended, and a key scan in that very snapshot sees their rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.late_commit.pending_heads import PendingHead, PendingHeads, recall

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Pace, Page, ReadTime
    from smartico_sync.core.position import Position

__all__ = ["PIN_CAP_MS", "SETTLE_MS", "Fence", "PinPolicy"]

SETTLE_MS = 2_000  # an ORM takes its id milliseconds before the insert; two seconds forgive a pause of the writer
PIN_CAP_MS = 3_600_000  # an hour: longer than any sane transaction, short enough for the memory of its window

PinPolicy = Literal[
    "wait",  # the watermark stays as long as a writer stays open: nothing is lost, memory grows by 8 bytes a row
    "release",  # after the cap it moves on, and that counts as a broken promise
]


@dataclass(frozen=True, slots=True)
class Fence:
    """See `late.Mechanism`. `broken` counts moves of the watermark that the cap forced; reconcile finds what they hid."""

    heads: PendingHeads = field(default_factory=PendingHeads)
    settle_ms: int = SETTLE_MS
    pin: PinPolicy = "wait"
    pin_cap_ms: int = PIN_CAP_MS
    broken: int = 0
    aim: PendingHead | None = None
    safe_upper_bound: str | None = None
    name: Literal["fence"] = "fence"

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
    ) -> Fence:
        """Begin from what the state holds, whichever mechanism wrote it. Stamps do not survive a restart."""
        recalled = recall(memory)
        heads = PendingHeads.start(read_time, watermark, head, recalled, seq)
        return cls(heads, settle_ms, pin, pin_cap_ms, broken=int(recalled.get("broken", 0)))

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
        stamped = [head.stamped_ms for head in self.heads.waiting if head.stamp is not None]
        return read_time.steady_ms - min(stamped) if stamped else 0

    def with_target(self, read_time: ReadTime, source_head: Mark | None) -> Fence:
        """See `late.Mechanism`. The aim becomes the safe_upper_bound when its own stamp is reached."""
        if source_head is None:
            return replace(self, aim=None, safe_upper_bound=None)
        if self.aim is not None:
            return self
        return replace(self, aim=PendingHead(source_head, 0, read_time.steady_ms, read_time.clock_ms))

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[Fence, KeyScan | None]:
        """See `late.Mechanism`. Stamps the heads that have settled."""
        heads = replace(self.heads, waiting=tuple(self.stamped(head, read_time) for head in self.heads.waiting))
        aim = self.aim and self.stamped(self.aim, read_time)
        # Asked of each snapshot anew: a pool of replicas may answer from one that is further back.
        safe_upper_bound = aim.mark.position.cursor if aim and passed(aim, read_time) else None
        return replace(self, heads=heads, aim=aim, safe_upper_bound=safe_upper_bound), heads.scan(read_time, pace)

    def stamped(self, head: PendingHead, read_time: ReadTime) -> PendingHead:
        """Stamp the head if it has waited long enough.

        Both clocks must agree: a steady one alone runs on while replay stands still, the source's alone may jump. The
        wait counts from the head's own time when that lies ahead: until then any writer may still take a lower one.
        """
        if head.stamp is not None or read_time.snapshot is None:
            return head
        seen = min(head.clock_ms, read_time.clock_ms)  # a clock that was set back starts the wait again
        from_ms = seen if head.mark.cursor_ms is None else max(seen, head.mark.cursor_ms)
        waited = min(read_time.steady_ms - head.steady_ms, read_time.clock_ms - from_ms)
        if waited < self.settle_ms:
            return head if seen == head.clock_ms else replace(head, clock_ms=seen)
        return replace(head, stamp=read_time.snapshot.xmax, stamped_ms=read_time.steady_ms)

    def delivered(self, page: Page) -> Fence:
        """See `late.Mechanism`."""
        heads = self.heads.settled(page, lambda head: passed(head, page.read_time))
        broken = self.broken
        if self.pin == "release":
            forced = self.heads.settled(
                page, lambda head: passed(head, page.read_time) or self.overdue(head, page.read_time)
            )
            if forced.watermark != heads.watermark:
                heads, broken = forced, broken + 1
        heads = heads.joined(page, "open" if page.through is None else "whole").over_whole()
        return replace(self, heads=heads, broken=broken)

    def overdue(self, head: PendingHead, read_time: ReadTime) -> bool:
        """Whether the head's stamp has waited longer than the cap."""
        return head.stamp is not None and read_time.steady_ms - head.stamped_ms >= self.pin_cap_ms

    def dump(self) -> str:
        """See `late.Mechanism`."""
        return json.dumps({**self.heads.memory(), "broken": self.broken})


def passed(head: PendingHead, read_time: ReadTime) -> bool:
    """Whether every writer that could add a row at or below the head has ended before this snapshot."""
    return head.stamp is not None and read_time.snapshot is not None and read_time.snapshot.xmin >= head.stamp
