"""The rows delivered last, a handful a view: the newest push the oldest out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.position import Position
from smartico_sync.core.records import Anchor
from smartico_sync.core.restore_detection import ANCHORS
from smartico_sync.state.dead_letters import as_position, as_text, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.state.statements import Statements

__all__ = ["drop", "keep", "read"]


def keep(connection: Statements, view_no: int, anchors: Sequence[Anchor]) -> None:
    """Add anchors, inside the caller's transaction."""
    if not anchors:
        return
    connection.executemany(
        "INSERT INTO anchor (view_no, position, cursor_ms, print, player) VALUES (?, ?, ?, ?, ?)",
        [(view_no, as_text(each.position), each.cursor_ms, each.print, signed(each.player)) for each in anchors],
    )
    connection.execute(
        "DELETE FROM anchor WHERE view_no = :view AND seq <= "
        "(SELECT seq FROM anchor WHERE view_no = :view ORDER BY seq DESC LIMIT 1 OFFSET :kept)",
        {"view": view_no, "kept": ANCHORS},
    )


def read(connection: Statements, view_no: int) -> list[Anchor]:
    """The anchors of a view, oldest first."""
    found = connection.execute(
        "SELECT position, cursor_ms, print, player FROM anchor WHERE view_no = ? ORDER BY seq", (view_no,)
    )
    return [
        Anchor(as_position(position) or Position(""), cursor_ms, mark, player % (1 << 64))
        for position, cursor_ms, mark, player in found
    ]


def drop(connection: Statements, view_no: int) -> None:
    """Forget the anchors of a view, inside the caller's transaction."""
    connection.execute("DELETE FROM anchor WHERE view_no = ?", (view_no,))
