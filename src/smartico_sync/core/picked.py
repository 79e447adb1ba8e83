"""Some columns of a frame, as they are: without a query, which costs more than a handful of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["picked", "renamed"]


def picked(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """These columns, in this order."""
    return pl.DataFrame([frame.get_column(name) for name in names])


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """These columns, in this order, by the names that they are to have."""
    return pl.DataFrame([frame.get_column(name).alias(to_be) for to_be, name in names.items()])
