"""Rows that were sent out of the order: those dated ahead of the clock, until the order has come past them, and those without a cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.state.statements import Statements

__all__ = ["NOWHERE_MS", "add", "drop", "prune", "read"]

NOWHERE_MS = 2**63 - 1  # in place of the cursor of a row that has none: the order never comes past it


def read(connection: Statements, view_no: int, what: Literal["dated ahead", "without a cursor"]) -> pl.Series | None:
    """The ledger keys (UInt64) of the rows, in no order; None where there are none."""
    compared = "<" if what == "dated ahead" else "="
    found = connection.execute(
        f"SELECT key FROM ahead WHERE view_no = ? AND cursor_ms {compared} ?",  # noqa: S608 - one of two words
        (view_no, NOWHERE_MS),
    ).fetchall()
    return pl.Series("key", [key for (key,) in found], dtype=pl.Int64).reinterpret(signed=False) if found else None


def add(connection: Statements, view_no: int, rows: pl.DataFrame) -> None:
    """Remember rows [key UInt64, cursor_ms Int64], inside the caller's transaction."""
    there = rows.select(pl.col("key").reinterpret(signed=True), "cursor_ms").drop_nulls()
    connection.executemany(
        "INSERT INTO ahead (view_no, key, cursor_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(view_no, key, cursor_ms) for key, cursor_ms in there.iter_rows()],
    )


def prune(connection: Statements, view_no: int, before_ms: int) -> None:
    """Forget those below a cursor, inside the caller's transaction."""
    connection.execute("DELETE FROM ahead WHERE view_no = ? AND cursor_ms < ?", (view_no, before_ms))


def drop(connection: Statements, view_no: int) -> None:
    """Forget all of a view, inside the caller's transaction."""
    connection.execute("DELETE FROM ahead WHERE view_no = ?", (view_no,))
