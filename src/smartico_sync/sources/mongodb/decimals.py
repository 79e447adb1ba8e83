"""Decimal128 to text, a whole column at once where its numbers have fewer than twenty digits and no exponent to speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from bson import Decimal128

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decimal_texts"]

BIAS = 6176  # what is added to an exponent, so that it is stored without sign
EXPONENT_AT = 49  # the bit of the upper half where the exponent begins
EXPONENT, ABOVE, SIGN = 0x3FFF, (1 << EXPONENT_AT) - 1, np.uint64(1 << 63)
SPECIAL = np.uint64(0x6000000000000000)  # both bits: infinities, NaN, and a form that no number needs
MOST_PLACES = 18


def decimal_texts(low: NDArray[np.int64], high: NDArray[np.int64]) -> pl.Series:
    """The numbers in plain notation, with the digits they are stored with; null for those that are no number."""
    upper, lower = high.view(np.uint64), low.view(np.uint64)
    places = BIAS - ((upper >> np.uint64(EXPONENT_AT)) & np.uint64(EXPONENT)).astype(np.int64)
    short = ((upper & np.uint64(ABOVE)) == 0) & ((upper & SPECIAL) != SPECIAL) & (places >= 0) & (places <= MOST_PLACES)
    if not short.all():
        return pl.Series([_one(*pair) for pair in zip(low.tolist(), high.tolist(), strict=True)], dtype=pl.String)
    digits = pl.Series("digits", lower).cast(pl.String)
    frame = pl.DataFrame({"digits": digits, "places": places, "minus": (upper & SIGN) != 0})
    whole = pl.col("digits").str.zfill(pl.col("places") + 1)
    point = whole.str.len_bytes() - pl.col("places")
    signed = pl.when("minus").then(pl.lit("-")).otherwise(pl.lit(""))
    fraction = pl.when(pl.col("places") > 0).then(pl.lit(".") + whole.str.slice(point)).otherwise(pl.lit(""))
    return frame.select(pl.concat_str(signed, whole.str.slice(0, point), fraction)).to_series().alias("")


def _one(low: int, high: int) -> str | None:
    halves: Any = low.to_bytes(8, "little", signed=True) + high.to_bytes(8, "little", signed=True)
    number = Decimal128.from_bid(halves).to_decimal()
    return format(number, "f") if number.is_finite() else None
