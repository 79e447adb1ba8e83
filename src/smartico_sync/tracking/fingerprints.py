"""What was delivered of each profile: what the state holds, and above it the pages that are still on their way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.state.store import Store

__all__ = ["Fingerprints"]


class Fingerprints:
    """Pages come in order from one thread and are settled in the same order by another."""

    def __init__(self, store: Store, view: str) -> None:
        self.store, self.view = store, view
        self.pending: deque[pl.DataFrame] = deque()

    def known(self, ids: pl.Series) -> pl.DataFrame:
        """The newest fingerprints of these players: [id UInt64, whole Binary, parts Binary|null], one row a player."""
        # Before the state is read: what is settled in between is then in both.
        pending = tuple(self.pending)
        stored = self.store.profiles(self.view, ids)
        if not pending:
            return stored
        return pl.concat([stored, *pending], how="vertical_relaxed").unique("id", keep="last")

    def doubted(self, ids: pl.Series) -> pl.DataFrame:
        """The same while Smartico may have got more than the state knows: none is equal to any row, so all go in full."""
        return self.known(ids).with_columns(whole=pl.lit(b""), parts=pl.lit(None, pl.Binary))

    def sent(self, profiles: pl.DataFrame) -> None:
        """A page is on its way."""
        self.pending.append(profiles.select("id", "whole", "parts"))

    def settled(self) -> None:
        """The oldest page on its way is in the state."""
        self.pending.popleft()
