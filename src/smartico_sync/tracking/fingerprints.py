"""What was accepted of each profile: what the state holds, and above it the pages that are still on their way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.diff import DIGITS, UNSURE

if TYPE_CHECKING:
    from smartico_sync.state.store import Store

__all__ = ["Fingerprints"]

COLUMNS = ("id", "whole", "parts", "cursor_at")
NO_PARTS = pl.lit(None, pl.Binary).alias("parts")
BYTES = DIGITS // 2  # of the fingerprint of one property


class Fingerprints:
    """Pages come in order from one thread and are settled in the same order by another.

    `payload` as of the view: where only what changed is sent, each property is compared with every state that may be the last
    accepted one.
    """

    def __init__(self, store: Store, view: str, payload: Literal["full", "changed"] = "full") -> None:
        self.store, self.view, self.payload = store, view, payload
        self.pending: deque[pl.DataFrame] = deque()

    def known(self, ids: pl.Series) -> pl.DataFrame:
        """The newest fingerprints of these players: [id UInt64, whole Binary, parts Binary|null, cursor_at Int64|null].

        One row a player. Where only changes are sent, a property of which the state and the pages on their way differ is UNSURE,
        and the parts of a player that the state does not hold are null: any page may yet be refused.
        """
        # Before the state is read: what is settled in between is then in both.
        pending = tuple(self.pending)
        stored = self.store.profiles(self.view, ids)
        if not pending:
            return stored
        states = pl.concat([stored, *pending], how="vertical_relaxed")
        newest = states.unique("id", keep="last", maintain_order=True)
        if self.payload == "full":
            return newest
        nothing = states.filter(~pl.col("id").is_in(stored.get_column("id").implode())).with_columns(NO_PARTS)
        several = pl.concat([states, nothing]).filter(pl.col("id").is_duplicated() & pl.col("id").is_in(ids.implode()))
        return newest.update(agreed(several), on="id", how="left", include_nulls=True) if several.height else newest

    def ages(self, ids: pl.Series) -> pl.DataFrame:
        """The same without fingerprints: any profile is news that is not too old."""
        return self.known(ids).with_columns(pl.lit(None, pl.Binary).alias("whole"), NO_PARTS)

    def doubted(self, ids: pl.Series) -> pl.DataFrame:
        """The same while Smartico may have got more than the state knows: none is equal to any row, so all go in full."""
        return self.known(ids).with_columns(whole=pl.lit(b""), parts=pl.lit(None, pl.Binary))

    def sent(self, profiles: pl.DataFrame) -> None:
        """A page is on its way."""
        self.pending.append(profiles.select(COLUMNS))

    def settled(self) -> None:
        """The oldest page on its way is in the state."""
        self.pending.popleft()


def agreed(states: pl.DataFrame) -> pl.DataFrame:
    """The parts of each player [id, parts] as all its states have them; null where these do not fit together."""
    places = max((len(parts) for parts in states.get_column("parts").drop_nulls()), default=0) // BYTES
    sliced = states.select(
        "id", "parts", *(pl.col("parts").bin.slice(BYTES * n, BYTES).alias(str(n)) for n in range(places + 1))
    )
    unsure = pl.lit(bytes.fromhex(UNSURE))
    # Behind the parts a shorter piece may say which properties have a value.
    one = [
        pl.when(pl.col(str(n)).n_unique() == 1)
        .then(pl.col(str(n)).last())
        .otherwise(unsure.bin.slice(0, pl.col(str(n)).bin.size().max()))
        .alias(str(n))
        for n in range(places + 1)
    ]
    fit = (pl.col("parts").null_count() == 0) & (pl.col("parts").bin.size().n_unique() == 1)
    merged = sliced.group_by("id").agg(fit.alias("fit"), *one)
    if not places:
        return merged.select("id", parts=pl.lit(None, pl.Binary))
    # The first part names the others: where it differs, so does all that follows.
    hexes = pl.concat_str(pl.col(str(n)).bin.encode("hex") for n in range(places + 1)).str.decode("hex")
    return merged.select("id", parts=pl.when(pl.col("fit")).then(hexes))
