"""A handful of texts as values, one by one: what the queries of `frames` make of texts as databases print them, for less than a query costs."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.core import few_columns
from smartico_sync.sources.kit.dtypes import dtype
from smartico_sync.sources.kit.values import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.core.few_columns import Held, Typed
    from smartico_sync.core.relation import Column, Family

__all__ = ["BOOLEANS", "NO_NUMBERS", "few_rows", "plain"]

NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
BOOLEANS = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
CLOCK = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
EPOCH = dt.date(1970, 1, 1).toordinal()
START = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, as all times here


def plain(columns: Sequence[Column], texts: Sequence[pl.Series], timezone: str) -> list[pl.Series] | None:
    """The columns as typed values; None where any text is written in another way, and has to be looked at with more care.

    A series of anything but texts stays as it is.
    """
    made = []
    for column, text in zip(columns, texts, strict=True):
        if text.dtype != pl.String:
            made.append(text.alias(column.name))
            continue
        values = as_stored(column.family, text.to_list(), timezone)
        if values is None:
            return None
        held = few_columns.column(STORED.get(column.family, "text"), values, column.name)
        kind = STANDS_FOR.get(column.family)
        made.append(held if kind is None else held.cast(kind()))
    return made


def few_rows(
    columns: Sequence[Column],
    positions: Sequence[tuple[str, int]],
    texts: Sequence[Sequence[str | None]],
    timezone: str,
) -> pl.DataFrame | None:
    """A frame of a handful of rows of texts, as `plain` reads them, and behind its columns those that hold positions."""
    made: list[Typed] = []
    for column, text in zip(columns, texts, strict=False):
        values = as_stored(column.family, text, timezone)
        if values is None:
            return None
        kind = STANDS_FOR.get(column.family)
        made.append((column.name, STORED.get(column.family, "text"), values, None if kind is None else kind()))
    made += [(name, "text", texts[index], None) for name, index in positions]
    return few_columns.typed(made)


def as_stored(family: Family, texts: Sequence[str | None], timezone: str) -> Sequence[Any] | None:
    """What a column of that family holds, see STORED; None as for `plain`."""
    read = READERS.get(family)
    if read is None:
        odd = family == "binary" or (family == "decimal" and not set(texts).isdisjoint(NO_NUMBERS))
        return None if odd else texts
    if family == "timestamp" and timezone != "UTC":
        return None
    try:
        return [None if text is None else read(text) for text in texts]
    except (ValueError, KeyError):
        return None


def integer(text: str) -> int:
    """A whole number that fits 64 bits in any case."""
    if not INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def number(text: str) -> float:
    """A number without an exponent."""
    if not FLOAT.fullmatch(text):
        raise ValueError
    return float(text)


def boolean(text: str) -> bool:
    """A word in small letters."""
    return BOOLEANS[text]


def day(text: str) -> int:
    """Days since 1970."""
    found = DATE.fullmatch(text)
    if found is None:
        raise ValueError
    return dt.date(*map(int, found.groups())).toordinal() - EPOCH


def moment(text: str) -> int:
    """Microseconds since 1970, of a time in UTC."""
    if not CLOCK.fullmatch(text):
        raise ValueError
    since = dt.datetime.fromisoformat(text) - START
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(text: str) -> int:
    """The same, as a time with its zone is printed."""
    return moment(text.removesuffix("+00"))


STORED: dict[Family, Held] = {
    "integer": "whole number", "float": "number", "boolean": "truth",
    "date": "day number", "timestamp": "whole number", "instant": "whole number",
}  # fmt: skip
"""What these make."""
STANDS_FOR: dict[Family, Callable[[], pl.DataType]] = {
    family: partial(dtype, family) for family in ("date", "timestamp", "instant")
}  # the others are what they are stored as

READERS: dict[Family, Callable[[str], object]] = {
    "integer": integer,
    "float": number,
    "boolean": boolean,
    "date": day,
    "timestamp": moment,
    "instant": instant,
}
