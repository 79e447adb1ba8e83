"""Texts as databases print them to typed columns, whole columns at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from smartico_sync.core.few_texts import FEW
from smartico_sync.core.picked import table
from smartico_sync.sources.kit.few_values import BOOLEANS, NO_NUMBERS, plain
from smartico_sync.sources.kit.frames import (
    SECONDS,
    SECONDS_CLOCK,
    WALL_CLOCK,
    WHOLE,
    WHOLE_CLOCK,
    to_utc,
    whole,
    with_reasons,
)
from smartico_sync.sources.kit.mixed_values import DATES, ZERO_DATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Column, Family

    Look = tuple[str, Family, "Writing"]  # a column of texts, by its place, and how they are written

__all__ = ["from_texts"]

Writing = Literal[
    "plain",
    "letters",  # t and f
    "digits",  # 1 and 0
    "seconds",  # times without a fraction
    "odd",  # numbers that are none among them, or times with and without a fraction, or words
]
READ: tuple[Family, ...] = ("integer", "decimal", "float", "boolean", "timestamp", "instant", "date", "binary")
CODE = r"^-?[0-9]+$"
ZONE = "+00"  # behind an instant, where the database prints it
WORDS = {"letters": ("t", "f"), "digits": ("1", "0")}


def from_texts(columns: Sequence[Column], texts: Sequence[pl.Series], timezone: str = "UTC") -> pl.DataFrame:
    """Columns of text, as the database prints them in ISO form and UTC, to typed columns; others stay as they are.

    `timezone` is the zone of `timestamp` columns. Adds `@unreadable` when some value does not fit.
    """
    if texts and len(texts[0]) <= FEW and (read := plain(columns, texts, timezone)) is not None:
        return table(read)
    read_as = [(place, column) for place, column in enumerate(columns) if column.family in READ]
    read_as = [(place, column) for place, column in read_as if texts[place].dtype == pl.String]
    printed = pl.DataFrame([texts[place].alias(str(place)) for place, _ in read_as])
    looks = written(printed, tuple((str(place), column.family) for place, column in read_as))
    first = printed.select(first_looks(looks, timezone))
    series = [text.alias(column.name) for column, text in zip(columns, texts, strict=True)]
    unfit: list[tuple[Column, pl.Series]] = []
    for (place, column), made in zip(read_as, first.get_columns(), strict=True):
        text, values = texts[place], made.alias(column.name)
        if values.null_count() != text.null_count():
            values = second_look(column.family, text, values, timezone).alias(column.name)
        if values.null_count() != text.null_count():
            text, values = _closer_look(column, text, values)
        if values.null_count() != text.null_count():
            unfit.append((column, values.is_null() & text.is_not_null()))
        series[place] = values
    return with_reasons(pl.DataFrame(series), unfit)


def written(printed: pl.DataFrame, families: tuple[tuple[str, Family], ...]) -> tuple[Look, ...]:
    """How the texts of each column are written, as far as that lets them be read faster."""
    questions = asked(families)
    told = printed.select(questions).row(0, named=True) if questions else {}
    return tuple((place, family, writing(place, family, told)) for place, family in families)


@lru_cache(maxsize=256)
def asked(families: tuple[tuple[str, Family], ...]) -> tuple[pl.Expr, ...]:
    """What tells how columns are written; for times a few lengths and a sample, because reading all twice would be no gain."""
    questions: list[pl.Expr] = []
    for place, family in families:
        text = pl.col(place)
        sample = text.drop_nulls().first().alias(f"{place} sample")
        if family == "decimal":
            questions.append(text.is_in(NO_NUMBERS).any())
        elif family == "boolean":
            questions.append(sample)
        elif family in ("timestamp", "instant"):
            length = text.str.len_bytes()
            questions += [length.min().alias(f"{place} least"), length.max().alias(f"{place} most"), sample]
    return tuple(questions)


def writing(place: str, family: Family, told: Mapping[str, Any]) -> Writing:
    """How one column is written. A guess from a sample costs time where it is wrong, and no value: see `second_look`."""
    sample = told.get(f"{place} sample")
    match family:
        case "decimal":
            return "odd" if told[place] else "plain"
        case "boolean":
            return "letters" if sample in WORDS["letters"] else "digits" if sample in WORDS["digits"] else "odd"
        case "timestamp" | "instant" if sample is not None:
            seconds = SECONDS + (len(ZONE) if family == "instant" and sample.endswith(ZONE) else 0)
            least, most = told[f"{place} least"], told[f"{place} most"]
            return "plain" if least > seconds else "seconds" if least == most == seconds else "odd"
        case _:
            return "plain"


@lru_cache(maxsize=256)
def first_looks(looks: tuple[Look, ...], timezone: str) -> tuple[pl.Expr, ...]:
    """The columns of texts, called by their places, as values; built once for each way they are written."""
    return tuple(parsed(family, pl.col(place), timezone, how).alias(place) for place, family, how in looks)


def parsed(family: Family, text: pl.Expr, timezone: str, how: Writing) -> pl.Expr:
    """Texts as values of the family, null where they are none at first sight."""
    match family:
        case "integer":
            return text.cast(pl.Int64, strict=False)
        case "decimal":
            return pl.when(~text.is_in(NO_NUMBERS)).then(text) if how == "odd" else text
        case "float":
            number = text.cast(pl.Float64, strict=False)
            return pl.when(number.is_finite()).then(number)
        case "boolean" if how in WORDS:
            true, false = WORDS[how]
            return pl.when(text == true).then(statement=True).when(text == false).then(statement=False)
        case "boolean":
            return text.str.to_lowercase().replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)
        case "timestamp" | "instant":
            return zoned(family, wall(clock(family, text), how), timezone)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False, cache=False)
        case "binary":
            return text.str.strip_prefix("\\x").str.decode("hex", strict=False)
        case _:
            return text


def wall(text: pl.Expr, how: Writing) -> pl.Expr:
    """Texts of a wall clock as times.

    A pattern of one length is read four times as fast, so whatever is shorter is filled up. No times are looked up among those
    read before: most are others, and to read one takes less than two looks.
    """
    if how == "seconds":
        return text.str.to_datetime(SECONDS_CLOCK, time_unit="us", strict=False, cache=False)
    if how == "odd":
        text = pl.when(text.str.len_bytes() == SECONDS).then(text + ".").otherwise(text)
    return text.str.pad_end(WHOLE, "0").str.to_datetime(WHOLE_CLOCK, time_unit="us", strict=False, cache=False)


def clock(family: Family, text: pl.Expr) -> pl.Expr:
    """The wall clock of a time."""
    return text.str.strip_suffix(ZONE) if family == "instant" else text


def zoned(family: Family, wall: pl.Expr, timezone: str) -> pl.Expr:
    """Wall clocks as the family has them."""
    return wall.dt.replace_time_zone("UTC") if family == "instant" else to_utc(wall, timezone)


def second_look(family: Family, text: pl.Series, values: pl.Series, timezone: str) -> pl.Series:
    """The values where the first look lost something: integers of 64 bits without a sign, times of other lengths, other words."""
    if family == "integer":
        return whole(text)
    if family == "boolean":
        return pl.select(parsed(family, pl.lit(text), timezone, "odd")).to_series()
    if family in ("timestamp", "instant"):
        other = clock(family, pl.lit(text)).str.to_datetime(WALL_CLOCK, time_unit="us", strict=False)
        return pl.select(pl.coalesce(pl.lit(values), zoned(family, other, timezone))).to_series()
    return values


def _closer_look(column: Column, text: pl.Series, parsed: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Zero dates are NULL; a boolean that holds codes, or an integer with decimals, makes its column text."""
    if column.family in DATES:
        return text.set(text.str.starts_with(ZERO_DATE).fill_null(value=False), None), parsed
    if column.family == "boolean":
        codes = text.str.contains(CODE)
        if (codes & parsed.is_null()).any():
            words = pl.select(parsed.cast(pl.Int8).cast(pl.String)).to_series()
            return text, words.zip_with(parsed.is_not_null(), text.set(~codes, None)).alias(column.name)
    return text, parsed
