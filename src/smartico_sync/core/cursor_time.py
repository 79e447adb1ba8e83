"""Cursors as moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["DAY_MS", "cursor_ms", "latest_ms"]

DAY_MS = 86_400_000


def cursor_ms(cursor: pl.Series) -> pl.Series:
    """A cursor as a whole number for the ledger (Int64): epoch ms of a time, or the id itself; 0 where it is neither."""
    if cursor.dtype.is_temporal():
        return cursor.cast(pl.Datetime("ms")).to_physical().fill_null(0)
    return cursor.cast(pl.Int64, strict=False).fill_null(0)


def latest_ms(cursor: pl.Series, family: Family, timezone: str) -> int:
    """The last epoch ms that the first of these cursors may stand for.

    The end of the day for a date; for a wall clock in the autumn hour that happens twice its second pass, because rows of
    that pass stand between those of the first.
    """
    first = int(cursor_ms(cursor)[0])
    if family == "date":
        return first + DAY_MS - 1
    if family != "timestamp" or timezone == "UTC":
        return first
    wall = datetime.fromtimestamp(first / 1000, UTC).astimezone(ZoneInfo(timezone))
    passes = [wall.replace(fold=fold).utcoffset() for fold in (0, 1)]
    first_pass, second_pass = (offset or timedelta() for offset in passes)
    return first + max(0, (first_pass - second_pass) // timedelta(milliseconds=1)) * (1 - wall.fold)
