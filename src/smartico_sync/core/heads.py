"""The heads between watermark and head that wait for their time, and the pace at which their window is scanned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.late import KeyScan, Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.late import AskIds, Moment, Pace, Page

__all__ = ["Heads", "Waiting"]

WAITING = 64  # enough to keep the spacing near a tenth of each head's age; every one costs a comparison a reading
RECENT_MS = 5_000  # most late rows come within seconds: this much is scanned in every reading
SHARE = 10  # full scans take at most a tenth of the time
BEHIND_MS = 10_000  # a backlog wants throughput; its stragglers can wait this long


@dataclass(frozen=True, slots=True)
class Waiting:
    """A head since it was first seen. `page`: whole when everything up to the head was already closed in the very
    snapshot its page was read from, so that no rescan can add anything; else open. `stamp` and `stamped_ms`: the fence's.
    """

    mark: Mark
    steady_ms: int
    clock_ms: int
    page: Literal["open", "whole"] = "open"
    stamp: int | None = None
    stamped_ms: int = 0


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads in the order in which they were committed, oldest first; `watermark` lies below all of them."""

    watermark: Mark | None = None
    waiting: tuple[Waiting, ...] = ()
    scanned_ms: int | None = None
    cost_ms: int = 0

    def scan(self, moment: Moment, pace: Pace) -> KeyScan | None:
        """The key scan that is due: full when its cost allows, else of the recent heads only; None when none is."""
        if pace == "busy" or not self.waiting:
            return None
        upto = self.waiting[-1].mark
        pause = self.cost_ms * SHARE
        if pace == "behind":
            pause = max(pause, BEHIND_MS)
        started = self.waiting[0].steady_ms if pace == "behind" else None
        last = started if self.scanned_ms is None else self.scanned_ms
        if last is None or moment.steady_ms - last >= pause:
            return KeyScan(self.watermark.position if self.watermark else None, upto, "full")
        if pace == "behind":
            return None
        old = [head for head in self.waiting if moment.steady_ms - head.steady_ms >= RECENT_MS]
        if not old:
            return KeyScan(self.watermark.position if self.watermark else None, upto, "full")
        if old[-1].mark is upto:
            old.pop()
        return KeyScan(old[-1].mark.position, upto, "recent") if old else None

    def delivered(self, page: Page, state: Literal["open", "whole"], ready: Callable[[Waiting], bool]) -> Heads:
        """A page and its scan were acknowledged: the watermark moves to the newest head that is ready and was scanned
        in full, then over the whole pages that follow it; the page's own head joins the queue."""
        heads = self.scanned(page.moment, page.scan, page.cost_ms)
        if isinstance(page.scan, KeyScan) and page.scan.extent == "full":
            covered = page.scan.upto.seq
            settled = [i for i, head in enumerate(heads.waiting) if head.mark.seq <= covered and ready(head)]
            if settled:
                heads = heads.moved(settled[-1] + 1)
        if page.head is not None:
            head = Waiting(page.head, page.moment.steady_ms, page.moment.clock_ms, state)
            heads = replace(heads, waiting=(*heads.waiting, head))
        return heads.over_whole().thinned(page.moment.steady_ms)

    def scanned(self, moment: Moment, scan: KeyScan | AskIds | None, cost_ms: int) -> Heads:
        """Remember what a full scan cost."""
        if isinstance(scan, KeyScan) and scan.extent == "full":
            return replace(self, scanned_ms=moment.steady_ms, cost_ms=cost_ms)
        return self

    def moved(self, count: int) -> Heads:
        """The watermark at the `count`-th waiting head."""
        if not count:
            return self
        return replace(self, watermark=self.waiting[count - 1].mark, waiting=self.waiting[count:])

    def over_whole(self) -> Heads:
        """The watermark moves over the whole pages that follow it without anything open in between."""
        count = 0
        while count < len(self.waiting) and self.waiting[count].page == "whole":
            count += 1
        return self.moved(count)

    def thinned(self, steady_ms: int) -> Heads:
        """At most WAITING heads. Those go whose absence is felt least for their age; never the last one."""
        waiting = list(self.waiting)
        while len(waiting) > WAITING:
            times = [head.steady_ms for head in waiting]
            before = [times[0], *times]
            least = min(
                range(len(waiting) - 1),
                key=lambda i: (times[i + 1] - before[i]) / (1 + steady_ms - times[i]),
            )
            dropped = waiting.pop(least)
            if dropped.page == "open" and waiting[least].page == "whole":
                waiting[least] = replace(waiting[least], page="open")
        return replace(self, waiting=tuple(waiting))
