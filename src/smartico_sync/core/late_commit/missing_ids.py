"""Ranges of ids that are missing, as columns: how they are found, split and kept few."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import ReadTime

__all__ = [
    "Asked",
    "Stride",
    "age",
    "ask",
    "bounded",
    "missing",
    "nothing",
    "number",
    "schema",
    "size",
    "split",
    "whole",
]

RANGES = 4_096  # what the state writes with every page stays below a quarter of a megabyte
EVIDENCE = 64  # ids in a page that share a divisor by chance: never
WIDEST = 64  # a larger common divisor is the pattern of a generator, not of masters that take turns
SHORT = 16  # ids: up to here a range is asked for id by id, which reads nothing else
ASK_IDS = 4_000  # ids a reading: four index look-ups of a thousand, some milliseconds
ASK_RANGES = 16  # longer ranges a reading, each one index scan
FIRST_REACH = 1_048_576  # ids below the very first one that a writer may still hold: one range, and a cheap question


@cache
def schema() -> pl.Schema:
    """Of missing ids.

    `low` and `high` are inclusive and both may be missing; of the ids between them every `step`-th, counted from either end.
    `steady` and `clock`: when first seen; `asked`: steady_ms of the last question; `ask`: its number.
    """
    return pl.Schema(
        {
            "low": pl.Int128,
            "high": pl.Int128,
            "step": pl.Int128,
            "steady": pl.Int64,
            "clock": pl.Int64,
            "asked": pl.Int64,
            "ask": pl.Int64,
        }
    )


@cache
def nothing() -> pl.DataFrame:
    """No missing id: what nearly every view begins with."""
    return pl.DataFrame(schema=schema())


class Stride(Struct, frozen=True):
    """The distance between two ids in turn: auto_increment_increment is 2 or more where several masters write.

    `masters`: unknown until a page holds EVIDENCE ids; one while all ids fit the step; several for good once one did not.
    """

    step: int = 1
    masters: Literal["unknown", "one", "several"] = "unknown"

    def learned(self, ids: pl.Series, before: int | None) -> Stride:
        """Return the stride after a page of ascending ids."""
        if self.masters == "several" or (self.masters == "unknown" and ids.len() < EVIDENCE):
            return self
        known = ids if before is None else pl.concat([pl.Series([before], dtype=pl.Int128), ids])
        common = math.gcd(*known.diff().drop_nulls().unique().to_list())
        if self.masters == "unknown":
            return Stride(common, "one") if 1 < common <= WIDEST else self
        return self if common % self.step == 0 else Stride(1, "several")


def whole(ids: pl.Series) -> pl.Series:
    """Return ids as Int128. Raises ConfigError for what is not a whole number of at most 38 digits."""
    try:
        if ids.dtype == pl.String:
            ids = ids.str.replace(r"\.0*$", "")
        return ids.cast(pl.Int128)
    except pl.exceptions.PolarsError:
        raise ConfigError(
            "`late_commit: gaps` needs a cursor of whole numbers, and this one holds others",
            hint="choose another cursor, or another `late_commit`",
        ) from None


def number(cursor: str) -> int:
    """Return a cursor as an integer. Raises as `whole`."""
    try:
        return int(cursor)
    except ValueError:  # a decimal with zeros behind the point
        return int(whole(pl.Series([cursor])).item())


def missing(ids: pl.Series, before: int | None, step: int, read_time: ReadTime) -> pl.DataFrame:
    """Return the ranges missing between `before` and the ascending ids, and between them, in the stride `step`.

    Without anything before, what lies a little below the first id is missing too: its writers may still be at work.
    """
    ids = ids.unique(maintain_order=True)
    first = ids[0]
    if before is None:
        # Never below zero, nor below a negative id: a narrow or unsigned column cannot be asked for that.
        reach = min(FIRST_REACH, first) if first > 0 else 0
        before = first - reach // step * step - step
    edges = pl.DataFrame({"id": pl.concat([pl.Series([before], dtype=pl.Int128), ids])})
    stride = pl.lit(step, dtype=pl.Int128)
    ranges = edges.select(low=pl.col("id").shift(1) + stride, high=pl.col("id") - stride).filter(
        pl.col("low") <= pl.col("high")
    )
    return ranges.select(
        "low",
        "high",
        step=stride,
        steady=pl.lit(read_time.steady_ms, dtype=pl.Int64),
        clock=pl.lit(read_time.clock_ms, dtype=pl.Int64),
        asked=pl.lit(None, dtype=pl.Int64),
        ask=pl.lit(0, dtype=pl.Int64),
    )


class Asked(Struct, frozen=True):
    """What of some ranges is asked for in one reading: ids, longer ranges, and the ranges with that noted."""

    ids: tuple[int, ...]
    long: tuple[tuple[int, int], ...]
    ranges: pl.DataFrame


def ask(ranges: pl.DataFrame, due: pl.Expr, steady_ms: int, number: int) -> Asked | None:
    """Ask for as many of the ranges that are due as a reading takes, those first that waited longest; None for none."""
    spans = (pl.col("high") - pl.col("low")) // pl.col("step") + 1
    asked = ranges.with_columns(due=due, span=spans).with_row_index("row").filter("due")
    asked = asked.sort("asked", nulls_last=False, maintain_order=True)
    short = asked.filter(pl.col("span") <= SHORT).filter(pl.col("span").cum_sum() <= ASK_IDS)
    long = asked.filter(pl.col("span") > SHORT).head(ASK_RANGES)
    if not short.height and not long.height:
        return None
    ids = [
        i for low, high, step in short.select("low", "high", "step").iter_rows() for i in range(high, low - 1, -step)
    ]
    now = pl.int_range(pl.len()).is_in(pl.concat([short["row"], long["row"]]).implode())
    noted = ranges.with_columns(
        asked=pl.when(now).then(steady_ms).otherwise("asked").cast(pl.Int64),
        ask=pl.when(now).then(number).otherwise("ask").cast(pl.Int64),
    )
    return Asked(tuple(sorted(ids)), tuple(long.select("low", "high").iter_rows()), noted)


def age(read_time: ReadTime) -> pl.Expr:
    """Return how long a range has been waited for, by the clock that ran less."""
    return pl.min_horizontal(read_time.steady_ms - pl.col("steady"), read_time.clock_ms - pl.col("clock"))


def size(ranges: pl.DataFrame) -> int:
    """Return how many ids the ranges miss."""
    return int(ranges.select(((pl.col("high") - pl.col("low")) // pl.col("step") + 1).sum()).item())


def split(ranges: pl.DataFrame, found: pl.Series, read_time: ReadTime) -> tuple[pl.DataFrame, int]:
    """Take found ids out of the ascending ranges; also return how many of them were missing.

    What lies above a found id begins its wait anew: where a sequence fills a range from below, the rest is still to come.
    """
    found = found.unique().sort()
    if not ranges.height:
        return ranges, 0
    place = ranges["low"].search_sorted(found, side="right").cast(pl.Int64) - 1
    hits = pl.DataFrame({"id": found, "row": place}).filter(pl.col("row") >= 0)
    hits = hits.filter(hits["id"] <= ranges["high"].gather(hits["row"]))
    if not hits.height:
        return ranges, 0
    touched = hits.group_by("row", maintain_order=True).agg("id")
    pieces: list[tuple[int | None, ...]] = []
    for row, ids in touched.iter_rows():
        low, high, step, steady, clock, asked, ask = ranges.row(row)
        for i in ids:
            # An id off the stride: whatever is around it may be missing too.
            step = step if (i - low) % step == 0 else 1
            pieces.append((low, i - step, step, steady, clock, asked, ask))
            low = i + step
            steady, clock, asked, ask = read_time.steady_ms, read_time.clock_ms, None, 0
        pieces.append((low, high, step, steady, clock, asked, ask))
    kept = ranges.with_row_index("row").filter(~pl.col("row").is_in(touched["row"].implode())).drop("row")
    rest = pl.DataFrame(pieces, schema=schema(), orient="row").filter(pl.col("low") <= pl.col("high"))
    return bounded(pl.concat([kept, rest]).sort("low")), hits.height


def bounded(ranges: pl.DataFrame) -> pl.DataFrame:
    """Keep at most RANGES ascending ranges: the nearest neighbours are merged, with the youngest one's age.

    A merged range holds delivered rows as well; whoever asks for it subtracts the known ones.
    """
    if ranges.height <= RANGES:
        return ranges
    apart = (ranges["low"] - ranges["high"].shift(1)).fill_null(0)
    # Half of the room, so that merging is rare: the widest distances stay.
    widest = apart.arg_sort(descending=True).head(RANGES // 2 - 1)
    cut = pl.int_range(ranges.height, eager=True).is_in(widest.implode())
    return (
        ranges.with_columns(group=cut.cum_sum())
        .group_by("group", maintain_order=True)
        .agg(
            pl.col("low").min(),
            pl.col("high").max(),
            pl.when(pl.len() == 1).then(pl.col("step").first()).otherwise(pl.lit(1, dtype=pl.Int128)).alias("step"),
            pl.col("steady").max(),
            pl.col("clock").max(),
            pl.col("asked").min(),
            pl.col("ask").min(),
        )
        .drop("group")
        .cast(schema())
    )
