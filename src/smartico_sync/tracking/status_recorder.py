"""What one tracker tells the board."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smartico_sync.observe.view_status import BackfillStatus, State, StatusBoard, ViewStatus
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.config.models import View
    from smartico_sync.core.records import Commit, ViewRow
    from smartico_sync.errors import SyncError
    from smartico_sync.tracking.page_reader import PageReader, Read
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["StatusRecorder"]


class StatusRecorder:
    """The status of one view, published at every change of state. Thread-safe."""

    def __init__(self, view: View, board: StatusBoard) -> None:
        self.board = board
        self.lock = threading.RLock()
        self.status = ViewStatus(view.name, view.kind, view.source, view.cursor, view.every, view.max_age)
        self.read_before = 0
        self.board.publish(self.status)

    def change(self, **fields: Any) -> None:
        """Replace some of the status."""
        with self.lock:
            self.status = replace(self.status, **fields)

    def opened(self, prepared: PreparedView, row: ViewRow) -> None:
        """The view is described and its state is read."""
        self.read_before = row.counts.get("read", 0)
        self.change(
            head=row.head.cursor if row.head else "",
            watermark=row.watermark.cursor if row.watermark else "",
            counts=dict(row.counts),
            late_commit=f"{prepared.choice.mechanism or 'none'}: {prepared.choice.why}",
            warnings=(prepared.choice.problem,) if prepared.choice.problem else (),
        )

    def read(self, read: Read, late: PageReader) -> None:
        """A reading brought something, or nothing."""
        tie = 0
        if read.page.height:
            cursors = read.page.get_column("@cursor")
            tie = int((cursors == cursors[-1]).sum())
        self.change(
            late=late.seen(read.read_time),
            ahead=len(late.ahead),
            largest_tie=max(self.status.largest_tie, tie),
            skew_ms=read.read_time.clock_ms - now_ms(),
        )

    def committed(self, commit: Commit) -> None:
        """A commit was written."""
        with self.lock:
            counts = dict(self.status.counts)
            for name, count in commit.counts.items():
                counts[name] = counts.get(name, 0) + count
            self.change(
                counts=counts,
                head=commit.head.cursor if commit.head else self.status.head,
                watermark=commit.watermark.cursor if commit.watermark else self.status.watermark,
            )

    def letters(self, parked: Mapping[int, int], dead: Mapping[int, int]) -> None:
        """So many rows wait and were given up, by reason code."""
        self.change(parked=dict(parked), dead=dict(dead))

    def inspected(self, *, null_cursors: int, warnings: tuple[str, ...]) -> None:
        """What was looked at beside the polls."""
        self.change(null_cursors=null_cursors, warnings=warnings)

    def broken(self, invalid: Mapping[str, int]) -> None:
        """So many values broke a rule of the catalogue, by property."""
        if invalid:
            with self.lock:
                self.change(invalid=dict(Counter(self.status.invalid) + Counter(invalid)))

    def mutated(self, rows: int) -> None:
        """So many delivered rows were found changed."""
        self.change(mutated=self.status.mutated + rows)

    def compared(self, missing: int) -> None:
        """The source was compared with the ledger; so many rows are not in it."""
        self.change(missing=missing, compared_ms=now_ms())
        self.board.publish(self.status)

    def backfilled(self, backfill: BackfillStatus | None) -> None:
        """So far the view's history has come; None when none is being sent."""
        self.change(backfill=backfill)
        self.board.publish(self.status)

    def state(self, state: State, error: SyncError | None = None) -> None:
        """Say how the view does now."""
        now, before = now_ms(), self.status
        done = before.counts.get("read", 0)
        seconds = max(0.001, (now - before.last_poll_ms) / 1000)
        rate = (done - self.read_before) / seconds if before.last_poll_ms else 0.0
        self.read_before = done
        told = error if state != "live" else None
        self.change(
            state=state,
            last_poll_ms=now,
            last_success_ms=now if state in ("live", "behind") else before.last_success_ms,
            per_second=max(0.0, rate),
            lag_ms=0 if state == "live" else now - (before.last_success_ms or now),
            error=told.message if told else "",
            hint=told.hint if told else "",
            error_ms=now if told else 0,
        )
        self.board.publish(self.status)
