"""Columns as a frame, as they are: without a query, and without the look at each that polars takes, which cost more than a handful of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.few_columns import frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

__all__ = ["picked", "renamed", "replaced", "table"]


def table(columns: Iterable[pl.Series]) -> pl.DataFrame:
    """These columns, at least one, by the names that they have."""
    return frames()[1]([column._s for column in columns])  # noqa: SLF001 - what `pl.DataFrame` takes of it in the end


def picked(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """These columns, in this order."""
    return table(frame.get_column(name) for name in names)


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """These columns, in this order, by the names that they are to have."""
    if len(set(names.values())) < len(names):
        return table(frame.get_column(name).alias(to_be) for to_be, name in names.items())
    made = picked(frame, names.values())
    made.columns = list(names)
    return made


def replaced(frame: pl.DataFrame, columns: Iterable[pl.Series]) -> pl.DataFrame:
    """The frame with these columns in the place of those of their names."""
    places = {name: place for place, name in enumerate(frame.columns)}
    new = frame.clone()
    for column in columns:
        new.replace_column(places[column.name], column)
    return new
