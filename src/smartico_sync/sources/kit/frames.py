"""From what drivers hand over to typed columns, in one place. A value that does not fit spoils only its own row."""

from __future__ import annotations

import datetime as dt
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import polars as pl

from smartico_sync.sources.kit.dtypes import dtype
from smartico_sync.sources.kit.mixed_values import mixed
from smartico_sync.sources.kit.values import CONVERTERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.relation import Column, Relation

__all__ = [
    "CURSOR", "SECONDS", "SECONDS_CLOCK", "UNREADABLE", "WALL_CLOCK", "WHOLE", "WHOLE_CLOCK", "decoded", "dtype", "empty", "finite", "frame", "from_values", "key_column", "mixed",
    "schema", "shortest", "to_utc", "whole", "with_reasons",
]  # fmt: skip

CURSOR = "@cursor"
UNREADABLE = "@unreadable"
WALL_CLOCK = "%Y-%m-%d %H:%M:%S%.f"  # any fraction, or none
# Of one length, and so read four times as fast.
WHOLE_CLOCK, SECONDS_CLOCK = "%Y-%m-%d %H:%M:%S.%6f", "%Y-%m-%d %H:%M:%S"
WHOLE, SECONDS = len("2026-01-01 00:00:00.000000"), len("2026-01-01 00:00:00")
REASONS: dict[str, str] = {
    "integer": "not a whole number of 64 bits",
    "decimal": "not a finite number",
    "float": "not a finite number",
    "boolean": "neither true nor false",
    "timestamp": "not a time between the years 0001 and 9999 that the clocks of its zone show (in spring they skip some)",
    "instant": "not a time between the years 0001 and 9999",
    "date": "not a date between the years 0001 and 9999",
    "binary": "not readable as bytes",
}
PLAIN: dict[str, type] = {
    "integer": int,
    "boolean": bool,
    "date": dt.date,
    "binary": bytes,
}  # what needs no closer look


def key_column(index: int) -> str:
    """The name of the frame's column that holds the key's part of that index as text."""
    return f"@key.{index}"


@lru_cache(maxsize=256)
def schema(relation: Relation) -> dict[str, pl.DataType]:
    """The columns and dtypes of a reading's frame: the relation's own, then `@cursor` and `@key.*`."""
    columns = {column.name: dtype(column.family) for column in relation.columns}
    positions = [CURSOR, *(key_column(index) for index in range(len(relation.key)))]
    return columns | {name: pl.String() for name in positions}


@lru_cache(maxsize=256)
def empty(relation: Relation, which: Literal["rows", "positions"]) -> pl.DataFrame:
    """A reading's frame of no rows: what an idle poll gives, hundreds of times a minute."""
    names = schema(relation)
    return pl.DataFrame(
        [nothing(kind).alias(name) for name, kind in names.items() if which == "rows" or name.startswith("@")]
    )


@cache
def nothing(kind: pl.DataType) -> pl.Series:
    """A column of no values: to name it anew costs a quarter of making it."""
    return pl.Series(dtype=kind)


def frame(columns: Sequence[Column], rows: Sequence[Sequence[Any]], timezone: str = "UTC") -> pl.DataFrame:
    """Rows as a driver hands them over to typed columns; as fast as their values are uniform.

    Rows may be longer than `columns`; what stands behind is left out. A value of another type than its column's is converted
    where that loses nothing; otherwise it is null and `@unreadable` tells the column. Empty text and zero dates are NULL
    where no text is expected. Integers beyond 64 bits make their column text, and so do numbers that are more than a whole
    one, or a boolean, where such a one is expected.
    """
    if not rows:
        return pl.DataFrame(schema={column.name: dtype(column.family) for column in columns})
    return from_values(columns, tuple(zip(*rows, strict=True))[: len(columns)], timezone)


def from_values(columns: Sequence[Column], values_of: Sequence[Sequence[Any]], timezone: str = "UTC") -> pl.DataFrame:
    """The same of values that stand column by column."""
    series = []
    unfit: list[tuple[Column, pl.Series]] = []
    for column, values in zip(columns, values_of, strict=True):
        built = _uniform(column, values, timezone)
        if built is None:
            built, spoilt = mixed(column, values, timezone)
            if spoilt is not None:
                unfit.append((column, spoilt))
        series.append(built)
    return with_reasons(pl.DataFrame(series), unfit)


def with_reasons(data: pl.DataFrame, unfit: Sequence[tuple[Column, pl.Series]], why: str = "") -> pl.DataFrame:
    """Add `@unreadable`, or to it, where columns come with rows (Boolean) whose value does not fit; `why` in place of the family's reason."""
    if not unfit:
        return data
    told = [data.get_column(UNREADABLE).alias("before")] if UNREADABLE in data.columns else []
    for number, (column, rows) in enumerate(unfit):
        reason = pl.lit(f"{column.name}: {why or REASONS.get(column.family, 'not readable as text')}")
        told.append(pl.select(pl.when(rows).then(reason).otherwise(None)).to_series().alias(str(number)))
    joined = pl.DataFrame(told).select(
        pl.when(pl.any_horizontal(pl.all().is_not_null()))
        .then(pl.concat_str(pl.all(), separator="; ", ignore_nulls=True))
        .alias(UNREADABLE)
    )
    return data.with_columns(joined.to_series())


