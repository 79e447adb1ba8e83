"""Rows that stand behind what a view has read: a comparison knows nothing of them, and they are not accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.cli.status import current
from smartico_sync.core.cursor_time import now_ms
from smartico_sync.errors import SyncError
from smartico_sync.state.place import FilePlace
from smartico_sync.tracking.view_start import just_before

if TYPE_CHECKING:
    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["COUNTED", "At", "unread", "work_on"]

COUNTED = 10_000  # rows behind the head; more are not counted
At = Literal[
    "work",  # what is new is read within a moment: it is on its way, and no finding
    "rest",  # nobody works with the state
    "trouble",  # a daemon does, and does not read this view now
]


def work_on(context: OperatorContext, view: View) -> At:
    """Whether somebody reads this view now. Of a state that another machine may work with nobody here can say that nobody does."""
    try:
        told = current(context)
    except SyncError:
        return "work"
    states = {each["name"]: each["state"] for each in told["views"]}
    if told["ready"] == "not running":
        return "rest" if isinstance(context.state, FilePlace) else "work"
    return "trouble" if states.get(view.name) in ("halted", "regressed", "degraded") else "work"


def unread(source: Source, prepared: PreparedView, view: View, row: ViewRow | None) -> int:
    """How many rows the view would read that stand behind its head, up to COUNTED of them and one more."""
    head = None if row is None else row.head
    if row is None and view.start_from == "now":
        return 0
    if row is None and view.start_from != "first":
        head = just_before(view, prepared, source)
    relation = prepared.relation
    with source.reading(relation) as reading:
        bound = None
        if relation.dated:
            bound = reading.moment(now_ms(relation, reading.clock_ms) + view.future_tolerance)
        top = reading.head(bound)
        if top is None:
            return 0
        low = None if head is None else head.cursor
        return min(reading.keys(low, top, COUNTED + 1, head).height, COUNTED + 1)
