"""Profiles in PostgreSQL: a page of them is one statement over arrays, written by polars and not row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KNOWN", "listed", "upsert"]

KNOWN = (
    "SELECT p.id, p.whole, p.parts, p.cursor_at FROM unnest(%s::bigint[]) AS wanted(id) "
    "JOIN profile AS p ON p.view_no = %s AND p.id = wanted.id"
)
UPSERT = (
    "INSERT INTO profile AS p (view_no, id, whole, parts, cursor_at) SELECT {view}, * FROM unnest("
    "'{{{ids}}}'::bigint[], '{{{whole}}}'::bytea[], '{{{parts}}}'::bytea[], '{{{cursors}}}'::bigint[]) "
    "ON CONFLICT (view_no, id) DO UPDATE SET whole = excluded.whole, parts = excluded.parts, cursor_at = excluded.cursor_at"
)


def upsert(view_no: int, profiles: pl.DataFrame) -> str:
    """The statement that inserts or replaces profiles, complete; of equal ids the last one stays."""
    rows = (
        profiles.unique("id", keep="last", maintain_order=True)
        .sort("id")
        .select(
            pl.col("id").cast(pl.String),
            hexed("whole"),
            hexed("parts"),
            pl.col("cursor_at").cast(pl.String).fill_null("NULL"),
        )
    )
    ids, whole, parts, cursors = (",".join(rows.get_column(name).to_list()) for name in rows.columns)
    return UPSERT.format(view=view_no, ids=ids, whole=whole, parts=parts, cursors=cursors)


def hexed(name: str) -> pl.Expr:
    """Bytes as an element of an array's text."""
    return (pl.lit('"\\\\x') + pl.col(name).bin.encode("hex") + pl.lit('"')).fill_null("NULL").alias(name)


def listed(ids: Sequence[int]) -> str:
    """Integers as the text of an array."""
    return "{" + ",".join(map(str, ids)) + "}"
