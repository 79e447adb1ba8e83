"""Columns of a handful of values whose type is known: what `pl.Series` makes of them, without the forty calls in which it finds that out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Held", "column"]

Held: TypeAlias = Literal["text", "bytes", "whole number", "day number", "number", "hash", "truth"]
"""What a column holds: String, Binary, Int64, Int32, Float64, UInt64 or Boolean."""


def column(holds: Held, values: Sequence[Any], name: str = "") -> pl.Series:
    """The values, None for null. Raises what `pl.Series` does where one is of another type."""
    made, wrapped = makers()
    try:
        return wrapped(made[holds](name, values, True))
    except (TypeError, OverflowError):  # polars has other ways to try
        return pl.Series(name, values, dtype=dtypes()[holds])


@cache
def dtypes() -> dict[Held, pl.DataType]:
    """The dtypes. A function, because polars is not imported before it is used."""
    return {
        "text": pl.String(), "bytes": pl.Binary(), "whole number": pl.Int64(), "day number": pl.Int32(),
        "number": pl.Float64(), "hash": pl.UInt64(), "truth": pl.Boolean(),
    }  # fmt: skip


@cache
def makers() -> tuple[dict[Held, Callable[..., Any]], Callable[[Any], pl.Series]]:
    """The functions that `pl.Series` calls in the end: of values, and of what these give."""
    from polars.datatypes.constructor import polars_type_to_constructor  # noqa: PLC0415 - as late as polars itself

    return {holds: polars_type_to_constructor(dtype) for holds, dtype in dtypes().items()}, pl.wrap_s  # type: ignore[attr-defined] # it is there