def whole(numbers: pl.Series) -> pl.Series:
    """Texts or decimals as integers of 64 bits: signed, or unsigned where that alone holds them all; null where neither does."""
    signed = numbers.cast(pl.Int64, strict=False)
    if signed.null_count() == numbers.null_count():
        return signed
    unsigned = numbers.cast(pl.UInt64, strict=False)
    return unsigned if unsigned.null_count() == numbers.null_count() else signed


def finite(numbers: pl.Series) -> pl.Series:
    """Floats; null for those that are no number."""
    unfit = ~numbers.is_finite()
    return numbers.set(unfit, None) if unfit.any() else numbers


def shortest(floats: pl.Series) -> pl.Series:
    """Floats of 24 bits as text: their shortest decimal is what was stored, where the double it travels as has a long tail."""
    return floats.cast(pl.Float32, strict=False).cast(pl.String)


def decoded(values: Sequence[bytes | None] | pl.Series) -> pl.Series:
    """Bytes as text; what is not UTF-8 keeps its readable characters."""
    data = pl.Series(values, dtype=pl.Binary)
    try:
        return data.cast(pl.String)
    except pl.exceptions.PolarsError:
        texts = [None if value is None else value.decode(errors="replace") for value in data]
        return pl.Series(data.name, texts, dtype=pl.String)


Wall = TypeVar("Wall", "pl.Series", "pl.Expr")


def to_utc(wall: Wall, timezone: str) -> Wall:
    """Wall clocks of a zone to naive UTC."""
    if timezone == "UTC":
        return wall
    # The autumn hour that happens twice counts as its first pass; a time that the spring skips is unreadable.
    zoned = wall.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _uniform(column: Column, values: Sequence[Any], timezone: str) -> pl.Series | None:
    """The whole column at once, or None when some value needs a closer look."""
    family = column.family
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(column.name, values, dtype=dtype(family))
    if family == "decimal" and kinds <= {int, float}:
        return _numbers(column.name, values, kinds)
    if len(kinds) > 1:
        return None
    (kind,) = kinds
    try:
        if kind is str and family in ("timestamp", "instant"):
            return _uniform_times(column, pl.Series(column.name, values, dtype=pl.String), timezone)
        if kind is dt.datetime and family == "timestamp":
            return to_utc(pl.Series(column.name, values, dtype=pl.Datetime("us")), timezone)
        if kind is float and family == "float":
            built = pl.Series(column.name, values, dtype=pl.Float64)
            return built if built.is_finite().all() else None
        if kind is (PLAIN.get(family) if family in CONVERTERS else str):
            return pl.Series(column.name, values, dtype=dtype(family))
    except (OverflowError, TypeError, ValueError, pl.exceptions.PolarsError):
        pass
    return None


def _numbers(name: str, values: Sequence[Any], kinds: AbstractSet[type]) -> pl.Series | None:
    """Whole numbers and floats as Python writes them; None where one has an exponent, is none, or is longer than 64 bits."""
    parts = []
    if float in kinds:
        floats = values if kinds == {float} else [value if type(value) is float else None for value in values]
        given = pl.Series(name, floats, dtype=pl.Float64)
        parts.append(given.cast(pl.String))
        if not given.is_finite().all() or parts[0].str.contains("e", literal=True).any():
            return None
    if int in kinds:
        numbers = values if kinds == {int} else [value if type(value) is int else None for value in values]
        try:
            parts.append(pl.Series(name, numbers, dtype=pl.Int64).cast(pl.String))
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            return None
    return parts[0] if len(parts) == 1 else parts[0].zip_with(parts[0].is_not_null(), parts[1])


def _uniform_times(column: Column, text: pl.Series, timezone: str) -> pl.Series | None:
    plain = text.str.replace("T", " ", literal=True)
    if plain.str.ends_with("Z").all():
        plain, timezone = plain.str.strip_suffix("Z"), "UTC"
    if plain.str.len_bytes().max() == SECONDS:
        parsed = plain.str.to_datetime(SECONDS_CLOCK, time_unit="us", strict=False, cache=False)
    else:
        parsed = plain.str.pad_end(WHOLE, "0").str.to_datetime(WHOLE_CLOCK, time_unit="us", strict=False, cache=False)
    if parsed.null_count() != text.null_count():
        parsed = plain.str.to_datetime(WALL_CLOCK, time_unit="us", strict=False)
    if parsed.null_count() != text.null_count():
        return None
    return parsed.dt.replace_time_zone("UTC") if column.family == "instant" else to_utc(parsed, timezone)
