"""Clocks, and cursors as moments. Bounds and ages come from the database's clock, waits from the steady one."""

from __future__ import annotations

import time

import polars as pl

__all__ = ["cursor_ms", "latest_ms", "now_ms", "steady_ms"]

DAY_MS = 86_400_000


def now_ms() -> int:
    """Wall clock, epoch ms: for records only, never for decisions."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that never jumps, ms."""
    return time.monotonic_ns() // 1_000_000


def cursor_ms(cursor: pl.Series) -> pl.Series:
    """A cursor as a whole number for the ledger (Int64): epoch ms of a time, or the id itself; 0 where it is neither."""
    if cursor.dtype.is_temporal():
        return cursor.cast(pl.Datetime("ms")).to_physical().fill_null(0)
    return cursor.cast(pl.Int64, strict=False).fill_null(0)


def latest_ms(cursor: pl.Series) -> int:
    """The last epoch ms that the first of these cursors may stand for: the end of the day for a date."""
    day = DAY_MS - 1 if cursor.dtype == pl.Date else 0
    return int(cursor_ms(cursor)[0]) + day
