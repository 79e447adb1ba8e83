"""Cursor values that were read before they were over: a whole second, say, in which the same player changes once more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OVER_MS", "OpenValues", "Over"]

OVER_MS = 2_000  # what took its time while the value lasted is committed by then, but for long transactions
MOST_VALUES = 1_000  # a page of seconds holds two or three that are open


class Over(Struct, frozen=True):
    """Values that are over: from `low_ms` (epoch ms) to the one whose text is `through`."""

    low_ms: int
    through: str


class OpenValues(Struct, frozen=True):
    """Values (text, epoch ms) whose rows are read once more when they are over. Immutable.

    A row that changes again under the same cursor value stays where it is: neither the page nor a scan of keys sees it.
    All times are in the cursor's own reckoning.
    """

    values: tuple[tuple[str, int], ...] = ()

    def read(self, cursors: pl.Series, moments: pl.Series, grain_ms: int, now_ms: int) -> OpenValues:
        """With the values of a page that was read at `now_ms`: those that could still be written then."""
        recent = moments > now_ms - grain_ms - OVER_MS
        found = dict(zip(cursors.filter(recent).to_list(), moments.filter(recent).to_list(), strict=True))
        return OpenValues(tuple({**dict(self.values), **found}.items())[-MOST_VALUES:])

    def next_ms(self, grain_ms: int) -> float:
        """When the first of them is over; infinite where there is none."""
        return min((at_ms + grain_ms + OVER_MS for _, at_ms in self.values), default=math.inf)

    def over(self, grain_ms: int, now_ms: int) -> tuple[Over | None, OpenValues]:
        """Those that are over, and the others."""
        ended = sorted((at_ms, text) for text, at_ms in self.values if at_ms + grain_ms + OVER_MS <= now_ms)
        if not ended:
            return None, self
        left = tuple(each for each in self.values if each[1] > ended[-1][0])
        return Over(ended[0][0], ended[-1][1]), OpenValues(left)
