"""How often, and how much at once, a source is looked through for late rows after a scan has failed."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from smartico_sync.errors import SourceCancelled, SourceError
from smartico_sync.observe.finding import NEXT
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.late_scan import SCAN_ROWS
from smartico_sync.tracking.replica_time import PAUSES, ReplicaTime

__all__ = ["ScanPace"]

FEWEST_ROWS = 100  # keys at once: to find so few by the cursor takes milliseconds wherever a view can be polled at all
FEWER = 8  # a few tries come from a window that takes minutes to one that takes seconds


class ScanPace(Struct):
    """For as long as the process lives: what failed ends the session, and a new one must not scan again at once.

    `rows`: keys asked for at once. `next_ms`: no scan is made before (steady). `trouble`: why the last one did not end.
    Used by the view's own loop only.
    """

    view: str = ""
    replica: ReplicaTime = field(default_factory=ReplicaTime)
    rows: int = SCAN_ROWS
    next_ms: int = 0
    trouble: str = ""

    @property
    def waits(self) -> bool:
        """Whether polls go on without a scan for now."""
        return steady_ms() < self.next_ms

    def ended(self, began_ms: int, extent: Literal["full", "recent"]) -> int:
        """A scan that was begun then came to its end; what it is charged with, ms."""
        if extent == "full":
            self.trouble = ""
        took = steady_ms() - began_ms
        return self.replica.charged("late rows", self.view, took, "all" if extent == "full" else "a part")

    def failed(self, error: SourceError, began_ms: int, window: int) -> None:
        """A scan of so many keys failed. Polls go on without it for a while; what the server ended is asked for in smaller parts then."""
        now = steady_ms()
        charged = self.replica.charged("late rows", self.view, now - began_ms, "a part")
        self.next_ms = now + charged * PAUSES["late rows"]
        if isinstance(error, SourceCancelled):
            self.rows = max(FEWEST_ROWS, min(self.rows, window) // FEWER)
            self.trouble = (
                f"rows that commit late could not be looked for, and the watermark waits: {error.message}{NEXT}"
                f"nothing where this goes away, for less is asked for at once the next time; else {error.hint or 'see the log of the database'}"
            )
