"""Rows that no page returns, because their cursor or a part of their key is NULL: counted beside the polls, where it costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.errors import SourceError
from smartico_sync.observe.finding import NEXT
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.replica_time import PAUSES

if TYPE_CHECKING:
    from smartico_sync.config.models import View
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import NullScan, Source
    from smartico_sync.tracking.replica_time import ReplicaTime

__all__ = ["NullCounts"]

EVERY_MS = 60_000  # a NULL cursor is a mistake that waits for a person anyway
RARELY_MS = 3_600_000  # where whole columns are read for it
PATIENCE_MS = 5_000  # of the server: a count is worth no more, and every hour that is a thousandth of the time, too


class NullCounts(Struct):
    """What was counted last, for as long as the process lives. Used by the view's own loop only.

    NULL cursors are counted each minute where an index finds them, else each hour; NULL keys each hour. `trouble`: why a count
    did not end. `cost_ms`: with which the last count of cursors was charged.
    """

    cursors: int = 0
    keys: int = 0
    trouble: str = ""
    scan: NullScan = "unknown"
    next_cursors_ms: int = 0
    next_keys_ms: int = 0
    cost_ms: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.cursors + self.keys

    @property
    def cheap(self) -> bool:
        """Whether cursors may be counted each minute, whoever counts them."""
        return self.cost_ms * PAUSES["nulls"] <= EVERY_MS

    def count(self, source: Source, relation: Relation, view: View, replica: ReplicaTime) -> None:
        """Count what is due, in a reading of its own: what goes wrong there is told, and is no trouble of the view.

        Where nothing finds NULLs cheaply they are counted only for a view that does something about them.
        """
        now = steady_ms()
        cursors, keys = now >= self.next_cursors_ms, now >= self.next_keys_ms
        if not cursors and not keys:
            return
        if keys:
            self.next_keys_ms = now + RARELY_MS
        if cursors:
            self.next_cursors_ms = now + RARELY_MS  # also when the count does not end
        try:
            with source.reading(relation) as reading:
                if keys:
                    self.scan = reading.null_scan()
                if self.scan == "not at all" and view.on_null_cursor == "report":
                    return
                if cursors:
                    began = steady_ms()
                    self.cursors = reading.null_cursors("cursor", PATIENCE_MS)
                    self.cost_ms = replica.charged("nulls", view.name, steady_ms() - began)
                    rarely = self.scan in ("by reading all", "not at all")
                    pause = min(max(EVERY_MS, self.cost_ms * PAUSES["nulls"]), RARELY_MS)
                    self.next_cursors_ms = began + (RARELY_MS if rarely else pause)
                if keys:
                    self.keys = reading.null_cursors("key", PATIENCE_MS)
            self.trouble = ""
        except SourceError as error:
            self.trouble = f"rows with a NULL {view.cursor} or key could not be counted: {error.message}"

    def warning(self, view: View) -> str:
        """What a person should know of them; empty when there is nothing."""
        if self.rows and view.on_null_cursor != "send":
            return f"{self.rows} rows have a NULL {view.cursor} or key and are never sent{NEXT}fill it, or see `on_null_cursor`"
        return self.trouble
