"""Arrow tables, as the drivers of warehouses hand them over, to typed columns. A value that does not fit spoils only its own row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import polars as pl

from smartico_sync.core.relation import Column
from smartico_sync.sources.kit.frames import finite, mixed, to_utc, with_reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from smartico_sync.core.relation import Relation

__all__ = ["Selection", "from_arrow", "position_texts"]

# Polars holds more years than a frame may: from the first microsecond of the year 1 to the last of 9999.
YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
DAY = 86_400_000_000
NESTED = Column("", "", "json")
WALL_CLOCK = "%Y-%m-%d %H:%M:%S%.6f"


class Selection(Protocol):
    """What a question selects: columns, then texts of positions, of which each label names the one that holds it."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """In the order of the answer."""

    @property
    def positions(self) -> tuple[tuple[str, int], ...]:
        """Labels, each with the index of a column of the answer."""


def from_arrow(relation: Relation, selection: Selection, tables: Sequence[pa.Table]) -> pl.DataFrame:
    """What was selected, from tables of some rows: its columns, typed, and its positions as text.

    Drivers may choose another width for the same column in each table. Decimals wider than 38 digits have no place here.
    """
    frames = [_frame(relation, selection, table) for table in tables]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed")


def position_texts(values: pl.Series) -> pl.Series:
    """Cursors or keys as text at full precision, times in UTC; null stays null."""
    match values.dtype:
        case pl.Datetime(time_zone=None):
            return values.dt.strftime(WALL_CLOCK)
        case pl.Datetime():
            return values.dt.convert_time_zone("UTC").dt.strftime(WALL_CLOCK + "+00:00")
        case pl.Binary():
            return values.bin.encode("hex")
        case kind if kind.is_nested():
            return mixed(NESTED, values.to_list(), "UTC")[0]
        case _:
            return values.cast(pl.String)


def narrowed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals wider than polars takes, where a column has become one, as text."""
    return values.cast("string") if str(values.type).startswith("decimal256") else values


def _frame(relation: Relation, selection: Selection, table: pa.Table) -> pl.DataFrame:
    given = [pl.Series(pl.from_arrow(narrowed(values))) for values in table.columns]
    positions = [position_texts(given[index]).alias(name) for name, index in selection.positions]
    if not selection.columns:
        return pl.DataFrame(positions)
    series = []
    unfit: list[tuple[Column, pl.Series]] = []
    for column, values in zip(selection.columns, given, strict=False):
        fit = _typed(column, values, relation.timezone)
        spoilt = None
        if fit is None:
            fit, spoilt = mixed(column, values.to_list(), relation.timezone)
        elif fit.null_count() != values.null_count():
            spoilt = fit.is_null() & values.is_not_null()
        if spoilt is not None:
            unfit.append((column, spoilt))
        series.append(fit.alias(column.name))
    return with_reasons(pl.DataFrame(series), unfit).hstack(positions)


def _typed(column: Column, values: pl.Series, timezone: str) -> pl.Series | None:
    """A whole column in its family's dtype; None when it must be looked at value by value."""
    match column.family, values.dtype:
        case "integer", kind if kind.is_integer() or kind.is_decimal():
            whole = values.cast(pl.Int64, strict=False)
            if kind.is_decimal() and not whole.cast(kind, strict=False).eq_missing(values).all():
                return None  # fractions, or what only a closer look can keep
            return whole if whole.null_count() == values.null_count() else values.cast(pl.String)
        case "decimal", kind if kind.is_integer() or kind.is_decimal():
            return values.cast(pl.String)
        case "float", kind if kind.is_float():
            return finite(values.cast(pl.Float64))
        case "timestamp", pl.Datetime(time_zone=None):
            return to_utc(_in_years(values), timezone)
        case "instant", pl.Datetime(time_zone=zone) if zone is not None:
            return _in_years(values.dt.convert_time_zone("UTC"))
        case "date", pl.Date():
            return _in_years(values)
        case ("boolean", pl.Boolean()) | ("binary", pl.Binary()):
            return values
        case "boolean" | "integer" | "float" | "timestamp" | "instant" | "date" | "binary", _:
            return None
        case _, pl.String():
            return values
    return None


def _in_years(times: pl.Series) -> pl.Series:
    """Times to the microsecond, or dates; null outside the years 1 to 9999."""
    fine = times if times.dtype == pl.Date else times.dt.cast_time_unit("us")
    low, high = (limit // DAY for limit in YEARS) if times.dtype == pl.Date else YEARS
    counts = fine.to_physical()
    unfit = (counts < low) | (counts > high)
    return fine.set(unfit, None) if unfit.any() else fine
