"""Cursors as moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.core.zones import time_zone

if TYPE_CHECKING:
    from smartico_sync.core.relation import CursorIs, Relation

__all__ = ["DAY_MS", "PER_MS", "Grain", "cursor_ms", "epoch_text", "latest_ms", "looks_like", "now_ms", "written_ms"]

DAY_MS = 86_400_000
QUARTER_MS = 900_000  # zones differ by whole quarters of an hour: days and hours are whole in their own only
COARSE = (DAY_MS, 3_600_000, QUARTER_MS)  # what times are rounded down to, the coarsest first
FINE = (60_000, 1_000, 1)
PER_MS: dict[CursorIs, float] = {"epoch_s": 0.001, "epoch_ms": 1.0, "epoch_us": 1_000.0}
# A number that lies this close to now, in some unit, is a moment rather than an id: no view begins ten years ago.
PAST_MS, AHEAD_MS = 3_650 * DAY_MS, 30 * DAY_MS


class Grain(Struct, frozen=True):
    """What times are rounded down to: `ms`, counted from `origin_ms`; as coarse as all that were seen allow."""

    ms: int = DAY_MS
    origin_ms: int | None = None

    def narrowed(self, moments: pl.Series) -> Grain:
        """The grain after more moments (epoch ms); never coarser than before."""
        if self.ms == 1 or not moments.len():
            return self
        origin = int(moments[0]) if self.origin_ms is None else self.origin_ms
        if self.ms >= QUARTER_MS and not (moments % QUARTER_MS != 0).any():
            fits = (grain for grain in COARSE if not ((moments - origin) % grain != 0).any())
        else:
            fits = (grain for grain in FINE if not (moments % grain != 0).any())
        return Grain(min(self.ms, next(fits)), origin)


def cursor_ms(cursor: pl.Series, cursor_is: CursorIs = "auto") -> pl.Series:
    """A cursor as a whole number for the ledger (Int64): epoch ms of a time, or the id itself; 0 where it is neither."""
    if cursor.dtype.is_temporal():
        moments = cursor.cast(pl.Datetime("ms")).cast(pl.Int64)
        return moments.fill_null(0) if moments.null_count() else moments
    if cursor_is not in PER_MS:
        ids = cursor.cast(pl.Int64, strict=False)
        return ids.fill_null(0) if ids.null_count() else ids
    if cursor_is == "epoch_ms" and cursor.dtype.is_integer():
        return cursor.cast(pl.Int64, strict=False).fill_null(0)
    # 53 bits hold microseconds until the year 2255.
    moments = cursor.cast(pl.Float64, strict=False) / PER_MS[cursor_is]
    return moments.round(3).floor().cast(pl.Int64, strict=False).fill_null(0)


def epoch_text(at_ms: int, relation: Relation) -> str:
    """An epoch ms as a cursor that counts since 1970, at the precision of its column."""
    if relation.cursor_is == "epoch_us":
        return str(at_ms * 1_000)
    if relation.cursor_is == "epoch_ms":
        return str(at_ms)
    if relation.cursor_column.family == "integer":
        return str(at_ms // 1_000)
    return f"{at_ms / 1_000:.3f}"


def looks_like(value: str, now_ms: int) -> CursorIs:
    """What a number is by its magnitude; `id` where it lies far from now in every unit."""
    try:
        number = float(value)
    except ValueError:
        return "id"
    for unit, per_ms in PER_MS.items():
        if now_ms - PAST_MS <= number / per_ms <= now_ms + AHEAD_MS:
            return unit
    return "id"


def now_ms(relation: Relation, clock_ms: int) -> int:
    """The clock as the relation's cursor counts: for a date the wall clock of its zone, as if it were UTC."""
    if relation.cursor_column.family != "date":
        return clock_ms
    offset = datetime.fromtimestamp(clock_ms / 1000, time_zone(relation.timezone)).utcoffset() or timedelta()
    return clock_ms + offset // timedelta(milliseconds=1)


def latest_ms(cursor: pl.Series, relation: Relation, grain_ms: int = 1) -> int:
    """The last epoch ms that the first of these cursors may stand for, where times are rounded down to a grain.

    A date ends when its day does in the relation's zone. A wall clock in the autumn hour that happens twice stands for its
    second pass, because rows of that pass stand between those of the first.
    """
    first, family = int(cursor_ms(cursor, relation.cursor_is)[0]), relation.cursor_column.family
    if family == "date":
        midnight = (datetime.fromtimestamp(first / 1000, UTC) + timedelta(days=1)).replace(
            tzinfo=time_zone(relation.timezone)
        )
        return int(midnight.timestamp() * 1000) - 1
    last = first + grain_ms - 1
    if family != "timestamp" or relation.timezone == "UTC":
        return last
    wall = datetime.fromtimestamp(first / 1000, UTC).astimezone(time_zone(relation.timezone))
    passes = [wall.replace(fold=fold).utcoffset() for fold in (0, 1)]
    first_pass, second_pass = (offset or timedelta() for offset in passes)
    return last + max(0, (first_pass - second_pass) // timedelta(milliseconds=1)) * (1 - wall.fold)


def written_ms(text: str) -> int:
    """A time as a person writes it, as epoch ms; UTC where it names no zone. ValueError for what is none."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
