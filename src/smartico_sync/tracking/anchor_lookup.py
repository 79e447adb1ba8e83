"""The rows delivered last, looked up in the source: which of them are gone, and where the source ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.cursor_time import cursor_ms
from smartico_sync.core.events import POSITION
from smartico_sync.core.ledger_keys import may_move
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import anchor_print, position_at
from smartico_sync.tracking.row_width import portions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Anchor
    from smartico_sync.core.restore_detection import Highest
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.row_width import RowWidth

__all__ = ["Lookup", "highest", "look_up", "prints"]


class Lookup(Struct, frozen=True):
    """The anchors that are `gone`, and the `keys` by which rows were looked for that may have moved."""

    gone: Sequence[Anchor] = ()
    keys: tuple[tuple[str, ...], ...] = ()


def look_up(
    reading: Reading, prepared: PreparedView, anchors: Sequence[Anchor], width: RowWidth | None = None
) -> Lookup:
    """Which anchors do not exist, as the same rows. Where the cursor is a time they may have moved up when they were updated."""
    same: dict[tuple[Position, int], int] = {}
    for some in portions(anchors, width):
        same |= prints(prepared, reading.rows(anchor.position for anchor in some))
    gone = [anchor for anchor in anchors if (anchor.position, anchor.print) not in same]
    moves = prepared.relation.key and (prepared.mapping.kind.role == "profile" or may_move(prepared.mapping))
    if not moves or not gone:
        return Lookup(gone)
    moved: dict[tuple[tuple[str, ...], int], int] = {}
    keys = tuple(dict.fromkeys(anchor.position.key for anchor in gone))
    for some_keys in portions(keys, width):
        for (position, mark), at_ms in prints(prepared, reading.by_key(some_keys)).items():
            moved[position.key, mark] = max(at_ms, moved.get((position.key, mark), at_ms))
    return Lookup(
        [anchor for anchor in gone if moved.get((anchor.position.key, anchor.print), -1) < anchor.cursor_ms], keys
    )


def prints(prepared: PreparedView, rows: pl.DataFrame) -> dict[tuple[Position, int], int]:
    """The positions and prints of rows, and their cursor as in the ledger."""
    if not rows.height:
        return {}
    frame = events(prepared.mapping, rows).events.frame
    moments = cursor_ms(rows.get_column(prepared.relation.cursor), prepared.relation.cursor_is).to_list()
    marks = anchor_print(frame, prepared.mapping).to_list()
    return {
        (position_at(rows, row), mark): moments[row]
        for row, mark in zip(frame.get_column(POSITION).to_list(), marks, strict=True)
    }


def highest(reading: Reading, head: Position, watermark: Position | None) -> Highest:
    """Where the source ends, compared by the database."""
    top = reading.head()
    if top is None:
        return "none"
    if watermark is not None and not reading.keys(watermark.cursor, top, 1).height:
        return "below watermark"
    return "at head or above" if reading.keys(head.cursor, top, 1).height else "below head"
