"""Single values of any driver to the one type of their column's family."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from smartico_sync.core.zones import UTC

__all__ = ["CONVERTERS", "FALSE", "MILLISECONDS_FROM", "TRUE", "Converter", "as_text", "epoch_ms", "position_text"]

Converter = Callable[[Any, ZoneInfo], Any]
TRUE = ("t", "true", "1", "y", "yes", "on")
FALSE = ("f", "false", "0", "n", "no", "off")
MILLISECONDS_FROM = 100_000_000_000  # an epoch above this (the year 5138 in seconds) counts milliseconds


def position_text(value: Any) -> str | None:
    """A cursor or key value as text at full precision, the form `Position` holds."""
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return str(int(value))
        case dt.datetime():
            return value.isoformat(sep=" ")
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case _:
            return str(value)


def epoch_ms(text: str, zone: ZoneInfo) -> int:
    """A time in ISO form, or as a database prints it, as epoch ms; the zone is that of a wall clock. ValueError for others."""
    moment = _time(text, zone)
    return (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)  # noqa: DTZ001  - naive UTC by contract


def _whole(value: Any, _: ZoneInfo) -> int:
    if isinstance(value, str | bytes) or int(value) != value:
        raise ValueError
    return int(value)


def _decimal(value: Any, _: ZoneInfo) -> str:
    if isinstance(value, bytes):
        raise TypeError
    number = Decimal(repr(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise ValueError
    return format(number, "f")


def _float(value: Any, _: ZoneInfo) -> float:
    if isinstance(value, str | bytes) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _boolean(value: Any, _: ZoneInfo) -> bool:
    word = str(value).lower()
    if word not in TRUE and word not in FALSE:
        raise ValueError
    return word in TRUE


def _time(value: Any, zone: ZoneInfo) -> dt.datetime:
    """Text in ISO form, or an epoch in seconds or milliseconds, to naive UTC."""
    match value:
        case dt.datetime():
            moment = value
        case dt.date():
            moment = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001  - the zone comes below
        case str():
            moment = dt.datetime.fromisoformat(value.strip())
        case int() | float():
            seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
            return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001  - naive UTC by contract
        case _:
            raise TypeError
    return moment.replace(tzinfo=moment.tzinfo or zone).astimezone(dt.UTC).replace(tzinfo=None)


def _instant(value: Any, _: ZoneInfo) -> dt.datetime:
    return _time(value, UTC).replace(tzinfo=dt.UTC)


def _date(value: Any, zone: ZoneInfo) -> dt.date:
    if isinstance(value, int | float):
        return _time(value, zone).date()
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.datetime.fromisoformat(value.strip()).date()


def _binary(value: Any, _: ZoneInfo) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def as_text(value: Any, _: ZoneInfo) -> str:
    """Whatever it is, as text; lists and mappings as JSON."""
    match value:
        case str():
            value.encode()  # a lone surrogate cannot travel
            return value
        case bytes():
            return value.decode()
        case list() | tuple() | dict():
            return orjson.dumps(value, default=position_text).decode()
        case _:
            return position_text(value) or ""


# A converter raises ValueError, TypeError, OverflowError or ArithmeticError for a value that does not fit; naive times
# are in the given zone.
CONVERTERS: dict[str, Converter] = {
    "integer": _whole,
    "decimal": _decimal,
    "float": _float,
    "boolean": _boolean,
    "timestamp": _time,
    "instant": _instant,
    "date": _date,
    "binary": _binary,
}
