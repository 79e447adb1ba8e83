"""Ranges of ids that are missing: how they are found, split and kept few."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.few_texts import FEW
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smartico_sync.core.late_commit.mechanism import ReadTime

__all__ = [
    "Asked",
    "Hole",
    "Holes",
    "Pauses",
    "Stride",
    "ask",
    "bounded",
    "holes_of",
    "missed",
    "missing",
    "number",
    "numbers",
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
Pauses = tuple[tuple[int, int], ...]  # up to an age in ms, how long a hole is left alone, in ms


class Hole(Struct, frozen=True, gc=False):
    """Ids that are missing from `low` to `high`, both included, and of those between them every `step`-th, from either end.

    `steady` and `clock`: when first seen; `asked`: steady_ms of the last question; `ask`: its number.
    """

    low: int
    high: int
    step: int
    steady: int
    clock: int
    asked: int | None = None
    ask: int = 0

    @property
    def size(self) -> int:
        """Return how many ids it misses."""
        return (self.high - self.low) // self.step + 1

    def age(self, read_time: ReadTime) -> int:
        """Return how long it has been waited for, by the clock that ran less."""
        return min(read_time.steady_ms - self.steady, read_time.clock_ms - self.clock)

    def due_ms(self, read_time: ReadTime, pauses: Pauses, last_pause_ms: int) -> int:
        """Return when (steady) it is to be asked for again: the older it is, the longer it is left alone."""
        if self.asked is None:
            return read_time.steady_ms
        age = self.age(read_time)
        return self.asked + next((pause for below, pause in pauses if age < below), last_pause_ms)


Holes = tuple[Hole, ...]  # ascending, none over another


def holes_of(kept: Iterable[Sequence[int]], steady_ms: int, clock_ms: int) -> Holes:
    """Return holes as the state holds them: low, high, step, and for how long each has been waited for by these clocks."""
    return tuple(Hole(low, high, step, steady_ms - waited, clock_ms - waited) for low, high, step, waited in kept)


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
        common = math.gcd(*distances(ids))
        if before is not None:
            common = math.gcd(common, number(ids[0]) - before)
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


def numbers(ids: pl.Series) -> list[int]:
    """Return ids as integers. Raises as `whole`."""
    if ids.dtype.is_integer():
        return ids.to_list()
    return [number(text) for text in ids] if ids.len() <= FEW else whole(ids).to_list()


def missing(ids: pl.Series, before: int | None, step: int, read_time: ReadTime) -> Holes:
    """Return what is missing between `before` and the ascending ids, and between them, in the stride `step`.

    Without anything before, what lies a little below the first id is missing too: its writers may still be at work.
    """
    first = number(ids[0])
    if before is None:
        # Never below zero, nor below a negative id: a narrow or unsigned column cannot be asked for that.
        reach = min(FIRST_REACH, first) if first > 0 else 0
        before = first - reach // step * step - step
    return tuple(
        Hole(low + step, high - step, step, read_time.steady_ms, read_time.clock_ms)
        for low, high in ((before, first), *apart(ids, 2 * step))
        if high - low >= 2 * step
    )


def missed(ids: pl.Series, before: int, step: int) -> int:
    """Return how many ids `missing` would tell of."""
    between = whole(ids).diff()
    wide = between.filter(between >= 2 * step) // pl.Series([step], dtype=pl.Int128)
    return int(wide.sum()) - wide.len() + max(0, (number(ids[0]) - before) // step - 1)


def distances(ids: pl.Series) -> list[int]:
    """Those of neighbours among ascending ids, each once or more often."""
    if ids.len() <= FEW:
        return [high - low for low, high in pairwise(numbers(ids))]
    return whole(ids).diff().drop_nulls().unique().to_list()


def apart(ids: pl.Series, least: int) -> Iterator[tuple[int, int]]:
    """Ascending ids that follow each other at this distance at least, in pairs."""
    if ids.len() <= FEW:
        return ((low, high) for low, high in pairwise(numbers(ids)) if high - low >= least)
    ids = whole(ids)
    places = (ids.diff() >= least).arg_true()
    return zip(ids.gather(places - 1).to_list(), ids.gather(places).to_list(), strict=True)


class Asked(Struct, frozen=True):
    """What of some holes is asked for in one reading: ids, longer ranges, and the holes with that noted."""

    ids: tuple[int, ...]
    long: tuple[tuple[int, int], ...]
    holes: Holes


def ask(holes: Holes, due: Iterable[Hole], steady_ms: int, number: int) -> Asked | None:
    """Ask for as many of those that are due as a reading takes, those first that waited longest; None for none."""
    waiting = sorted(due, key=lambda hole: (hole.asked is not None, hole.asked))
    short = [hole for hole in waiting if hole.size <= SHORT]
    totals = accumulate(hole.size for hole in short)
    short = [hole for hole, total in zip(short, totals, strict=True) if total <= ASK_IDS]
    long = [hole for hole in waiting if hole.size > SHORT][:ASK_RANGES]
    if not short and not long:
        return None
    ids = sorted(each for hole in short for each in range(hole.high, hole.low - 1, -hole.step))
    noted = {hole.low for hole in (*short, *long)}
    now = tuple(replace(hole, asked=steady_ms, ask=number) if hole.low in noted else hole for hole in holes)
    return Asked(tuple(ids), tuple((hole.low, hole.high) for hole in long), now)


def size(holes: Iterable[Hole]) -> int:
    """Return how many ids these miss."""
    return sum(hole.size for hole in holes)


def split(holes: Holes, found: Sequence[int], read_time: ReadTime) -> tuple[Holes, int]:
    """Take found ids, ascending and each once, out of the holes; also return how many of them were missing.

    What lies above a found id begins its wait anew: where a sequence fills a range from below, the rest is still to come.
    """
    if not holes or not found or found[0] > holes[-1].high or found[-1] < holes[0].low:
        return holes, 0
    lows = [hole.low for hole in holes]
    hits: dict[int, list[int]] = {}
    for each in found:
        place = bisect_right(lows, each) - 1
        if place >= 0 and each <= holes[place].high:
            hits.setdefault(place, []).append(each)
    if not hits:
        return holes, 0
    rest: list[Hole] = []
    for place, hole in enumerate(holes):
        rest += pieces(hole, hits[place], read_time) if place in hits else (hole,)
    return bounded(tuple(rest)), sum(map(len, hits.values()))


def pieces(hole: Hole, found: Sequence[int], read_time: ReadTime) -> Iterator[Hole]:
    """What is left of a hole."""
    for each in found:
        # An id off the stride: whatever is around it may be missing too.
        step = hole.step if (each - hole.low) % hole.step == 0 else 1
        if hole.low <= each - step:
            yield replace(hole, high=each - step, step=step)
        hole = Hole(each + step, hole.high, step, read_time.steady_ms, read_time.clock_ms)
    if hole.low <= hole.high:
        yield hole


def bounded(holes: Holes) -> Holes:
    """Keep at most RANGES: the nearest neighbours are merged, with the youngest one's age.

    A merged one holds delivered rows as well; whoever asks for it subtracts the known ones.
    """
    if len(holes) <= RANGES:
        return holes
    between = [high.low - low.high for low, high in pairwise(holes)]
    # Half of the room, so that merging is rare: the widest distances stay.
    widest = sorted(range(len(between)), key=between.__getitem__, reverse=True)
    cuts = sorted(widest[: RANGES // 2 - 1])
    edges = [0, *(cut + 1 for cut in cuts), len(holes)]
    return tuple(merged(holes[begin:end]) for begin, end in pairwise(edges))


def merged(some: Holes) -> Hole:
    """Neighbours as one."""
    if len(some) == 1:
        return some[0]
    asked = [hole.asked for hole in some if hole.asked is not None]
    return Hole(
        some[0].low,
        some[-1].high,
        1,
        max(hole.steady for hole in some),
        max(hole.clock for hole in some),
        min(asked, default=None),
        min(hole.ask for hole in some),
    )
