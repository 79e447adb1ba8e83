"""The dtypes in which frames hold the families of columns."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["dtype"]


@cache
def dtype(family: Family) -> pl.DataType:
    """The dtype in which a frame holds that family; text for all that have no type of their own."""
    kinds: dict[str, pl.DataType] = {
        "integer": pl.Int64(),
        "float": pl.Float64(),
        "boolean": pl.Boolean(),
        "timestamp": pl.Datetime("us"),
        "instant": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
        "binary": pl.Binary(),
    }
    return kinds.get(family, pl.String())
