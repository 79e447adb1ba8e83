"""The heads between watermark and head that wait for their time, and the pace at which their window is scanned."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Rescan
from smartico_sync.errors import StateDamaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.late_commit.mechanism import Pace, Page, ReadTime
    from smartico_sync.core.position import Position

__all__ = ["BEHIND_MS", "PendingHead", "PendingHeads", "Stamp", "recall"]

WAITING = 64  # keeps their spacing near a tenth of each head's age; every one costs a comparison a reading
RECENT_MS = 5_000  # most late rows come within seconds: this much is scanned in every reading
FULL_EVERY_MS = (
    5_000  # what comes later than that can wait as long again; a window of minutes costs more than the poll itself
)
SHARE = 10  # scans take at most a tenth of the time, full and recent ones together
RECENT_SHARE = (
    20  # and recent ones at most half of that, so that the full ones, which move the watermark, come to their turn
)
BEHIND_MS = 10_000  # a backlog wants throughput; its late rows can wait this long


class Stamp(Struct, frozen=True):
    """The transaction id that a server would give out next when a head had settled there; of no meaning on another server."""

    server: str
    xid: int
    steady_ms: int


class PendingHead(Struct, frozen=True):
    """A head since it was first seen, on both clocks; `clock_ms` is that of `server`.

    `page`: whole when everything between the head before and this one was already closed in the snapshot its page was
    read from, so that no rescan can add to it. `stamps` belong to the fence.
    """

    mark: Mark
    number: int
    steady_ms: int
    clock_ms: int
    page: Literal["open", "whole"] = "open"
    server: str = ""
    stamps: tuple[Stamp, ...] = ()

    def stamp(self, server: str) -> Stamp | None:
        """Return the stamp that this server gave."""
        for stamp in self.stamps:  # no generator: every poll asks it of every head, several times
            if stamp.server == server:
                return stamp
        return None

    def seen_ms(self, read_time: ReadTime) -> int:
        """Return the clock from which the head's wait counts, for this reading's server.

        A clock that was set back starts the wait again. A server that is further back has not heard of the head yet: there
        the wait begins when its clock has come to where the head was seen.
        """
        return min(self.clock_ms, read_time.clock_ms) if self.server == read_time.server else self.clock_ms

    def age_ms(self, read_time: ReadTime) -> int:
        """Return how long the head has waited, by the clock that ran less."""
        return min(read_time.steady_ms - self.steady_ms, read_time.clock_ms - self.seen_ms(read_time))


class PendingHeads(Struct, frozen=True):
    """Heads in the order in which they were committed, oldest first; `watermark` lies below all of them.

    `scanned_ms`: when the last full scan was read; `cost_ms`: what it took, with all recent ones since. `recent_ms`: when the
    last recent one was read, and `recent_cost_ms` what that took.
    """

    watermark: Mark | None = None
    since: int = 0
    waiting: tuple[PendingHead, ...] = ()
    number: int = 0
    scanned_ms: int | None = None
    cost_ms: int = 0
    recent_ms: int = 0
    recent_cost_ms: int = 0

    @classmethod
    def start(
        cls, read_time: ReadTime, watermark: Position | None, head: Position | None, memory: dict[str, Any], seq: int
    ) -> Self:
        """Begin from what the state holds; what lies between watermark and head waits again from now on.

        `seq`: the newest ledger sequence. Without memory nothing of the ledger is known, and what is scanned goes again.
        On another server than before the wait does not begin before its clock is where the head was seen.
        """
        since = int(memory.get("since", seq))
        mark = None if watermark is None else Mark(watermark, since, None)
        waiting: tuple[PendingHead, ...] = ()
        if head is not None and head != watermark:
            clock, server = memory.get("seen", (read_time.clock_ms, read_time.server))
            kept = PendingHead(Mark(head, seq, memory.get("head_ms")), 1, read_time.steady_ms, clock, server=server)
            waiting = (kept if server != read_time.server else replace(kept, clock_ms=read_time.clock_ms),)
        return cls(mark, since, waiting, number=len(waiting))

    @property
    def last(self) -> Mark | None:
        """Return the newest committed head."""
        return self.waiting[-1].mark if self.waiting else self.watermark

    def memory(self) -> dict[str, Any]:
        """Return what `start` needs to begin again."""
        seen = {"seen": (self.waiting[-1].clock_ms, self.waiting[-1].server)} if self.waiting else {}
        return {"since": self.since, "head_ms": self.last.cursor_ms if self.last else None, **seen}

    def scan(self, now: int, pace: Pace) -> KeyScan | None:
        """Return the key scan that is due now (steady ms): full when its cost allows, else of the recent heads; None when none is.

        A scan that took two seconds is not repeated for eighteen: a replica has other readers. So it is found late what such
        a scan would find, and never less than that is found, since the watermark waits for the full scan. Where nothing new
        has come for a while, nothing recent is there to be scanned.
        """
        if pace == "busy" or not self.waiting:
            return None
        oldest_ms = self.waiting[0].steady_ms
        last, pause = self.scanned_ms, self.cost_ms * SHARE
        if pace == "behind":
            last, pause = oldest_ms if last is None else last, max(pause, BEHIND_MS)
        elif now - oldest_ms >= RECENT_MS:
            pause = max(pause, FULL_EVERY_MS)
        if last is None or now - last >= pause:
            return self.upto_newest(self.watermark, "full")
        quiet = now - self.waiting[-1].steady_ms >= RECENT_MS
        if pace == "behind" or quiet or now - self.recent_ms < self.recent_cost_ms * RECENT_SHARE:
            return None
        old = next((head.mark for head in self.waiting[-2::-1] if now - head.steady_ms >= RECENT_MS), None)
        return self.upto_newest(old, "recent") if old else None

    def due_ms(self, now_ms: int) -> float:
        """Return when (steady) `scan` is to be asked next, if no head is added: at once while there are recent ones."""
        if not self.waiting:
            return math.inf
        if self.scanned_ms is None or now_ms - self.waiting[-1].steady_ms < RECENT_MS:
            return now_ms
        return self.scanned_ms + max(self.cost_ms * SHARE, FULL_EVERY_MS)

    def repeated(self, now_ms: int, remaining_ms: Callable[[PendingHead], int]) -> Rescan | None:
        """Return the full scan, where nothing recent is to be scanned. `remaining_ms`: for how long a head cannot be ready yet."""
        if not self.waiting or self.scanned_ms is None or now_ms - self.waiting[-1].steady_ms < RECENT_MS:
            return None
        until = now_ms + min(remaining_ms(head) for head in self.waiting)
        every = max(self.cost_ms * SHARE, FULL_EVERY_MS)
        scan = self.upto_newest(self.watermark, "full")
        return Rescan(scan, self.scanned_ms + every, every, until, self.cost_ms) if until > now_ms else None

    def upto_newest(self, after: Mark | None, extent: Literal["full", "recent"]) -> KeyScan:
        """Return the scan from a mark to the newest head."""
        newest = self.waiting[-1]
        head = newest.mark.position
        return KeyScan(after.position if after else None, head.cursor, extent, newest.number, head.key)

    def joined(self, page: Page, state: Literal["open", "whole"]) -> PendingHeads:
        """Let the page's head wait."""
        if page.head is None:
            return self
        number = self.number + 1
        read_time = page.read_time
        head = PendingHead(page.head, number, read_time.steady_ms, read_time.clock_ms, state, read_time.server)
        return replace(self, waiting=(*self.waiting, head), number=number).thinned(page.read_time.steady_ms)

    def settled(self, page: Page, ready: Callable[[PendingHead], bool]) -> PendingHeads:
        """Move the watermark to the newest head that is ready and that the page's full scan covered."""
        scan = page.scan
        if not isinstance(scan, KeyScan):
            return self
        if scan.extent != "full":
            cost = self.cost_ms + page.cost_ms
            return replace(self, recent_ms=page.read_time.steady_ms, recent_cost_ms=page.cost_ms, cost_ms=cost)
        heads = replace(self, scanned_ms=page.read_time.steady_ms, cost_ms=page.cost_ms)
        covered = [i for i, head in enumerate(self.waiting) if head.number <= scan.number and ready(head)]
        return heads.moved(covered[-1] + 1) if covered else heads

    def over_whole(self) -> PendingHeads:
        """Move the watermark over the whole pages that follow it with nothing open in between."""
        count = 0
        while count < len(self.waiting) and self.waiting[count].page == "whole":
            count += 1
        return self.moved(count)

    def moved(self, count: int) -> PendingHeads:
        """Move the watermark to the `count`-th waiting head."""
        if not count:
            return self
        mark = self.waiting[count - 1].mark
        return replace(self, watermark=mark, since=max(self.since, mark.seq), waiting=self.waiting[count:])

    def thinned(self, steady_ms: int) -> PendingHeads:
        """Keep at most WAITING heads: those go whose absence is felt least for their age, never the first or last."""
        waiting = list(self.waiting)
        while len(waiting) > WAITING:
            times = [head.steady_ms for head in waiting]
            neighbours = zip(times, times[1:], times[2:], strict=False)
            felt = [(after - before) / (1 + steady_ms - at) for before, at, after in neighbours]
            least = felt.index(min(felt)) + 1
            # What the dropped head covered now belongs to the next one, which is whole only if both were.
            if waiting.pop(least).page == "open":
                waiting[least] = replace(waiting[least], page="open")
        return replace(self, waiting=tuple(waiting))


def recall(text: str) -> dict[str, Any]:
    """Read a dump; empty text is an empty memory. Raises StateDamaged."""
    try:
        memory = json.loads(text) if text else {}
    except ValueError:
        memory = None
    if not isinstance(memory, dict):
        raise StateDamaged(
            "what the state remembers of late rows cannot be read",
            hint="restore a backup of the state, or: smartico-sync watermark rewind VIEW --to …",
        )
    return memory
