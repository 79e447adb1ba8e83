"""Columns of a handful of values whose type is known: what `pl.Series` makes of them, without the forty calls in which it finds that out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Held", "Typed", "column", "dtypes", "frame", "held_as", "shape", "typed"]

Held: TypeAlias = Literal["text", "bytes", "whole number", "day number", "number", "hash", "place", "truth"]
"""What a column holds: String, Binary, Int64, Int32, Float64, UInt64, UInt32 or Boolean."""
Typed: TypeAlias = "tuple[str, Held, Sequence[Any], pl.DataType | None]"
"""A column's name, what it holds, its values, and the dtype that they stand for; None for that of what it holds."""


def column(holds: Held, values: Sequence[Any], name: str = "") -> pl.Series:
    """The values, None for null. Raises what `pl.Series` does where one is of another type."""
    made, wrapped = makers()
    try:
        return wrapped(made[holds](name, values, True))
    except (TypeError, OverflowError):  # polars has other ways to try
        return pl.Series(name, values, dtype=dtypes()[holds])


def frame(names: Sequence[str], held: Sequence[Held], columns: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """A frame of such columns: what `pl.DataFrame` makes of them. Raises what it does."""
    made, wrapped = frames()
    each = list(zip(names, held, columns, strict=True))
    try:
        return wrapped([made[holds](name, values, True) for name, holds, values in each])
    except (TypeError, OverflowError):
        return pl.DataFrame([pl.Series(name, values, dtype=dtypes()[holds]) for name, holds, values in each])


def typed(columns: Iterable[Typed]) -> pl.DataFrame:
    """A frame of such columns, of which some stand for values of another dtype, such as times."""
    made, wrapped = frames()
    held = [(made[holds](name, values, True), kind) for name, holds, values, kind in columns]
    return wrapped([column if kind is None else column.cast(kind, True, False) for column, kind in held])


def shape(rows: pl.DataFrame) -> tuple[str, ...]:
    """The names of a frame's columns, and then what polars calls their dtypes: equal where the schema is, and asked in two calls."""
    return (*rows.columns, *rows._df.dtype_strings())  # noqa: SLF001 - `dtypes` makes an object of each


def held_as(dtype: pl.DataType) -> Held | None:
    """What a column of that dtype holds; None for one that is not among them."""
    return next((held for held, known in dtypes().items() if known == dtype), None)


@cache
def dtypes() -> dict[Held, pl.DataType]:
    """The dtypes. A function, because polars is not imported before it is used."""
    return {
        "text": pl.String(), "bytes": pl.Binary(), "whole number": pl.Int64(), "day number": pl.Int32(),
        "number": pl.Float64(), "hash": pl.UInt64(), "place": pl.UInt32(), "truth": pl.Boolean(),
    }  # fmt: skip


@cache
def makers() -> tuple[dict[Held, Callable[..., Any]], Callable[[Any], pl.Series]]:
    """The functions that `pl.Series` calls in the end: of values, and of what these give."""
    from polars.datatypes.constructor import polars_type_to_constructor  # noqa: PLC0415 - as late as polars itself

    return {holds: polars_type_to_constructor(dtype) for holds, dtype in dtypes().items()}, pl.wrap_s  # type: ignore[attr-defined] # it is there


@cache
def frames() -> tuple[dict[Held, Callable[..., Any]], Callable[[list[Any]], pl.DataFrame]]:
    """The same, and the function that makes a frame of what they give."""
    made = type(pl.DataFrame()._df)  # noqa: SLF001 - what `pl.wrap_df` takes
    return makers()[0], lambda columns: pl.wrap_df(made(columns))  # type: ignore[attr-defined] # it is there
