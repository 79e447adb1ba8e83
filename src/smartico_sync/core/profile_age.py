"""Which profiles are older than what was delivered of their player, by the cursors of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core import few_columns, few_profiles
from smartico_sync.core.cursor_time import PER_MS
from smartico_sync.core.events import PLAYER
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.moments import epoch_us_text

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation

__all__ = ["cursors", "older"]

NUMBERS = frozenset({"integer", "decimal"})


def cursors(rows: pl.DataFrame, relation: Relation, latest_ms: int) -> pl.Series:
    """The cursor of each row, or the version of a message, as a whole number (Int64) that keeps their order: epoch µs of a time, or the id.

    Null where rows cannot be ordered by it: a text, a NULL, a number wider than 64 bits; a version may be a time in text. A time after `latest_ms` counts as that:
    a row dated ahead by mistake must not make all that comes after it look old.
    """
    if relation.version is not None:
        return versions(rows, relation.version, latest_ms)
    cursor = rows.get_column(relation.cursor)
    if relation.epoch:
        moments = cursor.cast(pl.Float64, strict=False) / PER_MS[relation.cursor_is] * 1000
        return moments.round().cast(pl.Int64, strict=False).clip(upper_bound=latest_ms * 1000).alias("cursor_at")
    if cursor.dtype.is_temporal():
        moments, latest = cursor.cast(pl.Datetime("us")).cast(pl.Int64), latest_ms * 1000
        if are_few(moments):
            return few_columns.column(
                "whole number", [at if at is None else min(at, latest) for at in moments.to_list()], "cursor_at"
            )
        return moments.clip(upper_bound=latest).alias("cursor_at")
    if relation.cursor_column.family in NUMBERS:
        return cursor.cast(pl.Int64, strict=False).alias("cursor_at")
    return pl.Series("cursor_at", [None], dtype=pl.Int64).new_from_index(0, rows.height)


def versions(rows: pl.DataFrame, version: str, latest_ms: int) -> pl.Series:
    """The same for messages, by their version."""
    if not version:
        return pl.Series("cursor_at", [None], dtype=pl.Int64).new_from_index(0, rows.height)
    text = pl.col(version).cast(pl.String)
    number = text.str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
    moment = epoch_us_text(text).clip(upper_bound=latest_ms * 1000)
    return rows.select(pl.coalesce(number, moment).alias("cursor_at")).to_series()


def older(frame: pl.DataFrame, cursor_at: pl.Series, known: pl.DataFrame) -> pl.Series | None:
    """Which of these events are older than what is known of their player, or than a row before them; None when none is.

    `known` [id UInt64, cursor_at Int64|null], one row a player. Rows at one cursor are equally old.
    """
    if are_few(frame):
        return few_profiles.older(frame.get_column(PLAYER), cursor_at, known)
    rows = frame.select(id=pl.col(PLAYER)).with_columns(cursor_at)
    before = rows.join(known.select("id", "cursor_at"), on="id", how="left", maintain_order="left").get_column(
        "cursor_at_right"
    )
    if rows.get_column("id").n_unique() < rows.height:
        sooner = pl.col("cursor_at").cum_max().forward_fill().shift(1).over("id")
        before = rows.with_columns(before).select(pl.max_horizontal("cursor_at_right", sooner)).to_series()
    mask = (rows.get_column("cursor_at") < before).fill_null(value=False)
    return mask if mask.any() else None
