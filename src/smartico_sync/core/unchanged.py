"""Profiles that hold what they held before, told from the others by one fingerprint each: nothing more is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.core.events import PLAYER, POSITION
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.part_prints import DIGITS, UNSURE
from smartico_sync.core.picked import table

if TYPE_CHECKING:
    from smartico_sync.core.few_diff import ToldApart

__all__ = ["Unchanged", "unchanged"]

BYTES = DIGITS // 2  # of one fingerprint


class Unchanged(Struct, frozen=True):
    """Which rows of a frame hold what is known of their players, and their `states` as those of a Diffed, without event ids."""

    rows: pl.Series
    states: pl.DataFrame

    def without(self, some: pl.Series) -> Unchanged | None:
        """Without some of its rows (Boolean, in the order of `states`); None where none is left."""
        if not some.any():
            return self
        left = self.states.filter(~some)
        return Unchanged(self.rows.scatter(self.rows.arg_true(), ~some), left) if left.height else None


def unchanged(
    frame: pl.DataFrame, whole: pl.Series, known: pl.DataFrame, told: ToldApart, layout: str
) -> Unchanged | None:
    """The rows of a page of which all that is known can stay as it is; None where there are none.

    `whole`: the fingerprint of each row, as hexadecimal text; `known` as in `diff`. A player whose parts are of another layout,
    or UNSURE, is none of them; where a player is there twice, nobody is.
    """
    ids = frame.get_column(PLAYER)
    if not known.height or not frame.height or are_few(frame) or ids.n_unique() < frame.height:
        return None
    before = table([ids.alias("id"), whole.str.decode("hex").alias("now")]).join(
        known.select("id", "whole", "parts"), on="id", how="left", maintain_order="left"
    )
    there = (pl.col("now") == pl.col("whole")) & fitting(told, layout)
    same = before.select(there.fill_null(value=False)).to_series()
    if not same.any():
        return None
    held, size = before.filter(same), int(same.sum())
    states = [
        held.get_column("id"),
        pl.Series("eid", [""], dtype=pl.String).new_from_index(0, size),
        held.get_column("whole"),
        held.get_column("parts"),
        frame.get_column(POSITION).filter(same),
        pl.Series("changed", [False]).new_from_index(0, size),
    ]
    return Unchanged(same, table(states))


def fitting(told: ToldApart, layout: str) -> pl.Expr:
    """Whether the known parts are of this layout, and each of them is sure."""
    parts = pl.col("parts")
    if not told.fixed and not told.clearable:
        return parts.is_null()
    size = BYTES * (1 + len(told.fixed)) + (len(told.clearable) + 1) // 2
    unsure = parts.bin.slice(BYTES, BYTES * len(told.fixed)).bin.contains(bytes.fromhex(UNSURE))
    return (parts.bin.size() == size) & parts.bin.starts_with(bytes.fromhex(layout)) & ~unsure
