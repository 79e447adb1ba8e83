"""Whether what a view is about to read was delivered before, for another view of the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.errors import ViewMisconfigured
from smartico_sync.tracking.anchor_lookup import look_up, prints
from smartico_sync.tracking.row_width import portions
from smartico_sync.tracking.view_identity import definition_of, recorded, where

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.definition import Definition
    from smartico_sync.core.position import Position
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["refuse_known_relation"]


def refuse_known_relation(
    configuration: Configuration, view: View, prepared: PreparedView, source: Source, store: Store
) -> None:
    """Make sure that a view that begins sends nothing that this state has sent for another one. Raises ViewMisconfigured.

    A relation is known by its name, and by most of the rows that were delivered last, whatever it is called. Views that
    begin in the same run are not compared: their configuration was written in one piece. `prepared`: under the state's secret.
    """
    if view.on_known_relation == "send" or view.start_from == "now" or not store.begun_before:
        return
    defined = definition_of(configuration, view, prepared.mapping)
    for row in store.views():
        if row.blank or row.view not in store.begun_before:
            continue
        before = recorded(row)
        if not set(before.event_types) & set(defined.event_types) or before.brand != defined.brand:
            continue
        named = (before.place, before.relation, before.query) == (defined.place, defined.relation, defined.query)
        if not named and not holds_rows_of(row.view, before, defined, prepared, source, store):
            continue
        configured = any(each.name == row.view for each in configuration.views)
        adopt = (
            ""
            if configured
            else f"for a view that was renamed: smartico-sync watermark adopt {view.name} --from {row.view}; "
        )
        raise ViewMisconfigured(
            f"view {view.name}: this state has sent the rows of {where(view)} for view {row.view}; from the first row on they would "
            "be sent again under new event ids, and count twice",
            hint=f"{adopt}for what comes from now on: `start_from: now`; to send it all again all the same: `on_known_relation: send`",
        )


def holds_rows_of(
    name: str, before: Definition, defined: Definition, prepared: PreparedView, source: Source, store: Store
) -> bool:
    """Whether most of the rows that were delivered last for a view of the state stand in the relation of another one."""
    anchors = store.anchors(name)
    if not anchors or before.key != defined.key or not (defined.key or before.cursor == defined.cursor):
        return False
    with source.reading(prepared.relation) as reading:
        if before.cursor == defined.cursor:
            return 2 * len(look_up(reading, prepared, anchors).gone) < len(anchors)
        # Read in another order they stand elsewhere, and are the same rows.
        there: dict[tuple[Position, int], int] = {}
        for some in portions(list({anchor.position.key for anchor in anchors}), None):
            there |= prints(prepared, reading.by_key(some))
    same = {(position.key, mark) for position, mark in there}
    return 2 * sum((anchor.position.key, anchor.print) in same for anchor in anchors) > len(anchors)
