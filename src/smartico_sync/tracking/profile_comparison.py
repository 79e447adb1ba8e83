"""What profiles hold in the source against what was last accepted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.events import PLAYER, POSITION
from smartico_sync.core.pipeline import positions_of, prepare

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.core.pipeline import PipelineOptions
    from smartico_sync.core.position import Position
    from smartico_sync.state.store import Store

__all__ = ["ProfileComparison"]


class ProfileComparison(Struct, frozen=True):
    """Compares profiles of one view with the state's fingerprints. Nothing of what they hold is kept."""

    view: str
    options: PipelineOptions
    store: Store

    def unlike(self, rows: pl.DataFrame, clock_ms: int) -> list[Position]:
        """The rows that hold something else than was sent, though they stand where they stood: changed quietly, or lost.

        Not those of players of whom something waits, nor those that were given up.
        """
        if not rows.height:
            return []
        batch = prepare(rows, self.options, lambda ids: self.store.profiles(self.view, ids), clock_ms)
        if not batch.send.frame.height:
            return []
        waiting = self.store.waiting_players(self.view)
        players = batch.send.frame.get_column(PLAYER)
        found = batch.send.frame.get_column(POSITION).filter(~players.is_in(list(waiting)))
        given_up = {each.row.position for each in self.store.all_dead_letters() if each.row.view == self.view}
        return [position for position in positions_of(rows[found.to_list()]) if position not in given_up]
