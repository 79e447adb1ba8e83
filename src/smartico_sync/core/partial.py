"""Profiles that say only what changed: what a row says nothing of stays what it was, and is no NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.events import PLAYER
from smartico_sync.core.mapping import wire_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["absences", "kept"]


def absences(mapping: ViewMapping, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """The properties of which some rows say nothing at all, by name: where (Boolean), in the order of the rows."""
    found = {}
    for known in mapping.properties:
        names = [f"@absent.{column.name}" for column in known.columns]
        if names and all(name in rows.columns for name in names):
            found[wire_name(mapping, known)] = rows.select(pl.all_horizontal(names).alias(known.name)).to_series()
    return found


def kept(
    frame: pl.DataFrame,
    own: Mapping[str, pl.Series],
    before: Mapping[str, pl.Series],
    absent: Mapping[str, pl.Series],
) -> dict[str, pl.Series]:
    """What is remembered of each property: its own mark, or where a row says nothing of it that of the row before of its player.

    `own` and `before` (null where nothing is known) are texts by property, `before` what the state holds.
    """
    ids = frame.get_column(PLAYER)
    found = {}
    for name, mark in own.items():
        mask = absent.get(name)
        if mask is None or not mask.any():
            found[name] = mark
            continue
        marks = pl.DataFrame({"id": ids, "own": mark, "mask": mask, "before": before[name]})
        said = pl.when(~pl.col("mask")).then(pl.col("own")).forward_fill().over("id")
        found[name] = marks.select(pl.coalesce(said, "before", "own").alias(name)).to_series()
    return found
