"""The safety net on a schedule: every view in turn is compared with its ledger, and some of its profiles with what was sent."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.core.pipeline import positions_of
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import SyncError, Unexpected
from smartico_sync.tracking.compared_span import span
from smartico_sync.tracking.mailbox import ViewTurn
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.profile_comparison import ProfileComparison
from smartico_sync.tracking.reconciliation import compare, is_time, units
from smartico_sync.tracking.redelivery import requested
from smartico_sync.tracking.row_width import until_it_fits

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.config.models import Reconcile
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.row_width import RowWidth
    from smartico_sync.tracking.session import Session

__all__ = ["ReconciliationRounds", "differing_profiles"]

TURN_S = 30.0  # how long a view may take to come to the end of what it is at
SAMPLE_ROWS = 1_000  # profiles read again each time: one page, some milliseconds
LOOK_S = 5.0  # how often the thread looks for a view that is due, at the most

log = structlog.get_logger()


class ReconciliationRounds:
    """Compares one view after the other, the one whose turn was longest ago first, so that none starves.

    `every` is by the steady clock. The first comparison of a view comes one interval after the start.
    """

    def __init__(self, loops: Sequence[ViewLoop], policy: Reconcile) -> None:
        self.policy = policy
        self.loops = {loop.name: loop for loop in loops}
        self.done = dict.fromkeys(self.loops, time.monotonic())

    def work(self, stopping: threading.Event) -> None:
        """Until the daemon ends, compare what is due."""
        every_s = (self.policy.every or 0) / 1000
        while every_s and self.done and not stopping.wait(min(LOOK_S, every_s)):
            name = min(self.done, key=self.done.__getitem__)
            if time.monotonic() - self.done[name] >= every_s:
                self.done[name] = time.monotonic()
                self.attempt(self.loops[name], stopping)

    def attempt(self, loop: ViewLoop, stopping: threading.Event) -> None:
        """Compare one view; what goes wrong is told, and tried again at its next turn."""
        try:
            compare_view(loop, self.policy.send, stopping)
        except SyncError as error:
            log.warning("view.comparison", view=loop.name, reason=error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - a net that ends quietly is none
            mistake = Unexpected(error)
            log.warning("view.comparison", view=loop.name, reason=mistake.message, hint=mistake.hint)


def compare_view(loop: ViewLoop, policy: Literal["report", "send"], stopping: threading.Event) -> None:
    """Compare a view with its ledger beside its polls; what is missing is told, or by policy sent.

    By any thread but the loop's: the loop only hands over its session's frozen parts, and takes the rows that are missing.
    """
    equipment = loop.equipment
    turn: ViewTurn[Session] = ViewTurn("a comparison", lambda session, _: session, TURN_S)
    loop.mailbox.post(turn)
    session = turn.result(loop.name, lambda: not stopping.is_set())
    row = equipment.store.view(loop.name)
    over = span(session.prepared, equipment.source, equipment.store, row) if row else None
    if row is None or over is None:
        return
    found = compare(
        session.prepared, equipment.source, equipment.store, loop.name, over, depth="counts", stopping=stopping.is_set,
        width=equipment.memory.width(loop.name),
    )  # fmt: skip
    if stopping.is_set():
        return
    if found.missing and policy == "send":
        parked = requested(loop.name, found.missing, UNACKNOWLEDGED, "found by a comparison")
        enqueue: ViewTurn[None] = ViewTurn(
            "rows found by a comparison", lambda *_: equipment.store.enqueue(loop.name, parked), TURN_S
        )
        loop.mailbox.post(enqueue)
        enqueue.result(loop.name)
    differing, looked = differing_profiles(session, row) if loop.role == "profile" else (0, 0)
    log.info(
        "view.compared", view=loop.name, source=found.source, ledger=found.ledger, missing=found.missing_rows,
        profiles=looked, differing=differing,
    )  # fmt: skip
    equipment.recorder.compared(0 if policy == "send" else found.missing_rows, differing, looked)


def differing_profiles(session: Session, row: ViewRow) -> tuple[int, int]:
    """Read some profiles again, from a random place: how many hold something else than Smartico has, and how many were read.

    Such a profile changed without moving its cursor, or its change was lost. Nothing above the watermark is looked at: it may be on its way.
    """
    equipment, relation = session.equipment, session.prepared.relation
    if row.watermark is None or not relation.key:
        return 0, 0
    width = equipment.memory.width(equipment.view.name)
    rows, clock_ms = until_it_fits(width, partial(sample, session, row.watermark, width))
    if not rows.height:
        return 0, 0
    compared = ProfileComparison(equipment.view.name, session.options, equipment.store)
    return len(compared.unlike(rows, clock_ms)), rows.height


def sample(session: Session, watermark: Position, width: RowWidth) -> tuple[pl.DataFrame, int]:
    """Some profiles from a random place on, and the source's clock."""
    relation = session.prepared.relation
    with session.equipment.source.reading(relation) as reading:
        lowest = reading.page(None, 1)
        if not lowest.height or not is_time(session.prepared):
            return lowest.clear(), 0
        ends = (units(session.prepared, lowest.get_column("@cursor")[0]), units(session.prepared, watermark.cursor))
        begin = random.randint(min(ends), max(ends))  # noqa: S311 - spreads samples, guards nothing
        keys = reading.keys(reading.moment(begin), watermark.cursor, width.fitting(SAMPLE_ROWS, PAGE_BYTES))
        return (reading.rows(positions_of(keys)) if keys.height else lowest.clear()), reading.clock_ms
