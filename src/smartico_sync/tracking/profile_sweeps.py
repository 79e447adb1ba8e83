"""Profiles that are made of several tables are all read again now and then: what changes in one table alone moves no cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from smartico_sync.errors import SyncError, Unexpected
from smartico_sync.tracking.backfill import RATE
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.mailbox import ViewTurn

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from smartico_sync.config.models import View
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.session import Session

__all__ = ["ProfileSweeps"]

LOOK_S = 60.0  # how often the thread looks for a view that is due, at the most
TURN_S = 30.0  # how long a view may take to come to the end of what it is at

log = structlog.get_logger()


class ProfileSweeps:
    """Asks for a backfill of all profiles, of which only changed ones are sent, when the last one is long ago.

    A sweep is a backfill like any other: at its rate, beside the view's own rows, gone on with after a restart, cancelled and
    shown as one. `wake` has the backfills looked at.
    """

    def __init__(self, loops: Sequence[ViewLoop], store: Store, wake: Callable[[], None]) -> None:
        self.loops = [loop for loop in loops if loop.role == "profile" and loop.equipment.view.sweep is not None]
        self.store, self.wake = store, wake

    def work(self, stopping: threading.Event) -> None:
        """Until the daemon ends, begin what is due."""
        every_s = min((loop.equipment.view.sweep or 0 for loop in self.loops), default=0) / 1000
        while self.loops and not stopping.wait(min(LOOK_S, every_s)):
            for loop in self.loops:
                self.attempt(loop, stopping)

    def attempt(self, loop: ViewLoop, stopping: threading.Event) -> None:
        """Begin the sweep of one view if it is due; what goes wrong is told, and tried again."""
        try:
            if self.due(loop):
                self.begin(loop, stopping)
        except SyncError as error:
            log.warning("view.sweep", view=loop.name, reason=error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - a net that ends quietly is none
            mistake = Unexpected(error)
            log.warning("view.sweep", view=loop.name, reason=mistake.message, hint=mistake.hint)

    def due(self, loop: ViewLoop) -> bool:
        """Whether all profiles were sent or read again longer ago than `sweep`, and nothing of the kind is under way."""
        row, every = self.store.view(loop.name), loop.equipment.view.sweep
        if row is None or every is None or not row.level_ms or row.watermark is None:
            return False
        mine = [each for each in self.store.backfills() if each.view == loop.name]
        last = max((each.asked_ms for each in mine if each.profiles == "changed"), default=row.level_ms)
        # Long ago, or ahead of a clock that was set back.
        return abs(now_ms() - last) >= every and not any(each.state == "open" for each in mine)

    def begin(self, loop: ViewLoop, stopping: threading.Event) -> None:
        """Have everything up to the watermark read again."""
        turn: ViewTurn[Session] = ViewTurn("a sweep", lambda session, _: session, TURN_S)
        loop.mailbox.post(turn)
        prepared = turn.result(loop.name, lambda: not stopping.is_set()).prepared
        row = self.store.view(loop.name)
        if not wanted(loop.equipment.view, prepared) or row is None or row.watermark is None:
            return
        high = row.watermark.cursor
        with loop.equipment.source.reading(prepared.relation) as reading:
            first = reading.keys(None, high, 1)
        if not first.height:
            return
        low = first.get_column("@cursor")[0]
        self.store.add_backfill(loop.name, low=low, high=high, rate=RATE, profiles="changed", total=0, at_ms=now_ms())
        log.info("view.sweep", view=loop.name, rate=RATE)
        self.wake()


def wanted(view: View, prepared: PreparedView) -> bool:
    """Whether the view is swept: one that is made of several tables, or for which the configuration says so."""
    return prepared.definition.several_tables or "sweep" in view.model_fields_set
