"""Columns whose values are of several types, one value at a time: what does not fit spoils only itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.core.zones import time_zone
from smartico_sync.sources.kit.dtypes import dtype
from smartico_sync.sources.kit.values import CONVERTERS, Converter, as_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.core.relation import Column, Family

__all__ = ["DATES", "ZERO_DATE", "mixed"]

ZERO_DATE = "0000-00-00"  # MySQL's way to store that there is no date
DATES = ("timestamp", "instant", "date")
# Texts that stand for no value where none is wanted: databases that take any value in any column have them.
BLANK_IN = ("integer", "decimal", "float", "boolean", *DATES)


def mixed(column: Column, values: Iterable[Any], timezone: str) -> tuple[pl.Series, pl.Series | None]:
    """One value at a time; the second series tells the rows whose value does not fit."""
    convert: Converter = CONVERTERS.get(column.family, as_text)
    zone = time_zone(timezone)
    converted: list[Any] = []
    spoilt: list[bool] = []
    numbers = column.family in ("integer", "boolean")
    for given in values:
        value = None if isinstance(given, str) and says_nothing(column.family, given) else given
        try:
            fit = None if value is None else convert(value, zone)
        except (OverflowError, TypeError, ValueError, ArithmeticError):
            fit = more_than_whole(value) if numbers else None
        converted.append(fit)
        spoilt.append(fit is None and value is not None)
    kind = dtype(column.family)
    if numbers and any(isinstance(v, str) or (v is not None and not -(2**63) <= v < 2**63) for v in converted):
        kind = pl.String()
        converted = [None if v is None else v if isinstance(v, str) else str(int(v)) for v in converted]
    series = pl.Series(column.name, converted, dtype=kind)
    return series, pl.Series(spoilt) if any(spoilt) else None


def says_nothing(family: Family, text: str) -> bool:
    """Whether a text stands for no value: empty where no text is expected, or MySQL's zero date."""
    plain = text.strip()
    return (not plain and family in BLANK_IN) or (family in DATES and plain.startswith(ZERO_DATE))


def more_than_whole(value: object) -> str | None:
    """A number that is no whole one, or no boolean, as text; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value) if isinstance(value, float) else value)
    return format(number, "f") if number.is_finite() else None
